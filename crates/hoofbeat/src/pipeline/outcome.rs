//! Outcome: what happened to patients who were answered before, by file.
//!
//! Outcomes are measured by; they train nothing. What is to train is a case: of an ingest, or of a review that a named
//! person resolved.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use interop::{OutcomeRow, read_outcomes};
use lake::predictions::PredictionReader;
use registry::{NewOutcome, Recorded};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::promote::act;
use crate::deployment::Deployment;

/// What became of a file's rows.
#[derive(Debug, Default, Serialize)]
pub struct Added {
    pub added: usize,
    /// The prediction had another outcome until now.
    pub corrected: usize,
    /// The same outcome was there.
    pub known: usize,
    pub refused: usize,
    /// A row counts once for each of its reasons.
    pub refused_by_reason: BTreeMap<String, usize>,
    /// Lines of the first refused rows.
    pub refused_lines: Vec<u64>,
}

/// How many refused lines are named.
const NAMED: usize = 20;

/// An outcome whose prediction is in the log.
struct Found {
    prediction_id: String,
    outcome: clinical::Outcome,
    confirmed_at: OffsetDateTime,
}

/// Stores the outcomes of a file, all that are right of it or, on an error, none.
pub fn add(deployment: &Deployment, file: &Path, source: &str) -> Result<Added> {
    let study = deployment.study.as_ref();
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    let (mut added, mut found, mut failed) = (Added::default(), Vec::new(), None);
    read_outcomes(file, study, &mut |row| match row {
        OutcomeRow::Refused { line, issues } => {
            let reasons: Vec<String> = issues.iter().map(clinical::Issue::reason).collect();
            added.refuse(line, &reasons);
        }
        OutcomeRow::Accepted { line, prediction_id, case_id, outcome, confirmed_at } => {
            let prediction = prediction_id.or(case_id).unwrap_or_default();
            let id = prediction.strip_prefix("prediction:").unwrap_or(&prediction);
            match known(&log, id) {
                Ok(Some(prediction_id)) => {
                    let micros = i128::from(confirmed_at) * 1000;
                    let at = OffsetDateTime::from_unix_timestamp_nanos(micros);
                    let confirmed_at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
                    found.push(Found { prediction_id, outcome, confirmed_at });
                }
                Ok(None) => added.refuse(line, &["prediction_id:unknown_code".to_owned()]),
                Err(error) => failed = Some(error),
            }
        }
    })
    .with_context(|| file.display().to_string())?;
    if let Some(error) = failed {
        return Err(error);
    }
    let new: Vec<NewOutcome<'_>> = found
        .iter()
        .map(|found| NewOutcome {
            prediction_id: &found.prediction_id,
            severity: &study.severity(found.outcome.severity).code,
            rarity: found.outcome.rarity.map(clinical::Rarity::code),
            disease_code: found.outcome.disease_code.as_deref(),
            confirmed_at: found.confirmed_at,
        })
        .collect();
    let recorded =
        act(deployment, "outcome add", |act| Ok(deployment.registry.record_outcomes(&new, source, act)?))?;
    for recorded in recorded {
        match recorded {
            Recorded::Added => added.added += 1,
            Recorded::Corrected => added.corrected += 1,
            Recorded::Known => added.known += 1,
        }
    }
    Ok(added)
}

/// The identifier of a prediction as the log writes it; none where it has none of it.
fn known(log: &PredictionReader, id: &str) -> Result<Option<String>> {
    let Ok(id) = Uuid::try_parse(id) else { return Ok(None) };
    Ok(log.get(id)?.map(|_| id.to_string()))
}

impl Added {
    fn refuse(&mut self, line: u64, reasons: &[String]) {
        self.refused += 1;
        for reason in reasons {
            *self.refused_by_reason.entry(reason.clone()).or_default() += 1;
        }
        if self.refused_lines.len() < NAMED {
            self.refused_lines.push(line);
        }
    }
}
