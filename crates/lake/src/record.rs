//! What a commit of `cases` says about its ingest, and the dataset versions that follow from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Outcome;

/// Key of the record in the commit's information.
pub(crate) const RECORD_KEY: &str = "hoofbeat";

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestedFile {
    /// Its name, without its folder.
    pub name: String,
    pub bytes: u64,
    /// SHA-256 of its bytes, lower-case hexadecimal, where it was computed.
    pub sha256: Option<String>,
    /// Data rows in it.
    pub rows: u64,
}

/// Rows with one outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCount {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub rows: u64,
}

/// One finished ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestRecord {
    pub ingest_id: Uuid,
    /// The dataset version that holds its rows: a new one where `accepted > 0`, else the one before.
    pub dataset_version: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    pub source: String,
    pub files: Vec<IngestedFile>,
    /// Rows added to `cases`.
    pub accepted: u64,
    /// Rows added to `quarantine`.
    pub quarantined: u64,
    /// Rows whose case (or, for a refused row, whose text and reasons) was there already.
    pub duplicates: u64,
    /// Accepted rows by outcome, ascending.
    pub outcomes: Vec<OutcomeCount>,
    /// Accepted rows by their own source, which a file may give row by row.
    pub sources: BTreeMap<String, u64>,
    /// Rows added to `quarantine` by reason (`field:code`); a row counts once for each of its reasons.
    pub reasons: BTreeMap<String, u64>,
    /// The study's inputs at the time.
    pub inputs: Vec<String>,
    /// The study's column of notes, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A record with what the next ingest needs to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CommitRecord {
    #[serde(flatten)]
    pub(crate) ingest: IngestRecord,
    /// Slotted patients so far, by stratum: the counters of the next ingest's permuted blocks.
    pub(crate) strata: BTreeMap<String, u64>,
}

/// Sums over all ingests up to a dataset version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rows in `cases`.
    pub rows: u64,
    /// Rows in `quarantine`.
    pub quarantined: u64,
    /// Rows in `cases` by outcome, ascending.
    pub outcomes: Vec<OutcomeCount>,
    /// Rows in `cases` by source.
    pub sources: BTreeMap<String, u64>,
    /// Rows in `quarantine` by source and reason (`field:code`).
    pub quarantined_by: BTreeMap<String, BTreeMap<String, u64>>,
}

/// One dataset version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetVersion {
    /// 1, 2, 3 ...
    pub version: u64,
    /// The commit of the `cases` table, for other readers of it.
    pub table_version: u64,
    /// The ingest that made it.
    pub ingest: IngestRecord,
    /// Everything in it, this ingest and those before.
    pub totals: Totals,
}

/// A commit of `cases` that finished an ingest.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) table_version: u64,
    pub(crate) record: CommitRecord,
}

/// Dataset versions from the finished ingests, oldest first. Ingests that only quarantined belong to the version before.
pub(crate) fn dataset_versions(finished: &[Finished]) -> Vec<DatasetVersion> {
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    let mut totals = Totals::default();
    let mut versions: Vec<DatasetVersion> = Vec::new();
    for Finished { table_version, record } in finished {
        let ingest = &record.ingest;
        totals.rows += ingest.accepted;
        totals.quarantined += ingest.quarantined;
        for counted in &ingest.outcomes {
            *outcomes.entry(counted.outcome.clone()).or_default() += counted.rows;
        }
        totals.outcomes =
            outcomes.iter().map(|(outcome, &rows)| OutcomeCount { outcome: outcome.clone(), rows }).collect();
        for (source, rows) in &ingest.sources {
            *totals.sources.entry(source.clone()).or_default() += rows;
        }
        for (reason, rows) in &ingest.reasons {
            let by_reason = totals.quarantined_by.entry(ingest.source.clone()).or_default();
            *by_reason.entry(reason.clone()).or_default() += rows;
        }
        if ingest.accepted > 0 {
            versions.push(DatasetVersion {
                version: ingest.dataset_version,
                table_version: *table_version,
                ingest: ingest.clone(),
                totals: totals.clone(),
            });
        } else if let Some(last) = versions.last_mut() {
            last.totals = totals.clone();
        }
    }
    versions
}
