//! Retain: what was kept long enough leaves the lake, the prediction log and the registry.

use std::collections::HashSet;

use anyhow::{Context, Result};
use lake::{Removal, Retention, Rewriting, predictions};
use registry::ErasedOpinions;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::promote::act;
use crate::deployment::Deployment;

/// What goes.
#[derive(Debug)]
pub struct Request<'a> {
    /// Cases recorded and answers given before it.
    pub limit: OffsetDateTime,
    /// Only cases of this source. Answers have none and stay, with what was said of them.
    pub source: Option<&'a str>,
    /// Enters the audit.
    pub reason: &'a str,
    pub dry_run: bool,
}

/// What is gone, or in a dry run would be.
#[derive(Debug, Serialize)]
pub struct Retained {
    #[serde(flatten)]
    pub lake: Removal,
    /// In the prediction log.
    pub predictions: u64,
    pub opinions: ErasedOpinions,
}

/// Deletes, in an order in which a killed retention can be repeated: what points to a prediction goes before the prediction,
/// and from the log before from the lake, so that nothing is published that has gone.
pub fn retain(deployment: &Deployment, request: &Request<'_>) -> Result<Retained> {
    let log = deployment.data_dir.join("predictions");
    let old = |record: &[u8]| serve::Record::time_of(record).is_some_and(|at| at < request.limit);
    let before = (request.limit.unix_timestamp_nanos() / 1000) as i64;
    let (mut answers, mut in_log) = (HashSet::new(), 0);
    if request.source.is_none() {
        let found = predictions::find(&log, old).context("the prediction log cannot be searched")?;
        in_log = found.len() as u64;
        answers = deployment.lake.predictions_before(before)?;
        answers.extend(found.iter().map(Uuid::to_string));
    }
    let judged = deployment.registry.reviewed_predictions()?.into_iter();
    let judged: Vec<String> = judged.filter(|id| answers.contains(id)).collect();
    let subject = Uuid::now_v7().to_string();
    let mut opinions = deployment.registry.opinions_on(&judged)?;
    if !request.dry_run {
        if !judged.is_empty() {
            let begun = json!({ "before": request.limit.date().to_string(), "predictions": judged.len() });
            opinions = act(deployment, request.reason, |act| {
                let registry = &deployment.registry;
                Ok(registry.begin_removal("dataset.retain.begin", &subject, &judged, &begun, act)?)
            })?;
        }
        if in_log > 0 {
            in_log = predictions::retain(&log, old).context("the prediction log cannot be rewritten")?;
        }
    }
    let retention = Retention {
        recorded_before: before,
        source: request.source.map(str::to_owned),
        predictions: answers,
    };
    let task = deployment.progress.task("deleting old cases", None);
    let progress = |rows: u64, _: u64| task.at(rows);
    let how = Rewriting { now: deployment.now(), dry_run: request.dry_run, progress: &progress };
    let retained =
        Retained { lake: deployment.lake.retain(&retention, &how)?, predictions: in_log, opinions };
    if !request.dry_run {
        deployment.cohorts().forget()?;
        record(deployment, request, &subject, &retained)?;
    }
    Ok(retained)
}

/// Notes in the audit what went, where something did.
fn record(deployment: &Deployment, request: &Request<'_>, subject: &str, retained: &Retained) -> Result<()> {
    let Retained { lake, predictions, opinions } = retained;
    let served = &lake.served;
    if lake.rows + lake.quarantined + served.predictions + served.outcomes + predictions == 0 {
        return Ok(());
    }
    let subject = lake.id.map_or_else(|| subject.to_owned(), |change| change.to_string());
    let detail = json!({
        "before": request.limit.date().to_string(), "source": request.source, "cases": lake.rows,
        "dataset_versions": lake.versions, "quarantined": lake.quarantined, "predictions": predictions,
        "published_predictions": served.predictions, "published_outcomes": served.outcomes, "opinions": opinions,
    });
    act(deployment, request.reason, |act| {
        Ok(deployment.registry.record_removal("dataset.retain", &subject, &detail, act)?)
    })
}
