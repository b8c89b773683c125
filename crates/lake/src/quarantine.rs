//! Reading refused rows.

use std::collections::HashSet;

use arrow::array::AsArray;
use uuid::Uuid;

use crate::lineage::History;
use crate::schema::{Kind, columns};
use crate::versions::VersionSet;
use crate::{Lake, LakeError, scan};

/// Which refused rows are wanted; the default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    pub source: Option<String>,
    /// A reason that the row must have: `field:code`, or only a field's name.
    pub reason: Option<String>,
    pub ingest_id: Option<Uuid>,
}

/// One refused row as it is stored.
#[derive(Clone, PartialEq, Eq, serde::Serialize)]
pub struct QuarantinedRow {
    pub ingest_id: Uuid,
    pub source: String,
    pub file: String,
    /// Number of the row in its file, from 1.
    pub row: u64,
    /// Everything that was wrong: `field:code`.
    pub reasons: Vec<String>,
    /// The row as it came: patient data. Show it only to who asked for it; never log it.
    pub raw: String,
    #[serde(skip)]
    key: u64,
}

impl std::fmt::Debug for QuarantinedRow {
    /// Leaves the patient's data out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuarantinedRow")
            .field("file", &self.file)
            .field("row", &self.row)
            .field("reasons", &self.reasons)
            .finish_non_exhaustive()
    }
}

impl QuarantinedRow {
    /// What tells it from all others.
    pub(crate) fn place(&self) -> (Uuid, u64) {
        (self.ingest_id, self.key)
    }
}

impl QuarantineFilter {
    fn matches(&self, source: &str, reasons: &[&str]) -> bool {
        let has = |wanted: &String| {
            reasons.iter().any(|reason| reason == wanted || reason.split(':').next() == Some(wanted))
        };
        self.source.as_deref().is_none_or(|wanted| wanted == source) && self.reason.as_ref().is_none_or(has)
    }
}

impl Lake {
    /// Up to `limit` refused rows of the ingests that dataset version `version` came from (0: those before the first), oldest
    /// first. Counts by source and reason need no scan: [`Totals::quarantined_by`](crate::Totals::quarantined_by).
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn quarantine(
        &self,
        version: u64,
        filter: &QuarantineFilter,
        limit: usize,
    ) -> Result<Vec<QuarantinedRow>, LakeError> {
        let mut rows = Vec::new();
        if limit > 0 {
            self.each_quarantined(version, filter, |row| {
                rows.push(row);
                rows.len() < limit
            })?;
        }
        Ok(rows)
    }

    /// Hands the same rows to `each`, one after the other, while it wants more.
    ///
    /// # Errors
    /// As [`Lake::quarantine`].
    pub fn each_quarantined(
        &self,
        version: u64,
        filter: &QuarantineFilter,
        mut each: impl FnMut(QuarantinedRow) -> bool,
    ) -> Result<(), LakeError> {
        use columns::{FILE, INGEST_ID, RAW, REASONS, ROW, ROW_KEY, SOURCE};
        let history = self.history()?;
        let lineage = if version > 0 { history.ancestry(version)? } else { VersionSet::default() };
        let mut ingests = refused_by(&history, &lineage);
        ingests.retain(|id| filter.ingest_id.is_none_or(|only| only == *id));
        let (table, files) = (self.quarantine_table(), self.quarantine_files(&history)?);
        let wanted = [INGEST_ID, SOURCE, FILE, ROW, REASONS, RAW, ROW_KEY];
        for batch in scan::batches(&table, &files, &wanted)? {
            let batch = batch?;
            let text = |name: &str| scan::column(&batch, name, Kind::Text);
            let (ingest_id, source, file, reasons) =
                (text(INGEST_ID)?, text(SOURCE)?, text(FILE)?, text(REASONS)?);
            let (raw, row, key) = (text(RAW)?, scan::longs(&batch, ROW)?, scan::longs(&batch, ROW_KEY)?);
            for at in 0..batch.num_rows() {
                let ingest_id = ingest_id.as_string::<i32>().value(at).parse().unwrap_or_default();
                let all: Vec<&str> = reasons.as_string::<i32>().value(at).split(';').collect();
                let source = source.as_string::<i32>().value(at);
                if !ingests.contains(&ingest_id) || !filter.matches(source, &all) {
                    continue;
                }
                let more = each(QuarantinedRow {
                    ingest_id,
                    source: source.to_owned(),
                    file: file.as_string::<i32>().value(at).to_owned(),
                    row: row.value(at).cast_unsigned(),
                    reasons: all.into_iter().map(str::to_owned).collect(),
                    raw: raw.as_string::<i32>().value(at).to_owned(),
                    key: key.value(at).cast_unsigned(),
                });
                if !more {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Keys of the refused rows of the newest version's lineage. The caller has swept what is not in force.
    pub(crate) fn load_quarantined(&self, history: &History) -> Result<HashSet<u64>, LakeError> {
        let table = self.quarantine_table();
        let mut keys = HashSet::new();
        let files = self.quarantine_files(history)?;
        let wanted = refused_by(history, &history.head_ancestry());
        for batch in scan::batches(&table, &files, &[columns::ROW_KEY, columns::INGEST_ID])? {
            let batch = batch?;
            let row_keys = scan::longs(&batch, columns::ROW_KEY)?;
            let ingests = scan::column(&batch, columns::INGEST_ID, Kind::Text)?;
            for (key, id) in row_keys.iter().zip(ingests.as_string::<i32>()) {
                let id = id.and_then(|id| id.parse().ok());
                keys.extend(
                    key.filter(|_| id.is_some_and(|id| wanted.contains(&id))).map(i64::cast_unsigned),
                );
            }
        }
        Ok(keys)
    }
}

/// The ingests whose refused rows belong to a lineage; those before the first version belong to all.
pub(crate) fn refused_by(history: &History, lineage: &VersionSet) -> HashSet<Uuid> {
    let belongs = |version: u64| version == 0 || lineage.contains(version);
    let ingests = history.ingests().filter(|ingest| belongs(ingest.dataset_version));
    ingests.map(|ingest| ingest.ingest_id).collect()
}
