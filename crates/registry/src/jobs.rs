//! Jobs: the work that schedules and people ask for, each slot once.
//!
//! A job is queued under its slot's key, which is unique: whoever asks again gets the job that is there. It runs as
//! numbered attempts, each under a lease that its process renews. Once the lease has ended, another attempt may begin; only
//! the attempt under way may end the job, so that a process that was thought dead cannot.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    audit,
    error::{Error, Result},
    lease::{self, Lease},
    sql::{Connection, OptionalExtension, Row, ToValue, params},
    store::Registry,
};

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    /// Under way, or its process is gone.
    Running,
    Succeeded,
    Failed,
}

impl JobState {
    const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed];

    fn code(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A job about to be queued.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// `incremental`, `full`, `orphan`, `monitor`.
    pub kind: &'a str,
    /// Its key: a schedule's slot, or drawn by the caller, once per intention.
    pub slot: &'a str,
}

/// One attempt at a job. Its number is the fence: what an earlier attempt still writes is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub job: u64,
    /// From 1.
    pub number: u32,
}

impl Attempt {
    /// Runs `work` with the lease of the attempt.
    fn leased<T>(self, length: Duration, work: impl FnOnce(&Lease<'_>) -> T) -> T {
        work(&Lease { name: &lease_of(self.job), holder: &format!("attempt {}", self.number), length })
    }
}

fn lease_of(job: u64) -> String {
    format!("job-{job}")
}

/// A stored job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    pub id: u64,
    pub kind: String,
    pub slot: String,
    /// `schedule`, or a person with where they asked.
    pub requested_by: String,
    pub state: JobState,
    /// 0 before the first.
    pub attempt: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub queued_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// What the work answered.
    pub outcome: Option<Value>,
    pub error: Option<String>,
}

impl Registry {
    /// Queues a job, or answers the one that has its slot. The requester is the act's actor.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the slot belongs to a job of another kind; storage fails.
    pub fn queue_job(&self, new: &NewJob<'_>, act: &Act<'_>) -> Result<Job> {
        self.write(|tx| {
            if let Some(job) = find(tx, "slot = ?1", new.slot)? {
                let conflict = Error::Conflict { kind: "a job with slot", id: new.slot.to_owned() };
                return if job.kind == new.kind { Ok(job) } else { Err(conflict) };
            }
            tx.execute(
                "INSERT INTO jobs (kind, slot, requested_by, state, queued_at) VALUES (?1, ?2, ?3, 'queued', ?4)",
                params![new.kind, new.slot, act.actor, stamp(act.at)?],
            )?;
            let job = find(tx, "slot = ?1", new.slot)?.ok_or(Error::Corrupt { what: "a job" })?;
            audit::append(tx, act, "job.queue", new.slot, &json!({"job": job.id, "kind": job.kind}))?;
            Ok(job)
        })
    }

    /// Begins the next attempt of a queued job and takes its lease; none when it is no longer queued.
    ///
    /// # Errors
    /// [`Error::UnknownJob`]; storage fails.
    pub fn start_job(&self, id: u64, at: OffsetDateTime, length: Duration) -> Result<Option<Job>> {
        self.write(|tx| {
            let changed = tx.execute(
                "UPDATE jobs SET state = 'running', attempt = attempt + 1, started_at = ?2
                 WHERE id = ?1 AND state = 'queued'",
                params![key(id)?, stamp(at)?],
            )?;
            let job = known(tx, id)?;
            if changed == 0 {
                return Ok(None);
            }
            lease::forget(tx, &lease_of(id))?;
            job.under_way().leased(length, |lease| lease::take(tx, lease))?;
            Ok(Some(job))
        })
    }

    /// Renews the lease of an attempt; false when the attempt is no longer under way.
    ///
    /// # Errors
    /// [`Error::UnknownJob`]; storage fails.
    pub fn renew_attempt(&self, attempt: Attempt, length: Duration) -> Result<bool> {
        self.write(|tx| {
            let under_way = is_under_way(tx, attempt)?;
            Ok(under_way && attempt.leased(length, |lease| lease::take(tx, lease))?)
        })
    }

    /// Ends the lease of an attempt whose process is known to be gone.
    ///
    /// # Errors
    /// Storage fails.
    pub fn let_go(&self, attempt: Attempt) -> Result<()> {
        attempt.leased(Duration::ZERO, |lease| self.give_back_lease(lease.name, lease.holder))
    }

    /// Queues a job again that is under way although nobody holds its lease: its process is gone. After `attempts` of them
    /// it fails, and `because` says why. None where there is nothing to do.
    ///
    /// # Errors
    /// [`Error::UnknownJob`]; storage fails.
    pub fn revive_job(
        &self,
        id: u64,
        attempts: u32,
        because: &str,
        at: OffsetDateTime,
    ) -> Result<Option<Job>> {
        self.write(|tx| {
            let job = known(tx, id)?;
            if job.state != JobState::Running || lease::is_held(tx, &lease_of(id))? {
                return Ok(None);
            }
            if job.attempt >= attempts {
                return end(tx, job.under_way(), Err(because), at).map(Some);
            }
            tx.execute("UPDATE jobs SET state = 'queued', started_at = NULL WHERE id = ?1", [key(id)?])?;
            known(tx, id).map(Some)
        })
    }

    /// Ends a job: with what it answered, or with why it failed. Only the attempt that is under way may. Where it
    /// has ended the job well already, as [`Registry::conclude`] does, the first outcome stays.
    ///
    /// # Errors
    /// [`Error::UnknownJob`]; [`Error::Conflict`] for an attempt that is not under way; storage fails.
    pub fn end_job(&self, attempt: Attempt, ended: Result<&Value, &str>, at: OffsetDateTime) -> Result<Job> {
        self.write(|tx| {
            let job = known(tx, attempt.job)?;
            let ended_well = (job.state, job.attempt) == (JobState::Succeeded, attempt.number);
            if ended_well && ended.is_ok() { Ok(job) } else { end(tx, attempt, ended, at) }
        })
    }

    /// One job.
    ///
    /// # Errors
    /// [`Error::UnknownJob`]; storage fails.
    pub fn job(&self, id: u64) -> Result<Job> {
        self.read(|db| known(db, id))
    }

    /// The latest jobs, newest first, at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn jobs(&self, limit: u32) -> Result<Vec<Job>> {
        self.read(|db| list(db, "1 = 1 ORDER BY id DESC LIMIT ?1", limit))
    }

    /// The jobs that are queued or under way, oldest first.
    ///
    /// # Errors
    /// Storage fails.
    pub fn unfinished_jobs(&self) -> Result<Vec<Job>> {
        self.read(|db| list(db, "state IN ('queued', 'running') ORDER BY id LIMIT ?1", u32::MAX))
    }

    /// Whether a slot has its job.
    ///
    /// # Errors
    /// Storage fails.
    pub fn has_job(&self, slot: &str) -> Result<bool> {
        self.read(|db| Ok(find(db, "slot = ?1", slot)?.is_some()))
    }

    /// Since when a schedule holds: remembered when it is first asked about.
    ///
    /// # Errors
    /// Storage fails.
    pub fn schedule_since(&self, kind: &str, now: OffsetDateTime) -> Result<OffsetDateTime> {
        let since = |db: &Connection| -> Result<Option<OffsetDateTime>> {
            let mut query = db.prepare_cached("SELECT since FROM schedules WHERE kind = ?1")?;
            let found: Option<String> = query.query_row([kind], |r| r.get(0)).optional()?;
            found.as_deref().map(parse_stamp).transpose()
        };
        if let Some(found) = self.read(|db| since(db))? {
            return Ok(found);
        }
        self.write(|tx| {
            let sql = "INSERT INTO schedules (kind, since) VALUES (?1, ?2) ON CONFLICT (kind) DO NOTHING";
            tx.execute(sql, params![kind, stamp(now)?])?;
            since(tx)?.ok_or(Error::Corrupt { what: "a schedule" })
        })
    }
}

impl Job {
    /// The attempt that is, or was last, under way.
    #[must_use]
    pub fn under_way(&self) -> Attempt {
        Attempt { job: self.id, number: self.attempt }
    }
}

/// Ends the job of an attempt, in the caller's transaction.
///
/// # Errors
/// [`Error::UnknownJob`]; [`Error::Conflict`] for an attempt that is not under way.
pub(crate) fn end(
    tx: &Connection,
    attempt: Attempt,
    ended: Result<&Value, &str>,
    at: OffsetDateTime,
) -> Result<Job> {
    if !is_under_way(tx, attempt)? {
        return Err(Error::Conflict { kind: "another attempt of job", id: attempt.job.to_string() });
    }
    let (state, outcome, error) = match ended {
        Ok(outcome) => (JobState::Succeeded, Some(to_json(outcome)?), None),
        Err(error) => (JobState::Failed, None, Some(error)),
    };
    tx.execute(
        "UPDATE jobs SET state = ?2, outcome = ?3, error = ?4, ended_at = ?5 WHERE id = ?1",
        params![key(attempt.job)?, state.code(), outcome, error, stamp(at)?],
    )?;
    lease::forget(tx, &lease_of(attempt.job))?;
    known(tx, attempt.job)
}

fn is_under_way(db: &Connection, attempt: Attempt) -> Result<bool> {
    let job = known(db, attempt.job)?;
    Ok((job.state, job.attempt) == (JobState::Running, attempt.number))
}

const SELECT: &str = "SELECT id, kind, slot, requested_by, state, attempt, queued_at, started_at, ended_at, outcome, error \
                      FROM jobs";

/// SQLite's identifiers have 63 bits; a larger number from a client is simply unknown.
fn key(id: u64) -> Result<i64> {
    i64::try_from(id).map_err(|_| Error::UnknownJob(id))
}

fn known(db: &Connection, id: u64) -> Result<Job> {
    find(db, "id = ?1", key(id)?)?.ok_or(Error::UnknownJob(id))
}

fn find(db: &Connection, filter: &str, value: impl ToValue) -> Result<Option<Job>> {
    Ok(list(db, filter, value)?.pop())
}

fn list(db: &Connection, rest: &str, value: impl ToValue) -> Result<Vec<Job>> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE {rest}"))?;
    let mut rows = query.query([value])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

fn read(r: &Row) -> Result<Job> {
    let (state, queued_at): (String, String) = (r.get(4)?, r.get(6)?);
    let time = |column| -> Result<Option<OffsetDateTime>> {
        let text: Option<String> = r.get(column)?;
        text.as_deref().map(parse_stamp).transpose()
    };
    let outcome: Option<String> = r.get(9)?;
    Ok(Job {
        id: r.get(0)?,
        kind: r.get(1)?,
        slot: r.get(2)?,
        requested_by: r.get(3)?,
        state: JobState::ALL
            .into_iter()
            .find(|known| known.code() == state)
            .ok_or(Error::Corrupt { what: "a job's state" })?,
        attempt: r.get(5)?,
        queued_at: parse_stamp(&queued_at)?,
        started_at: time(7)?,
        ended_at: time(8)?,
        outcome: outcome.as_deref().map(from_json).transpose()?,
        error: r.get(10)?,
    })
}
