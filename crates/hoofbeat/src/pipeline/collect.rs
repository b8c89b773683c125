//! Collect: the confirmed cases of resolved reviews -> a new dataset version.
//!
//! A resolution is acknowledged by the registry first; what is not in the lake yet is found there, so an interrupted or
//! refused collection is made up for by the next one. A case's identifier is its prediction's: it enters once.

use anyhow::{Context, Result};
use clinical::{Patient, Study};
use lake::predictions::PredictionReader;
use lake::{CaseRow, IngestMeta, LakeError, Schema};
use registry::{Outcome, Review};
use serde::Serialize;
use serve::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::ingest::slot_rule;
use crate::deployment::Deployment;

/// Source of the cases that reviews confirm.
pub const SOURCE: &str = "review";

/// What became of the confirmed cases that were waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Cases that are in the data now.
    pub cases: u64,
    /// The dataset version that has them.
    pub dataset_version: Option<u64>,
    /// Cases that can be in none; their reviews say why.
    pub left_out: u64,
    /// Cases that wait for another ingest to end; the next collection takes them.
    pub waiting: u64,
}

/// A confirmed case on its way.
struct Case {
    review: u64,
    case_id: String,
    patient_id: String,
    patient: Patient,
    recorded_at: i64,
    severity: String,
    rarity: Option<String>,
    disease_code: Option<String>,
    confirmed_at: i64,
}

/// The identifier of the case that a prediction becomes.
pub fn case_id(prediction_id: &str) -> String {
    format!("prediction:{prediction_id}")
}

/// Brings every confirmed case that is in no dataset version into a new one.
pub fn collect(deployment: &Deployment) -> Result<Collected> {
    let mut collected = Collected::default();
    let mut cases = Vec::new();
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    for review in deployment.registry.uncollected_cases()? {
        match case(deployment, &log, &review)? {
            Ok(case) => cases.push(case),
            Err(because) => {
                deployment.registry.case_collected(review.id, Err(because))?;
                collected.left_out += 1;
            }
        }
    }
    if cases.is_empty() {
        return Ok(collected);
    }
    match ingest(deployment, &cases) {
        Ok(version) => {
            for case in &cases {
                deployment.registry.case_collected(case.review, Ok(version))?;
            }
            Ok(Collected { cases: cases.len() as u64, dataset_version: Some(version), ..collected })
        }
        Err(LakeError::Busy { .. }) => Ok(Collected { waiting: cases.len() as u64, ..collected }),
        Err(error) => Err(error.into()),
    }
}

/// A resolved review's case, or why it can be none.
fn case(
    deployment: &Deployment,
    log: &PredictionReader,
    review: &Review,
) -> Result<Result<Case, &'static str>> {
    let Some(Outcome::Case { severity, rarity, disease_code }) =
        review.resolution.as_ref().map(|resolution| resolution.outcome.clone())
    else {
        return Ok(Err("the review confirmed no case"));
    };
    let stored = Uuid::try_parse(&review.prediction_id).ok().map(|id| log.get(id)).transpose()?.flatten();
    let Some(bytes) = stored else { return Ok(Err("the prediction is not in the log")) };
    let record = Record::from_bytes(&bytes).context("a logged prediction cannot be read")?;
    if !same_inputs(deployment, &record.model.version) || !record.fits(&deployment.study) {
        return Ok(Err("the prediction was answered under a study with other inputs"));
    }
    let case_id = case_id(&review.prediction_id);
    Ok(Ok(Case {
        review: review.id,
        patient_id: record.patient_id.as_deref().unwrap_or(&case_id).to_owned(),
        case_id,
        recorded_at: micros(OffsetDateTime::parse(&record.at, &Rfc3339)?),
        confirmed_at: micros(review.resolved_at.unwrap_or_else(|| deployment.now())),
        patient: record.values.into_owned(),
        severity,
        rarity,
        disease_code,
    }))
}

/// Whether the study of a model asks for what the deployment's asks for.
fn same_inputs(deployment: &Deployment, version: &str) -> bool {
    let asked = |study: &Study| {
        study.inputs().iter().map(|input| (input.name.clone(), input.accepts.clone())).collect::<Vec<_>>()
    };
    let study = deployment.model(version).ok().and_then(|model| deployment.study_of(&model));
    study.is_some_and(|study| asked(&study) == asked(&deployment.study))
}

fn ingest(deployment: &Deployment, cases: &[Case]) -> Result<u64, LakeError> {
    let study = &deployment.study;
    let schema = Schema {
        inputs: study.inputs().iter().map(|input| input.name.clone()).collect(),
        note: study.note().map(|note| note.name.clone()),
    };
    let meta = IngestMeta { source: SOURCE.to_owned(), now: deployment.now(), schema };
    let mut ingest = deployment.lake.begin_ingest(meta, slot_rule(study))?;
    for case in cases {
        let inputs: Vec<Option<i32>> = case.patient.values().iter().copied().map(Some).collect();
        ingest.push(&CaseRow {
            case_id: &case.case_id,
            patient_id: &case.patient_id,
            source: SOURCE,
            recorded_at: Some(case.recorded_at),
            inputs: &inputs,
            note: None,
            severity: Some(&case.severity),
            rarity: case.rarity.as_deref(),
            disease_code: case.disease_code.as_deref(),
            confirmed_at: Some(case.confirmed_at),
        })?;
    }
    Ok(ingest.commit()?.dataset_version)
}

fn micros(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1000) as i64
}
