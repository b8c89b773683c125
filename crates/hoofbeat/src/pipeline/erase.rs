//! Erase: one person's data leave the lake, the prediction log and the registry; the audit says that, not whose.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use interop::{Mapping, Reading};
use lake::{Erasure, Refused, RefusedRow, Removal, Rewriting, predictions};
use registry::{ErasedOpinions, ModelVersion};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::promote::act;
use super::sources::Origin;
use crate::deployment::Deployment;

/// Shorter pseudonyms are not looked for in texts whose columns are not known: an age would be taken for one.
const TELLING: usize = 5;

/// Whom to erase, and how their refused rows are read.
pub struct Request<'a> {
    pub patients: HashSet<String>,
    pub mapping: Option<&'a Mapping>,
    /// Enters the audit.
    pub reason: &'a str,
    pub dry_run: bool,
}

impl std::fmt::Debug for Request<'_> {
    /// Leaves the pseudonyms out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// What was erased, or in a dry run would be.
#[derive(Debug, Serialize)]
pub struct Erased {
    /// Names the erasure in the audit; worth keeping with the person's request, which the audit does not name.
    pub erasure: Option<Uuid>,
    pub cases: Removal,
    pub predictions: u64,
    #[serde(flatten)]
    pub opinions: ErasedOpinions,
    /// Models trained on dataset versions that had some of the cases.
    pub models: Vec<ModelVersion>,
    pub dry_run: bool,
}

/// Erases, in an order in which a killed erasure can be repeated: what points to a prediction goes before the prediction.
pub fn erase(deployment: &Deployment, request: &Request<'_>) -> Result<Erased> {
    let log = deployment.data_dir.join("predictions");
    let theirs = |record: &[u8]| {
        let record = serve::Record::from_bytes(record).ok();
        record.and_then(|record| record.patient_id).is_some_and(|id| request.patients.contains(id.as_ref()))
    };
    let found = predictions::find(&log, theirs).context("the prediction log cannot be searched")?;
    let ids: Vec<String> = found.iter().map(Uuid::to_string).collect();
    if request.dry_run {
        let cases = in_lake(deployment, request)?;
        let opinions = deployment.registry.opinions_on(&ids)?;
        let models = trained_on(deployment, &cases)?;
        let predictions = ids.len() as u64;
        return Ok(Erased { erasure: None, cases, predictions, opinions, models, dry_run: true });
    }
    let erasure = Uuid::now_v7();
    let subject = erasure.to_string();
    let begun = json!({ "persons": request.patients.len(), "predictions": ids.len() });
    let opinions = act(deployment, request.reason, |act| {
        Ok(deployment.registry.begin_erasure(&subject, &ids, &begun, act)?)
    })?;
    let gone = predictions::erase(&log, theirs).context("the prediction log cannot be rewritten")?;
    let cases = in_lake(deployment, request)?;
    let models = trained_on(deployment, &cases)?;
    let done = json!({
        "change": cases.id, "cases": cases.rows, "dataset_versions": cases.versions, "quarantined": cases.quarantined,
        "predictions": gone.len(), "feedback": opinions.feedback, "reviews": opinions.reviews, "models": models,
    });
    act(deployment, request.reason, |act| {
        Ok(deployment.registry.record_removal("patient.erase", &subject, &done, act)?)
    })?;
    let predictions = gone.len() as u64;
    Ok(Erased { erasure: Some(erasure), cases, predictions, opinions, models, dry_run: false })
}

fn in_lake(deployment: &Deployment, request: &Request<'_>) -> Result<Removal> {
    let texts = Texts { deployment, headers: headers(deployment)?, mappings: mappings(deployment)? };
    let refused = |row: &RefusedRow<'_>| texts.whose(request, row);
    let erasure = Erasure { patients: &request.patients, refused: &refused };
    let task = deployment.progress.task("erasing", None);
    let progress = |rows: u64, _: u64| task.at(rows);
    let how = Rewriting { now: deployment.now(), dry_run: request.dry_run, progress: &progress };
    let removal = deployment.lake.erase(&erasure, &how)?;
    if !request.dry_run {
        deployment.cohorts().forget()?;
    }
    Ok(removal)
}

/// Headers of CSV files by their ingest and name.
pub(super) type Headers = HashMap<(Uuid, String), Vec<String>>;

pub(super) fn headers(deployment: &Deployment) -> Result<Headers> {
    let mut headers = Headers::new();
    for ingest in deployment.lake.ingests()? {
        for file in ingest.files {
            if let Some(header) = file.header {
                headers.insert((ingest.ingest_id, file.name), header);
            }
        }
    }
    Ok(headers)
}

/// The mappings that sources are registered with.
fn mappings(deployment: &Deployment) -> Result<HashMap<String, Mapping>> {
    let mut mappings = HashMap::new();
    for ingest in deployment.lake.ingests()? {
        if !mappings.contains_key(&ingest.source)
            && let Some(mapping) = Origin::of(deployment, &ingest.source, None)?.mapping
        {
            mappings.insert(ingest.source, mapping);
        }
    }
    Ok(mappings)
}

/// What tells how a refused row's text is read.
struct Texts<'a> {
    deployment: &'a Deployment,
    headers: Headers,
    mappings: HashMap<String, Mapping>,
}

impl Texts<'_> {
    /// Whether a refused row is one of the persons': by its column of pseudonyms, else by a pseudonym anywhere in its text.
    fn whose(&self, request: &Request<'_>, row: &RefusedRow<'_>) -> Refused {
        let header = self.headers.get(&(row.ingest_id, row.file.to_owned())).map(Vec::as_slice);
        let reading = Reading {
            study: &self.deployment.study,
            mapping: request.mapping.or_else(|| self.mappings.get(row.source)),
            source: row.source,
            ingested_at: 0,
        };
        if let Some(id) = interop::patient_id_of(row.raw, header, reading) {
            return if request.patients.contains(&id) { Refused::Theirs } else { Refused::NotTheirs };
        }
        let mut telling = request.patients.iter().filter(|id| id.len() >= TELLING);
        match telling.any(|id| stands_in(row.raw, id)) {
            true => Refused::Theirs,
            false => Refused::Unknown,
        }
    }
}

/// Whether `word` stands in `text` by itself, not as a part of a longer word or number.
fn stands_in(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

/// Models whose dataset version had some of the rows.
fn trained_on(deployment: &Deployment, cases: &Removal) -> Result<Vec<ModelVersion>> {
    let models = deployment.registry.models()?.into_iter();
    let had = models.filter(|model| cases.versions.contains(&model.dataset_version));
    Ok(had.map(|model| model.version).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_found_as_a_word_only() {
        let row = r#""40","HCB-00017",7,{"nhc":"99121"}"#;
        for (word, stands) in
            [("HCB-00017", true), ("HCB-0001", false), ("CB-00017", false), ("99121", true), ("9912", false)]
        {
            assert_eq!(stands_in(row, word), stands, "{word}");
        }
        assert!(!stands_in("ñHCB-1ñ", "HCB-1"));
    }
}
