//! Trials of a search: kept as they end, found again after an interruption, and an older file gains them.

use registry::{Error, NewRun, NewTrial, RunState, TrialState};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{NOON, candidate, open};

fn trial<'a>(number: u64, parameters: &'a Value, record: &'a Value) -> NewTrial<'a> {
    NewTrial {
        run: "r1",
        number,
        state: TrialState::Complete,
        parameters,
        metric: Some(0.87),
        log_loss: Some(1.0 / 3.0),
        rounds: 812,
        seconds: 4.5,
        reason: None,
        record,
    }
}

#[test]
fn trials_are_kept_once_and_read_back_in_order() {
    let dir = tempdir().unwrap();
    let (writer, reader) = (open(dir.path()), open(dir.path()));
    candidate(&writer, "r1");
    let (parameters, record) =
        (json!({"learner": "xgboost", "eta": 0.0712}), json!({"folds": [{"log_loss": 0.25}]}));
    let reason = "fold 1, round 40: loss 0.51 above 0.49";
    let pruned = NewTrial {
        state: TrialState::Pruned,
        metric: None,
        log_loss: None,
        reason: Some(reason),
        ..trial(2, &parameters, &record)
    };
    writer.record_trial(&pruned, NOON).unwrap();
    writer.record_trial(&trial(0, &parameters, &record), NOON).unwrap();
    // The same again, only slower.
    writer.record_trial(&NewTrial { seconds: 9.0, ..trial(0, &parameters, &record) }, NOON).unwrap();
    let other = json!({"folds": []});
    assert!(matches!(writer.record_trial(&trial(0, &parameters, &other), NOON), Err(Error::Conflict { .. })));

    let kept = reader.trials("r1").unwrap();
    assert_eq!(kept.iter().map(|trial| trial.number).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((kept[0].metric, kept[0].log_loss, kept[0].seconds), (Some(0.87), Some(1.0 / 3.0), 4.5));
    assert_eq!((kept[1].state, kept[1].reason.as_deref()), (TrialState::Pruned, Some(reason)));
    assert_eq!((&kept[0].parameters, &kept[0].record), (&parameters, &record));
    assert!(matches!(reader.trials("r2"), Err(Error::UnknownRun(_))));
    assert!(matches!(
        writer.record_trial(&NewTrial { run: "r2", ..trial(0, &parameters, &record) }, NOON),
        Err(Error::UnknownRun(_))
    ));
}

#[test]
fn an_ended_run_gets_no_trials_and_a_reason_belongs_to_what_is_not_complete() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    candidate(&registry, "r1");
    let none = json!({});
    let complete_with_reason = NewTrial { reason: Some("why"), ..trial(0, &none, &none) };
    assert!(matches!(registry.record_trial(&complete_with_reason, NOON), Err(Error::Storage(_))));
    registry.record_trial(&trial(0, &none, &none), NOON).unwrap();
    registry.finish_run("r1", NOON, &none).unwrap();
    registry.record_trial(&trial(0, &none, &none), NOON).unwrap();
    assert!(matches!(registry.record_trial(&trial(1, &none, &none), NOON), Err(Error::Conflict { .. })));
}

#[test]
fn an_unfinished_run_is_found_by_everything_that_was_asked() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (fifty, eighty) = (json!({"trials": 50}), json!({"trials": 80}));
    let search = |mode: &str, trials: u64| json!({ "mode": mode, "search": { "trials": trials } });
    let (made, wanted, other) = (search("full", 9), search("by hand", 9), search("full", 10));
    let run = |id, seed, parameters| NewRun {
        id,
        started_at: NOON,
        dataset_version: 7,
        study_hash: "s",
        seed,
        parameters,
    };
    for (id, seed, parameters) in [("a", 1, &fifty), ("b", 1, &fifty), ("c", 2, &fifty), ("d", 1, &eighty)] {
        registry.start_run(&run(id, seed, parameters)).unwrap();
    }
    let found = |dataset, study, seed, parameters| {
        registry.unfinished_run(dataset, study, seed, parameters).unwrap().map(|run| run.id)
    };
    assert_eq!(found(7, "s", 1, &fifty).as_deref(), Some("b"), "the newest");
    assert_eq!(found(7, "s", 1, &eighty).as_deref(), Some("d"));
    assert_eq!(found(7, "s", u64::MAX, &fifty), None);
    assert_eq!(found(8, "s", 1, &fifty), None);
    assert_eq!(found(7, "t", 1, &fifty), None);
    registry.finish_run("b", NOON, &json!({})).unwrap();
    registry.fail_run("d", NOON, "no").unwrap();
    assert_eq!(found(7, "s", 1, &fifty).as_deref(), Some("a"));
    assert_eq!(found(7, "s", 1, &eighty), None);

    // A failed search is found by the search alone, and by what it failed of.
    for (id, seed) in [("e", 1), ("f", 1), ("g", 2)] {
        registry.start_run(&run(id, seed, &made)).unwrap();
    }
    let failed = |seed, parameters, error| {
        registry.failed_search(&run("new", seed, parameters), error).unwrap().map(|run| run.id)
    };
    assert_eq!(failed(1, &wanted, "killed"), None, "it is still running");
    for id in ["e", "f"] {
        registry.fail_run(id, NOON, "killed").unwrap();
    }
    assert_eq!(failed(1, &wanted, "killed").as_deref(), Some("f"), "the newest");
    assert_eq!(failed(1, &wanted, "no"), None);
    assert_eq!(failed(2, &wanted, "killed"), None);
    assert_eq!(failed(1, &other, "killed"), None);
}

#[test]
fn a_file_of_the_first_schema_gains_the_table_and_keeps_its_rows() {
    let dir = tempdir().unwrap();
    let raw = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    raw.execute_batch(include_str!("../../src/schema.sql")).unwrap();
    raw.execute_batch(
        "INSERT INTO runs VALUES ('r1', '2026-01-02T12:00:00Z', '2026-01-02T12:00:00Z', 'failed', 3, 's', 1, '{}', NULL, 'no');
         INSERT INTO model_numbers VALUES (1, 'r1');
         INSERT INTO models VALUES (1, 'models/m-0001', 'd', 3, 's', 'r1', '2026-01-02T12:00:00Z', 'candidate', NULL, NULL);
         PRAGMA user_version = 1",
    )
    .unwrap();
    drop(raw);
    let version = "m-0001".parse().unwrap();
    std::fs::create_dir_all(dir.path().join("models/m-0001")).unwrap();
    let registry = open(dir.path());
    assert_eq!(registry.run("r1").unwrap().state, RunState::Failed);
    assert_eq!(registry.model(version).unwrap().run, "r1");
    assert_eq!(registry.trials("r1").unwrap(), []);
    assert_eq!(registry.check(None).unwrap(), []);
}
