//! A turn of the cycle is stored as a whole, once, and by nobody who was given up for dead.

use std::time::Duration;

use registry::{
    Attempt, Cause, ChangeKind, Conclusion, Decision, Error, Job, JobState, Made, ModelVersion, NewJob,
    NewModel, NewRun, Registry, Replaces, RunState, Stage,
};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{NOON, act, open, validated};

const HOUR: Duration = Duration::from_secs(3600);

/// A job under way whose process has made a challenger.
struct Turn {
    job: Job,
    run: String,
    challenger: ModelVersion,
}

fn begin(registry: &Registry, slot: &str) -> Turn {
    let job = registry.queue_job(&NewJob { kind: "full", slot }, &act(slot)).unwrap();
    let job = registry.start_job(job.id, NOON, HOUR).unwrap().unwrap();
    let run = format!("{slot}-{}", job.attempt);
    registry
        .start_run(&NewRun {
            id: &run,
            started_at: NOON,
            dataset_version: 3,
            study_hash: "s",
            seed: 1,
            parameters: &json!({}),
        })
        .unwrap();
    let challenger = registry.take_version(&run).unwrap();
    std::fs::create_dir_all(registry.data_dir().join(format!("models/{challenger}"))).unwrap();
    Turn { job, run, challenger }
}

fn conclude(
    registry: &Registry,
    turn: &Turn,
    previous: ModelVersion,
    key: &str,
) -> Result<ChangeKind, Error> {
    let (report, gates) = (json!({"patients": 1}), json!({"verdicts": []}));
    let path = format!("models/{}", turn.challenger);
    let new = NewModel { version: turn.challenger, bundle_path: &path, bundle_digest: "d" };
    let cause =
        Cause { cause: "retrain:full", requested_by: "schedule", evidence: Some(&report), answers: None };
    let conclusion = Conclusion {
        decision: Decision {
            kind: ChangeKind::Promotion,
            model: turn.challenger,
            previous: Some(previous),
            cause,
        },
        made: Some(Made { run: &turn.run, model: &new, report: &report, gates: Some(&gates) }),
        attempt: Some(turn.job.under_way()),
    };
    let outcome = |change: &registry::Change| json!({"decision": change.kind, "change": change.id});
    Ok(registry.conclude(&conclusion, &act(key), outcome)?.kind)
}

#[test]
fn a_turn_ends_its_run_and_its_job_with_the_promotion() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let champion = validated(&registry, "r0");
    registry.promote(champion, Replaces::Any, &act("p")).unwrap();
    let turn = begin(&registry, "slot");
    for _ in 0..2 {
        // Repeated, it changes nothing.
        assert_eq!(conclude(&registry, &turn, champion, "k").unwrap(), ChangeKind::Promotion);
    }
    assert_eq!(registry.champion().unwrap().unwrap().model.version, turn.challenger);
    let (job, run) = (registry.job(turn.job.id).unwrap(), registry.run(&turn.run).unwrap());
    assert_eq!((job.state, run.state), (JobState::Succeeded, RunState::Succeeded));
    assert_eq!(job.outcome.unwrap()["change"], registry.changes(1).unwrap()[0].id);
    assert_eq!(run.figures.unwrap(), json!({"decision": "promotion"}));
    assert_eq!(registry.evaluations(turn.challenger).unwrap().len(), 1);
    registry.finish_run("r0", NOON, &Value::Null).unwrap();
    assert_eq!(registry.check(None).unwrap(), []);
}

#[test]
fn a_champion_that_changed_meanwhile_stays() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let [first, second] = ["r0", "r1"].map(|run| validated(&registry, run));
    registry.promote(first, Replaces::Any, &act("p")).unwrap();
    let turn = begin(&registry, "slot");
    registry.promote(second, Replaces::Any, &act("q")).unwrap();
    assert_eq!(conclude(&registry, &turn, first, "k").unwrap(), ChangeKind::Hold);
    let change = &registry.changes(1).unwrap()[0];
    assert_eq!(
        (change.kind, change.reason.as_str()),
        (ChangeKind::Hold, "the champion became m-0002 meanwhile")
    );
    assert_eq!(registry.champion().unwrap().unwrap().model.version, second);
    assert_eq!(registry.model(turn.challenger).unwrap().stage, Stage::Validated);
}

#[test]
fn what_was_given_up_for_dead_stores_nothing() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let champion = validated(&registry, "r0");
    registry.promote(champion, Replaces::Any, &act("p")).unwrap();
    let dead = begin(&registry, "slot");
    registry.let_go(dead.job.under_way()).unwrap();
    registry.revive_job(dead.job.id, 3, "", NOON).unwrap();
    let refused = |key| matches!(conclude(&registry, &dead, champion, key), Err(Error::Conflict { .. }));
    assert!(refused("queued again"));
    let next = begin(&registry, "slot");
    assert_eq!(next.job.under_way(), Attempt { job: dead.job.id, number: 2 });
    assert!(refused("another attempt"));
    assert_eq!(conclude(&registry, &next, champion, "k").unwrap(), ChangeKind::Promotion);
    assert!(refused("done by another"));
    registry.fail_run(&dead.run, NOON, "interrupted").unwrap();
    assert!(refused("its run has ended"));
    assert!(matches!(registry.model(dead.challenger), Err(Error::UnknownModel(_))));
    let slots = registry.changes(10).unwrap().into_iter().filter(|change| change.cause == "retrain:full");
    assert_eq!(slots.count(), 1);
    assert_eq!(registry.version_of(&next.run).unwrap(), Some(next.challenger));
    assert_eq!(registry.version_of("nothing").unwrap(), None);
    registry.finish_run("r0", NOON, &Value::Null).unwrap();
    let found = registry.check(None).unwrap();
    assert!(found.iter().all(|one| one.level == registry::Level::Note), "{found:?}");
}
