//! Shadow: a challenger's answers to the patients who were served while it waited, beside what the champion told them.
//!
//! The prediction log holds every patient who was served, and an answer is a look-up, so the challenger answers them after
//! the fact: exactly what it would have answered at the time, at no cost to serving, and shown to nobody.

use anyhow::{Context, Result, bail};
use lake::predictions::PredictionReader;
use registry::{Cause, Change, ChangeKind, Conclusion, Decision, Job};
use serde::Serialize;
use serde_json::{Value, json};
use serve::Record;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::promote::act_as;
use super::publish::answers_between;
use super::score::Scorer;
use crate::config::Approval;
use crate::deployment::Deployment;

/// Name of the work in jobs.
pub const KIND: &str = "shadow";

/// The served patients of a shadow period.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Disagreements {
    pub patients: u64,
    /// Another severity is shown.
    pub status_changed: u64,
    pub alarm_gained: u64,
    pub alarm_lost: u64,
    /// Either of these.
    pub changed: u64,
}

/// The shadow periods that have ended at a moment and wait for their decision.
pub fn ended(deployment: &Deployment, now: OffsetDateTime) -> Result<Vec<Change>> {
    let mut ended = Vec::new();
    for change in deployment.registry.unanswered(ChangeKind::Shadow)? {
        let days = change.evidence["shadow_days"].as_i64().unwrap_or_default();
        if now >= change.at + Duration::days(days) {
            ended.push(change);
        }
    }
    Ok(ended)
}

/// The slot of the job that decides after a shadow period.
pub fn slot(change: &Change) -> String {
    format!("{KIND}@change-{}", change.id)
}

/// Counts the disagreements of a shadow period and decides: the champion's place, a second person, or neither.
pub fn decide(deployment: &Deployment, job: &Job) -> Result<Value> {
    let waiting = deployment.registry.unanswered(ChangeKind::Shadow)?;
    let found = waiting.into_iter().find(|change| slot(change) == job.slot);
    let Some(change) = found else { bail!("no shadow period waits for {}", job.slot) };
    let previous = change.previous.context("a shadow period without a champion")?;
    let counted = count(deployment, &change)?;
    let model = deployment.registry.model(change.model)?;
    let own =
        deployment.study_of(&model).with_context(|| format!("the study of {} is gone", change.model))?;
    let bound = deployment.study_in_force(&own)?.cycle.changed_people;
    let share = counted.changed as f64 / counted.patients.max(1) as f64;
    let told = format!(
        "{} of {} served patients would have been answered otherwise",
        counted.changed, counted.patients
    );
    let mut evidence = change.evidence.clone();
    evidence["shadow"] = serde_json::to_value(&counted)?;
    let cause = Cause {
        cause: &change.cause,
        requested_by: &change.requested_by,
        evidence: Some(&evidence),
        answers: Some(change.id),
    };
    let (kind, reason) = match (counted.patients, share <= bound, deployment.config.cycle.approval) {
        (0, ..) => (ChangeKind::Hold, "nobody was served in the shadow period".to_owned()),
        (_, false, _) => (ChangeKind::Hold, format!("{told}: above {:.1} %", 100.0 * bound)),
        (_, true, Approval::SecondPerson) => (ChangeKind::Wait, format!("{told}; a second person decides")),
        (_, true, Approval::Automatic) => (ChangeKind::Promotion, told),
    };
    let decision = Decision { kind, model: change.model, previous: Some(previous), cause };
    let conclusion = Conclusion { decision, made: None, attempt: Some(job.under_way()) };
    let told = |decided: &Change| {
        let word = match decided.kind {
            ChangeKind::Promotion => "promoted",
            ChangeKind::Wait => "waits",
            _ => "held",
        };
        json!({
            "mode": KIND, "champion": previous, "decision": word, "because": [decided.reason], "shadow": counted,
            "challenger": {"model": change.model, "promoted": decided.kind == ChangeKind::Promotion},
        })
    };
    let decided = act_as(deployment, &change.requested_by, &reason, |act| {
        Ok(deployment.registry.conclude(&conclusion, act, told)?)
    })?;
    Ok(told(&decided))
}

/// Both models' answers to everybody who was served since the shadow period began. Notes are in no log: both answer without.
fn count(deployment: &Deployment, change: &Change) -> Result<Disagreements> {
    let open = |version| Scorer::open(deployment, &deployment.registry.model(version)?);
    let champion = open(change.previous.context("a shadow period without a champion")?)?;
    let challenger = open(change.model)?;
    let mut counted = Disagreements::default();
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    for entry in answers_between(&log, change.at, None)? {
        let (_, bytes) = entry?;
        let record = Record::from_bytes(&bytes).context("a logged prediction cannot be read")?;
        let at = OffsetDateTime::parse(&record.at, &Rfc3339)?;
        if at < change.at || !record.fits(champion.study()) || !record.fits(challenger.study()) {
            continue;
        }
        let before = champion.assess(champion.study().cell(&record.values))?;
        let after = challenger.assess(challenger.study().cell(&record.values))?;
        let (status, gained, lost) =
            (before.decided != after.decided, after.alarm && !before.alarm, before.alarm && !after.alarm);
        counted.patients += 1;
        counted.status_changed += u64::from(status);
        counted.alarm_gained += u64::from(gained);
        counted.alarm_lost += u64::from(lost);
        counted.changed += u64::from(status || gained || lost);
    }
    Ok(counted)
}
