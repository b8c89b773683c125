//! Schedule: what is owed becomes jobs, and jobs are worked off, each once.

use anyhow::{Context, Result, bail};
use clinical::Rarity;
use registry::{Act, Attempt, Job, JobState, NewJob};
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
    let (registry, lease) = (&deployment.registry, deployment.config.registry.lease());
    for job in registry.unfinished_jobs()?.into_iter().filter(|job| job.state == JobState::Queued) {
        let Some(job) = registry.start_job(job.id, deployment.now(), lease)? else { continue };
        if let Err(error) = work(deployment, job.under_way()) {
            tracing::warn!(job = job.id, error = format!("{error:#}"), "a job failed");
        }
        done.push(registry.job(job.id)?);
    }
    Ok(done)
}

/// Does the work of an attempt that is under way, and ends the job. Meanwhile the attempt's lease is renewed.
pub fn work(deployment: &Deployment, attempt: Attempt) -> Result<Value> {
    let Some(_claim) = Claim::of(deployment, attempt)? else {
        bail!("attempt {} of job {} is not under way", attempt.number, attempt.job)
    };
    let job = deployment.registry.job(attempt.job)?;
    let done = perform(deployment, &job);
    if done.as_ref().is_err_and(given_up) {
        // While the registry could not be reached, the run's lease ended before the attempt's. The claim goes back, and
        // the job waits for its next attempt.
        return done;
    }
    let because = done.as_ref().err().map(|error| format!("{error:#}"));
    let ended = done.as_ref().map_err(|_| because.as_deref().unwrap_or_default());
    match deployment.registry.end_job(attempt, ended, deployment.now()) {
        Ok(_) => done,
        // Why it failed says more than that somebody else is at it now.
        Err(ended) => done.and(Err(ended.into())),
    }
}

/// Whether the work's run was given up for dead.
fn given_up(error: &anyhow::Error) -> bool {
    error.downcast_ref::<registry::Error>().is_some_and(registry::Error::is_given_up)
}

fn perform(deployment: &Deployment, job: &Job) -> Result<Value> {
    match Mode::of_name(&job.kind) {
        Some(mode) => Ok(retrain::turn(deployment, mode, &Request::of_job(job), false)?.summary()),
        None if job.kind == shadow::KIND => shadow::decide(deployment, job),
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

#[cfg(test)]
mod tests {
    use registry::{ModelVersion, NewModel, NewRun};
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn work_whose_run_was_given_up_has_not_failed() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry::Registry::open(&dir.path().join("registry.db")).unwrap();
        let at = OffsetDateTime::UNIX_EPOCH;
        let run = NewRun {
            id: "r",
            started_at: at,
            dataset_version: 1,
            study_hash: "s",
            seed: 1,
            parameters: &json!({ "mode": "full" }),
        };
        registry.start_run(&run).unwrap();
        let version = registry.take_version("r").unwrap();
        registry.fail_run("r", at, "interrupted").unwrap();
        let act = Act { key: "k", actor: "cli:test", reason: "", at };
        let model = |version: ModelVersion| {
            let new = NewModel { version, bundle_path: "models/m", bundle_digest: "d" };
            registry.register(&new, &act).context("it is not stored").unwrap_err()
        };
        assert!(given_up(&model(version)));
        assert!(!given_up(&model("m-0099".parse().unwrap())));
    }
}
