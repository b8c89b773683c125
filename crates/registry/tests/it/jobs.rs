//! Jobs, leases and schedules: each slot once, whoever asks and whoever dies.

use registry::{Error, JobState, NewJob};
use serde_json::json;
use tempfile::tempdir;
use time::Duration;

use crate::{NOON, act, open};

#[test]
fn a_slot_has_one_job_and_one_attempt_at_a_time() {
    let dir = tempdir().unwrap();
    let [registry, other] = [open(dir.path()), open(dir.path())];
    let slot = NewJob { kind: "full", slot: "full@2026-01-01T03:00:00Z" };
    let job = registry.queue_job(&slot, &act("1")).unwrap();
    assert_eq!(other.queue_job(&slot, &act("2")).unwrap(), job);
    assert!(registry.has_job(slot.slot).unwrap() && !registry.has_job("full@never").unwrap());
    let stolen = registry.queue_job(&NewJob { kind: "orphan", ..slot }, &act("3"));
    assert!(matches!(stolen, Err(Error::Conflict { .. })));

    let first = registry.start_job(job.id, NOON).unwrap().unwrap();
    assert_eq!((first.state, first.attempt), (JobState::Running, 1));
    assert_eq!(other.start_job(job.id, NOON).unwrap(), None, "somebody else has begun it");
    // Its process is gone: another attempt; what the first one says then counts for nothing.
    assert!(other.requeue_job(job.id, 1).unwrap() && !other.requeue_job(job.id, 1).unwrap());
    let second = other.start_job(job.id, NOON).unwrap().unwrap();
    assert_eq!(second.attempt, 2);
    let outcome = json!({"decision": "hold"});
    assert!(matches!(registry.end_job(job.id, 1, Ok(&outcome), NOON), Err(Error::Conflict { .. })));
    let done = other.end_job(job.id, 2, Ok(&outcome), NOON).unwrap();
    assert_eq!((done.state, &done.outcome), (JobState::Succeeded, &Some(outcome.clone())));
    assert!(matches!(other.end_job(job.id, 2, Err("late"), NOON), Err(Error::Conflict { .. })));
    assert!(registry.unfinished_jobs().unwrap().is_empty());
    assert_eq!(registry.jobs(10).unwrap(), [done]);
    assert!(matches!(registry.job(u64::MAX), Err(Error::UnknownJob(_))));
}

#[test]
fn a_lease_passes_on_when_it_ends_and_its_fence_grows() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let length = Duration::seconds(30);
    let take = |holder, after: i64| {
        let lease = registry.take_lease("keeper", holder, NOON + Duration::seconds(after), length).unwrap();
        lease.map(|lease| lease.fence)
    };
    assert_eq!([take("a", 0), take("b", 10), take("a", 20), take("b", 49)], [Some(1), None, Some(1), None]);
    assert_eq!([take("b", 50), take("a", 51)], [Some(2), None]);
    registry.give_back_lease("keeper", "a", NOON).unwrap();
    assert_eq!(take("a", 52), None, "only its holder gives it back");
    registry.give_back_lease("keeper", "b", NOON + Duration::seconds(52)).unwrap();
    assert_eq!(take("a", 53), Some(3));
}

#[test]
fn a_schedule_remembers_when_it_began() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let since = registry.schedule_since("full", NOON).unwrap();
    assert_eq!(registry.schedule_since("full", NOON + Duration::days(9)).unwrap(), since);
    assert_eq!(
        registry.schedule_since("orphan", NOON + Duration::days(9)).unwrap(),
        NOON + Duration::days(9)
    );
}
