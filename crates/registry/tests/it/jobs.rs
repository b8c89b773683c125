//! Jobs, leases and schedules: each slot once, whoever asks and whoever dies.

use std::time::Duration;

use registry::{Attempt, Error, JobState, Lease, NewJob};
use serde_json::json;
use tempfile::tempdir;

use crate::{NOON, act, behind, open};

/// Nothing ends by itself while a test runs.
const HOUR: Duration = Duration::from_secs(3600);

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

    let first = registry.start_job(job.id, NOON, HOUR).unwrap().unwrap();
    assert_eq!((first.state, first.attempt), (JobState::Running, 1));
    assert_eq!(other.start_job(job.id, NOON, HOUR).unwrap(), None, "somebody else has begun it");
    let [dead, next] = [1, 2].map(|number| Attempt { job: job.id, number });
    assert!(registry.renew_attempt(dead, HOUR).unwrap() && !registry.renew_attempt(next, HOUR).unwrap());
    assert_eq!(other.revive_job(job.id, 3, "", NOON).unwrap(), None, "its lease holds");
    // Its process is gone: another attempt; what the first one says then counts for nothing.
    registry.let_go(next).unwrap();
    assert_eq!(other.revive_job(job.id, 3, "", NOON).unwrap(), None, "nobody let go what is not theirs");
    registry.let_go(dead).unwrap();
    assert_eq!(other.revive_job(job.id, 3, "", NOON).unwrap().unwrap().state, JobState::Queued);
    assert_eq!(other.revive_job(job.id, 3, "", NOON).unwrap(), None);
    let second = other.start_job(job.id, NOON, HOUR).unwrap().unwrap();
    assert_eq!(second.under_way(), next);
    assert!(!registry.renew_attempt(dead, HOUR).unwrap());
    registry.let_go(dead).unwrap();
    let outcome = json!({"decision": "hold"});
    assert!(matches!(registry.end_job(dead, Ok(&outcome), NOON), Err(Error::Conflict { .. })));
    let done = other.end_job(next, Ok(&outcome), NOON).unwrap();
    assert_eq!((done.state, &done.outcome), (JobState::Succeeded, &Some(outcome.clone())));
    assert!(matches!(other.end_job(next, Err("late"), NOON), Err(Error::Conflict { .. })));
    assert_eq!(other.end_job(next, Ok(&json!({})), NOON).unwrap(), done, "the first outcome stays");
    assert!(registry.unfinished_jobs().unwrap().is_empty());
    assert_eq!(registry.jobs(10).unwrap(), [done]);
    assert!(matches!(registry.job(u64::MAX), Err(Error::UnknownJob(_))));
}

#[test]
fn a_job_whose_process_keeps_dying_is_given_up() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let job = registry.queue_job(&NewJob { kind: "full", slot: "s" }, &act("1")).unwrap();
    for attempt in 1..=3 {
        let begun = registry.start_job(job.id, NOON, HOUR).unwrap().unwrap();
        assert_eq!(begun.attempt, attempt);
        // Its process dies without a word: the lease ends.
        behind(dir.path(), "UPDATE leases SET renewed_at = renewed_at - 3600000");
        let revived = registry.revive_job(job.id, 3, "it keeps dying", NOON).unwrap().unwrap();
        let expected = if attempt < 3 { JobState::Queued } else { JobState::Failed };
        assert_eq!(revived.state, expected);
    }
    assert_eq!(registry.job(job.id).unwrap().error.as_deref(), Some("it keeps dying"));
}

#[test]
fn a_lease_passes_on_when_it_ends_however_the_databases_clock_jumps() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let lease = |holder| Lease { name: "keeper", holder, length: HOUR };
    let take = |holder| registry.take_lease(&lease(holder)).unwrap();
    assert_eq!([take("a"), take("b"), take("a"), take("b")], [true, false, true, false]);
    let renewed = registry.lease_renewed("keeper").unwrap();
    assert!(renewed.is_some() && registry.lease_renewed("nothing").unwrap().is_none());
    for (ahead, passes) in [(-3_500_000, false), (-3_600_000, true), (3_500_000, false), (3_700_000, true)] {
        assert!(take("a"));
        behind(dir.path(), &format!("UPDATE leases SET renewed_at = renewed_at + {ahead}"));
        assert_eq!((registry.lease_renewed("keeper").unwrap().is_none(), take("b")), (passes, passes));
        // Who was merely slow takes an ended lease on, if nobody else has it.
        assert_eq!(registry.renew_lease(&lease("a")).unwrap(), !passes);
        registry.give_back_lease("keeper", "b").unwrap();
    }
    registry.give_back_lease("keeper", "b").unwrap();
    assert!(take("a") && !take("b"), "only its holder gives it back");
    registry.give_back_lease("keeper", "a").unwrap();
    assert!(take("b"));
}

#[test]
fn a_schedule_remembers_when_it_began() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let since = registry.schedule_since("full", NOON).unwrap();
    assert_eq!(registry.schedule_since("full", NOON + time::Duration::days(9)).unwrap(), since);
    assert_eq!(
        registry.schedule_since("orphan", NOON + time::Duration::days(9)).unwrap(),
        NOON + time::Duration::days(9)
    );
}
