//! What a commit of `cases` says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{LakeError, Outcome};

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
    /// The header of a CSV file, by which its refused rows can be read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Vec<String>>,
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
    /// The dataset version that its rows were added to; 0 for the first. `None` in records older than lineages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
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
    /// Refused rows of earlier ingests that were read again and left `quarantine`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: u64,
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
    /// What the caller measured of the rows, in its own form; nothing here reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<serde_json::Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(rows: &u64) -> bool {
    *rows == 0
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
    /// The version whose rows it has too; `None` for a first one.
    pub parent: Option<u64>,
    /// The version that a restore went back to, where a restore made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The commit of the `cases` table, for other readers of it.
    pub table_version: u64,
    /// The ingest that made it; for a restored one, the ingest that made the version it goes back to.
    pub ingest: IngestRecord,
    /// Everything in it: its own rows and those of the versions it came from.
    pub totals: Totals,
}

/// Why data files were rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Few large files instead of many small ones; every version keeps its rows.
    Compact,
    /// A person's rows were taken out of every version.
    Erase,
    /// Rows older than a limit were taken out of every version.
    Retain,
}

/// Rows that a rewriting took out, by the dataset version that had brought them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub version: u64,
    pub rows: u64,
    pub outcomes: Vec<OutcomeCount>,
    pub sources: BTreeMap<String, u64>,
}

/// Refused rows that were taken out of quarantine, by the ingest that had refused them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRefused {
    pub ingest_id: Uuid,
    pub rows: u64,
    /// By reason (`field:code`); a row counts once for each of its reasons.
    pub reasons: BTreeMap<String, u64>,
}

/// The versions of a data file's rows: all between the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileVersions {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// A new file of a rewriting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewFile {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) versions: FileVersions,
}

/// A going back: a new version that has the rows of an older one and none of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restored {
    pub(crate) id: Uuid,
    pub(crate) dataset_version: u64,
    pub(crate) parent: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
}

/// Data files in place of others, for all versions at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rewritten {
    pub(crate) id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    pub(crate) purpose: Purpose,
    /// Files of `cases` that are no longer part of it.
    pub(crate) replaced: Vec<String>,
    pub(crate) files: Vec<NewFile>,
    /// Whether replaced files, these and all before them, must go from the disk.
    pub(crate) purge: bool,
    pub(crate) removed: Vec<Removed>,
}

/// Files of `quarantine` that a commit of `cases` put out of force; those that it put in force carry its identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuarantineChange {
    pub(crate) replaced: Vec<String>,
    pub(crate) removed: Vec<RemovedRefused>,
}

/// What a commit of `cases` did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Act {
    Ingest(IngestRecord),
    Restore(Restored),
    Rewrite(Rewritten),
}

/// The record of a commit, with what the next one needs to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CommitRecord {
    #[serde(flatten)]
    pub(crate) act: Act,
    /// Patients slotted in the newest dataset version's lineage, by stratum: the counters of the next ingest's permuted blocks.
    pub(crate) strata: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quarantine: Option<QuarantineChange>,
}

impl CommitRecord {
    /// Reads a record; the oldest ones do not say that they are of ingests.
    pub(crate) fn from_json(mut record: Value) -> serde_json::Result<CommitRecord> {
        if let Value::Object(fields) = &mut record
            && !fields.contains_key("kind")
        {
            fields.insert("kind".to_owned(), Value::from("ingest"));
        }
        serde_json::from_value(record)
    }

    pub(crate) fn to_json(&self, table: &'static str) -> Result<Value, LakeError> {
        serde_json::to_value(self).map_err(|source| LakeError::BadRecord { table, commit: 0, source })
    }

    /// The name that the files of the commit carry.
    pub(crate) fn id(&self) -> Uuid {
        match &self.act {
            Act::Ingest(ingest) => ingest.ingest_id,
            Act::Restore(restored) => restored.id,
            Act::Rewrite(rewritten) => rewritten.id,
        }
    }
}

/// A commit of `cases` that is done: what it says, and its number.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) table_version: u64,
    pub(crate) record: CommitRecord,
}
