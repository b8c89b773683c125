//! `hoofbeat schedule`: what a server does by itself, and when.

use anyhow::{Context, Result};
use registry::{Attempt, Job, JobState};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::{Global, Schedule};
use crate::deployment::Deployment;
use crate::output::{self, Done, table};
use crate::pipeline::schedule;

pub(super) fn run(global: &Global, command: &Schedule) -> Result<Done> {
    let deployment = Deployment::open(global)?.in_charge();
    match command {
        Schedule::List { limit } => list(global, &deployment, *limit),
        Schedule::RunDue { now } => {
            let now = match now {
                Some(text) => OffsetDateTime::parse(text, &Rfc3339).with_context(|| {
                    format!("--now takes a time such as 2026-01-31T03:00:00Z, not `{text}`")
                })?,
                None => deployment.now(),
            };
            run_due(global, &deployment, now)
        }
    }
}

fn list(global: &Global, deployment: &Deployment, limit: u32) -> Result<Done> {
    let planned = schedule::planned(deployment, deployment.now())?;
    let jobs = deployment.registry.jobs(limit)?;
    output::print(global.json, &json!({ "schedules": planned, "jobs": jobs }), || {
        let mut text = String::new();
        if planned.is_empty() {
            text += "nothing runs by itself: hoofbeat.toml has no [schedule]\n";
        } else {
            let mut rows = vec![["what", "when", "next", "last slot"].map(str::to_owned).to_vec()];
            rows.extend(planned.iter().map(|plan| {
                let next = plan.next.map_or_else(|| "when there are cases".to_owned(), |at| at.to_string());
                let last = plan.last.as_ref().map(|job| job.slot.clone()).unwrap_or_default();
                vec![plan.kind.to_owned(), plan.every.clone(), next, last]
            }));
            text += &(table(&rows) + "\n");
        }
        if !jobs.is_empty() {
            text += &format!("\n{}", job_table(&jobs));
        }
        text
    })?;
    Ok(Done::Well)
}

/// Exit status 3 when a job failed.
fn run_due(global: &Global, deployment: &Deployment, now: OffsetDateTime) -> Result<Done> {
    let queued = schedule::queue_due(deployment, now)?;
    let done = schedule::run_queued(deployment)?;
    output::print(global.json, &schedule::summary(&queued, &done), || match done.is_empty() {
        true => "nothing is owed".to_owned(),
        false => job_table(&done),
    })?;
    Ok(Done::held(done.iter().all(|job| job.state == JobState::Succeeded)))
}

fn job_table(jobs: &[Job]) -> String {
    let mut rows = vec![["job", "what", "asked by", "slot", "state", "result"].map(str::to_owned).to_vec()];
    rows.extend(jobs.iter().map(|job| {
        let decision = job.outcome.as_ref().and_then(|outcome| outcome["decision"].as_str());
        let state = match job.state {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
        };
        vec![
            job.id.to_string(),
            job.kind.clone(),
            job.requested_by.clone(),
            job.slot.clone(),
            state.to_owned(),
            decision.or(job.error.as_deref()).unwrap_or_default().to_owned(),
        ]
    }));
    table(&rows)
}

/// Works off one attempt of a job; what came of it is the job's.
pub(super) fn work(global: &Global, job: u64, attempt: u32) -> Result<Done> {
    let deployment = Deployment::open(global)?.in_charge();
    let outcome = schedule::work(&deployment, Attempt { job, number: attempt })?;
    output::print(global.json, &outcome, || format!("job {job} is done"))?;
    Ok(Done::Well)
}
