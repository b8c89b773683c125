//! Change records: one per decision, never changed, told by the audit; and the second person.

use registry::{Act, Cause, ChangeKind, Decision, Error, Level, ModelVersion, Registry, Replaces};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{act, open, validated};

fn by<'a>(actor: &'a str, key: &'a str) -> Act<'a> {
    Act { actor, ..act(key) }
}

/// What a check finds wrong; a run that goes on is none of it.
fn damage(registry: &Registry) -> Vec<String> {
    let found = registry.check(None).unwrap();
    found.into_iter().filter(|one| one.level == Level::Error).map(|one| one.message).collect()
}

const EVIDENCE: &str = r#"{"figures": {"before": 0.8, "after": 0.9}}"#;

fn wait(registry: &Registry, model: ModelVersion, previous: ModelVersion, key: &str) -> u64 {
    let evidence: Value = serde_json::from_str(EVIDENCE).unwrap();
    let cause =
        Cause { cause: "retrain:full", requested_by: "page:Ana", evidence: Some(&evidence), answers: None };
    let decision = Decision { kind: ChangeKind::Wait, model, previous: Some(previous), cause };
    let change = registry.record_decision(&decision, &act(key)).unwrap();
    assert_eq!(registry.record_decision(&decision, &act(key)).unwrap(), change, "repeated, it is the same");
    change.id
}

#[test]
fn every_change_of_champion_leaves_a_record() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let [first, second] = ["run-1", "run-2"].map(|run| validated(&registry, run));
    let report = json!({"f1_common": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100}, "patients": 100});
    registry.record_evaluation(first, &report, &act("e")).unwrap();
    registry.promote(first, Replaces::Any, &act("1")).unwrap();
    registry.promote(second, Replaces::Any, &act("2")).unwrap();
    registry.rollback(&act("3")).unwrap();
    let changes = registry.changes(10).unwrap();
    let told: Vec<_> = changes.iter().map(|c| (c.kind, c.model, c.previous, c.epoch)).collect();
    assert_eq!(
        told,
        [
            (ChangeKind::Rollback, first, Some(second), Some(3)),
            (ChangeKind::Promotion, second, Some(first), Some(2)),
            (ChangeKind::Promotion, first, None, Some(1)),
        ]
    );
    let evidence = &changes[1].evidence;
    assert_eq!(evidence["figures"]["before"]["f1_common"]["value"], 0.9);
    assert_eq!(evidence["data"]["dataset_version"], json!({"before": 3, "after": 3}));
    assert!(evidence["figures"]["before"].get("patients").is_none());
    assert_eq!(damage(&registry), [""; 0]);
}

#[test]
fn the_database_itself_refuses_to_change_a_change_record() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let [first, second] = ["run-1", "run-2"].map(|run| validated(&registry, run));
    registry.promote(first, Replaces::Any, &act("1")).unwrap();
    registry.promote(second, Replaces::Any, &act("2")).unwrap();
    let db = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    for sql in ["UPDATE changes SET reason = 'x'", "DELETE FROM changes"] {
        assert!(db.execute(sql, []).unwrap_err().to_string().contains("append-only"));
    }
    // Even who takes the trigger away is found out.
    db.execute_batch(
        "DROP TRIGGER changes_are_append_only_update; UPDATE changes SET evidence = '{}' WHERE id = 2",
    )
    .unwrap();
    let found = damage(&registry);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("change record 2"));
}

#[test]
fn a_second_person_approves_or_rejects() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let [first, second, third] = ["run-1", "run-2", "run-3"].map(|run| validated(&registry, run));
    registry.promote(first, Replaces::Any, &act("1")).unwrap();
    assert!(matches!(registry.approve(second, &by("page:Eva", "2")), Err(Error::NotWaiting(_))));
    let waiting = wait(&registry, second, first, "3");
    assert_eq!(registry.unanswered(ChangeKind::Wait).unwrap()[0].id, waiting);
    // The same person, wherever she acts, is no second one.
    assert!(matches!(registry.approve(second, &by("cli:Ana", "4")), Err(Error::SamePerson { .. })));
    let promotion = registry.approve(second, &by("page:Eva", "5")).unwrap();
    assert_eq!(registry.approve(second, &by("page:Eva", "5")).unwrap(), promotion);
    assert!(matches!(registry.approve(second, &by("page:Eva", "6")), Err(Error::NotWaiting(_))));
    let change = &registry.changes(1).unwrap()[0];
    assert_eq!((change.answers, change.requested_by.as_str()), (Some(waiting), "page:Ana"));
    assert_eq!(change.evidence["figures"]["after"], 0.9);

    wait(&registry, third, second, "7");
    registry.reject(third, &by("page:Eva", "8")).unwrap();
    assert!(matches!(registry.approve(third, &by("page:Leo", "9")), Err(Error::NotWaiting(_))));
    assert!(registry.unanswered(ChangeKind::Wait).unwrap().is_empty());
    assert_eq!(registry.champion().unwrap().unwrap().model.version, second);
    // A challenger that waited while the champion changed was compared with another one.
    wait(&registry, third, first, "10");
    assert!(matches!(registry.approve(third, &by("page:Leo", "11")), Err(Error::ChampionMoved { .. })));
    assert_eq!(damage(&registry), [""; 0]);
}
