//! Schedule: what is owed becomes jobs, and jobs are worked off, each once.

use anyhow::{Context, Result, bail};
use clinical::Rarity;
use registry::{Act, Job, JobState, NewJob};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::claim::Claim;
use super::monitor;
use super::retrain::{self, Mode, Request};
use super::shadow;
use crate::calendar::{self, Every, Kind, Known, Slot};
use crate::deployment::Deployment;

/// Who asks for what a schedule owes.
pub const REQUESTER: &str = "schedule";

/// A schedule as it is configured, with its last slot and its next one.
#[derive(Debug, Serialize)]
pub struct Planned {
    pub kind: &'static str,
    pub every: String,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub next: Option<OffsetDateTime>,
    pub last: Option<Job>,
}

/// The configured schedules.
pub fn planned(deployment: &Deployment, now: OffsetDateTime) -> Result<Vec<Planned>> {
    let jobs = deployment.registry.jobs(1000)?;
    let plan = |(kind, every): (Kind, Every)| {
        let begins = format!("{}@", kind.name());
        Ok(Planned {
            kind: kind.name(),
            every: every.to_string(),
            since: deployment.registry.schedule_since(kind.name(), now)?,
            next: every.next(now),
            last: jobs.iter().find(|job| job.slot.starts_with(&begins)).cloned(),
        })
    };
    deployment.config.schedule.entries().into_iter().map(plan).collect()
}

/// What is owed at a moment and has no job yet.
pub fn due(deployment: &Deployment, now: OffsetDateTime) -> Result<Vec<Slot>> {
    let mut known = Vec::new();
    for (kind, every) in deployment.config.schedule.entries() {
        let since = deployment.registry.schedule_since(kind.name(), now)?;
        let ready = if every == Every::Once { orphans_wait(deployment)? } else { None };
        known.push((kind, Known { every, since, ready }));
    }
    let mut owed = Vec::new();
    for slot in calendar::due(&known, now) {
        if !deployment.registry.has_job(&slot.key)? {
            owed.push(slot);
        }
    }
    Ok(owed)
}

/// Queues what is owed; whoever else does the same gets the same jobs.
pub fn queue_due(deployment: &Deployment, now: OffsetDateTime) -> Result<Vec<Job>> {
    let queue = |slot: Slot| {
        let act = Act { key: &slot.key, actor: REQUESTER, reason: "owed by its schedule", at: now };
        let new = NewJob { kind: slot.kind.name(), slot: &slot.key };
        Ok(deployment.registry.queue_job(&new, &act)?)
    };
    let mut jobs = due(deployment, now)?.into_iter().map(queue).collect::<Result<Vec<_>>>()?;
    for change in shadow::ended(deployment, now)? {
        let slot = shadow::slot(&change);
        if deployment.registry.has_job(&slot)? {
            continue;
        }
        let act = Act { key: &slot, actor: REQUESTER, reason: "its shadow period has ended", at: now };
        jobs.push(deployment.registry.queue_job(&NewJob { kind: shadow::KIND, slot: &slot }, &act)?);
    }
    Ok(jobs)
}

/// Works off every queued job in this process, one after the other.
pub fn run_queued(deployment: &Deployment) -> Result<Vec<Job>> {
    let mut done = Vec::new();
    let queued = deployment.registry.unfinished_jobs()?;
    for job in queued.into_iter().filter(|job| job.state == JobState::Queued) {
        let Some(job) = deployment.registry.start_job(job.id, deployment.now())? else { continue };
        if let Err(error) = work(deployment, job.id, job.attempt) {
            tracing::warn!(job = job.id, error = format!("{error:#}"), "a job failed");
        }
        done.push(deployment.registry.job(job.id)?);
    }
    Ok(done)
}

/// Does the work of a job's attempt that is under way, and ends the job. Whoever holds the job's claim is at it.
pub fn work(deployment: &Deployment, id: u64, attempt: u32) -> Result<Value> {
    let Some(_claim) = claim(deployment, id)? else { bail!("job {id} is under way in another process") };
    let job = deployment.registry.job(id)?;
    if (job.state, job.attempt) != (JobState::Running, attempt) {
        bail!("attempt {attempt} of job {id} is not under way");
    }
    let done = perform(deployment, &job);
    match &done {
        Ok(outcome) => deployment.registry.end_job(id, attempt, Ok(outcome), deployment.now())?,
        Err(error) => {
            let because = format!("{error:#}");
            deployment.registry.end_job(id, attempt, Err(&because), deployment.now())?
        }
    };
    done
}

fn perform(deployment: &Deployment, job: &Job) -> Result<Value> {
    let request = Request { by: job.requested_by.clone() };
    match Mode::of_name(&job.kind) {
        Some(mode) => Ok(retrain::turn(deployment, mode, &request, false)?.summary()),
        None if job.kind == shadow::KIND => shadow::decide(deployment, &job.slot),
        None if job.kind == Kind::Monitor.name() => look(deployment, job),
        None => bail!("there is no work called {}", job.kind),
    }
}

/// One look at the champion. The slot is the key: another attempt at the same job is the same look.
fn look(deployment: &Deployment, job: &Job) -> Result<Value> {
    let now = deployment.now();
    let asked = monitor::Asked::last_days(deployment.config.monitoring.window_days, now);
    let act = Act { key: &job.slot, actor: &job.requested_by, reason: "owed by its schedule", at: now };
    let turn = monitor::turn(deployment, &asked, &act)?;
    Ok(json!({ "run": turn.run, "alerts": turn.alerts }))
}

/// The mark of a job that is under way; none while another process holds it.
pub fn claim(deployment: &Deployment, job: u64) -> Result<Option<impl Sized>> {
    Claim::take(deployment, &format!("job-{job}"))
}

/// The newest dataset version, where it holds confirmed orphan cases that came after the champion's.
fn orphans_wait(deployment: &Deployment) -> Result<Option<u64>> {
    let Some(champion) = deployment.registry.champion()? else { return Ok(None) };
    let orphan = |outcome: &lake::Outcome| outcome.rarity.as_deref() == Some(Rarity::Orphan.code());
    let versions = deployment.lake.versions().context("the dataset versions cannot be read")?;
    let newer = versions.iter().filter(|version| version.version > champion.model.dataset_version);
    let with_orphans = newer.filter(|version| {
        version.ingest.outcomes.iter().any(|count| count.rows > 0 && orphan(&count.outcome))
    });
    Ok(with_orphans.map(|version| version.version).max())
}

/// What `schedule run-due` answers.
pub fn summary(queued: &[Job], done: &[Job]) -> Value {
    json!({ "queued": queued, "done": done })
}
