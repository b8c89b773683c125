//! Runs, models, evaluations and the test set: stored once, read back, refused when they contradict.

use registry::{Error, NewModel, NewRun, Registry, RunState, Stage};
use serde_json::json;
use tempfile::tempdir;
use time::Duration;

use crate::{NOON, act, candidate, open, validated};

#[test]
fn a_handle_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Registry>();
}

#[test]
fn a_run_starts_ends_and_is_read_back_by_another_handle() {
    let dir = tempdir().unwrap();
    let (writer, reader) = (open(dir.path()), open(dir.path()));
    let parameters = json!({"eta": 0.05, "threads": 2});
    let new = NewRun {
        id: "r1",
        started_at: NOON,
        dataset_version: 7,
        study_hash: "abc",
        seed: u64::MAX,
        parameters: &parameters,
    };
    writer.start_run(&new).unwrap();
    assert_eq!(writer.start_run(&new).unwrap().state, RunState::Running);
    let other = json!({"eta": 0.1});
    assert!(matches!(writer.start_run(&NewRun { parameters: &other, ..new }), Err(Error::Conflict { .. })));

    let end = NOON + Duration::seconds(9);
    let figures = json!({"macro_f1": 0.9});
    writer.finish_run("r1", end, &figures).unwrap();
    writer.finish_run("r1", end, &figures).unwrap();
    assert!(matches!(writer.fail_run("r1", end, "no"), Err(Error::Conflict { .. })));

    let run = reader.run("r1").unwrap();
    assert_eq!((run.seed, run.dataset_version, run.started_at), (u64::MAX, 7, NOON));
    assert_eq!((run.state, run.finished_at, run.figures), (RunState::Succeeded, Some(end), Some(figures)));
    assert_eq!(run.parameters, parameters);
    assert!(matches!(reader.run("r2"), Err(Error::UnknownRun(id)) if id == "r2"));
}

#[test]
fn a_failed_run_keeps_its_error() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    candidate(&registry, "r1");
    registry.fail_run("r1", NOON, "the learner's process was killed").unwrap();
    let run = registry.runs(10).unwrap().remove(0);
    assert_eq!(
        (run.state, run.error.as_deref()),
        (RunState::Failed, Some("the learner's process was killed"))
    );
}

#[test]
fn versions_are_sequential_one_per_run_and_hold_one_bundle() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, b) = (candidate(&registry, "r1"), candidate(&registry, "r2"));
    assert_eq!((a.to_string(), b.to_string()), ("m-0001".to_owned(), "m-0002".to_owned()));
    assert_eq!(registry.take_version("r1").unwrap(), a);
    let before = registry.audit(0, 100).unwrap();

    let again = NewModel { version: a, bundle_path: "models/m-0001", bundle_digest: "r1" };
    assert_eq!(registry.register(&again, &act("again")).unwrap().stage, Stage::Candidate);
    let other = NewModel { bundle_digest: "other", ..again };
    assert!(matches!(registry.register(&other, &act("other")), Err(Error::Conflict { .. })));
    let never_taken =
        NewModel { version: "m-0009".parse().unwrap(), bundle_path: "models/x", bundle_digest: "d" };
    assert!(matches!(registry.register(&never_taken, &act("x")), Err(Error::UnknownModel(_))));
    let outside = NewModel { bundle_path: "../elsewhere", ..again };
    assert!(matches!(registry.register(&outside, &act("y")), Err(Error::BadPath { .. })));
    assert_eq!(registry.audit(0, 100).unwrap(), before);

    let model = registry.model(a).unwrap();
    assert_eq!((model.dataset_version, model.study_hash.as_str(), model.run.as_str()), (3, "s", "r1"));
    assert_eq!(registry.models().unwrap().iter().map(|m| m.version).collect::<Vec<_>>(), [b, a]);
}

#[test]
fn stages_go_forward_only() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, b) = (candidate(&registry, "r1"), validated(&registry, "r2"));
    assert_eq!(registry.retire(a, &act("k1")).unwrap().stage, Stage::Retired);
    assert!(matches!(registry.validate(a, &json!({}), &act("k2")), Err(Error::WrongStage { .. })));
    let model = registry.validate(b, &json!({"other": 1}), &act("k3")).unwrap();
    assert_eq!((model.stage, model.gates), (Stage::Validated, Some(json!({"f1_common": "holds"}))));
}

#[test]
fn evaluations_are_kept_once_per_key() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, b) = (candidate(&registry, "r1"), candidate(&registry, "r2"));
    registry.record_evaluation(a, &json!({"f1": 0.8}), &act("e1")).unwrap();
    let replay = registry.record_evaluation(a, &json!({"f1": 0.9}), &act("e1")).unwrap();
    assert_eq!(replay.report, json!({"f1": 0.8}));
    registry.record_evaluation(a, &json!({"f1": 0.9}), &act("e2")).unwrap();
    let reports: Vec<_> = registry.evaluations(a).unwrap().into_iter().map(|e| e.report).collect();
    assert_eq!(reports, [json!({"f1": 0.9}), json!({"f1": 0.8})]);
    assert!(matches!(registry.record_evaluation(b, &json!({}), &act("e1")), Err(Error::KeyReused { .. })));
    assert!(registry.evaluations(b).unwrap().is_empty());
}

#[test]
fn the_test_set_opens_once_per_model() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let model = candidate(&registry, "r1");
    assert_eq!(registry.test_opening(model).unwrap(), None);
    let early = registry.record_test_report(model, &json!({"f1": 1.0}), &act("early"));
    assert!(matches!(early, Err(Error::TestNotOpened(v)) if v == model));

    assert_eq!(registry.open_test(model, &act("k1")).unwrap().report, None);
    // The evaluation died; another may finish it, but the opening stays the first one's.
    let later = registry_act_by("bruno");
    let second = registry.open_test(model, &later).unwrap();
    assert_eq!((second.opened_by.as_str(), second.opened_at, second.report), ("ana", NOON, None));
    registry.record_test_report(model, &json!({"f1": 0.7}), &later).unwrap();
    let third = registry.record_test_report(model, &json!({"f1": 0.99}), &act("k3")).unwrap();
    assert_eq!(third.report, Some(json!({"f1": 0.7})));
    assert_eq!(registry.open_test(model, &act("k4")).unwrap(), third);

    let told: Vec<_> = registry.audit(0, 100).unwrap().into_iter().map(|e| (e.action, e.actor)).collect();
    let test: Vec<_> = told.iter().filter(|(a, _)| a.starts_with("test.")).collect();
    assert_eq!(test, [&("test.open".into(), "ana".into()), &("test.report".into(), "bruno".into())]);
}

fn registry_act_by(actor: &'static str) -> registry::Act<'static> {
    registry::Act { key: "by", actor, reason: "finish", at: NOON + Duration::hours(1) }
}

#[test]
fn a_newer_programs_file_is_refused_and_left_alone() {
    let dir = tempdir().unwrap();
    drop(open(dir.path()));
    let raw = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    let refused = Registry::open(dir.path());
    assert!(matches!(refused, Err(Error::NewerSchema { found: 99, .. })));
    let still: i64 = raw.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    assert_eq!(still, 99);
}

#[test]
fn check_is_silent_when_all_is_well_and_names_what_is_not() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let model = validated(&registry, "r1");
    registry.promote(model, registry::Replaces::Any, &act("p")).unwrap();
    registry.finish_run("r1", NOON, &json!({})).unwrap();
    assert_eq!(registry.check(None).unwrap(), []);

    std::fs::remove_dir_all(dir.path().join("models/m-0001")).unwrap();
    let raw = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    raw.execute("UPDATE models SET stage = 'retired'", []).unwrap();
    raw.execute("UPDATE models SET stage = 'validated'", []).unwrap();
    let found: Vec<_> = registry.check(None).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("champion is not the model that was promoted last"));
    assert!(found[1].contains("m-0001 is missing"));
}
