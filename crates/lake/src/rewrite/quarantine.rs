//! Refused rows that leave the quarantine.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{filter_record_batch, not};
use uuid::Uuid;

use super::cases::texts;
use crate::data_file::DataFiles;
use crate::lineage::History;
use crate::record::{QuarantineChange, RemovedRefused};
use crate::schema::{arrow_schema, columns, quarantine_columns};
use crate::table::DataFile;
use crate::{Lake, LakeError, scan};

/// A refused row as it lies in the table.
#[derive(Clone, Copy)]
pub struct RefusedRow<'a> {
    pub ingest_id: Uuid,
    pub source: &'a str,
    /// Name of the file it came from.
    pub file: &'a str,
    /// The row as it came: patient data.
    pub raw: &'a str,
    pub(crate) key: u64,
}

impl std::fmt::Debug for RefusedRow<'_> {
    /// Leaves the patient's data out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefusedRow").field("ingest_id", &self.ingest_id).finish_non_exhaustive()
    }
}

/// Which rows go.
pub(crate) type Goes<'a> = &'a mut dyn FnMut(&RefusedRow<'_>) -> bool;

/// Rows that are to go, and the files in which they lie.
#[derive(Debug, Default)]
pub(crate) struct Going {
    pub(super) files: Vec<DataFile>,
    pub(super) removed: Vec<RemovedRefused>,
    rows: HashSet<(Uuid, u64)>,
}

impl Going {
    /// Files that are written anew with all their rows.
    pub(super) fn all_stay(files: Vec<DataFile>) -> Going {
        Going { files, ..Going::default() }
    }

    pub(crate) fn change(&self) -> QuarantineChange {
        QuarantineChange {
            replaced: self.files.iter().map(|file| file.name.clone()).collect(),
            removed: self.removed.clone(),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.removed.iter().map(|removed| removed.rows).sum()
    }
}

impl Lake {
    /// Finds the refused rows in force that `goes` names. Looks at each row once.
    pub(crate) fn refused_to_go(&self, history: &History, goes: Goes<'_>) -> Result<Going, LakeError> {
        let table = self.quarantine_table();
        let (mut going, mut by_ingest) = (Going::default(), BTreeMap::<Uuid, RemovedRefused>::new());
        for file in self.quarantine_files(history)? {
            let before = going.rows.len();
            use columns::{FILE, INGEST_ID, RAW, REASONS, ROW_KEY, SOURCE};
            let wanted = [INGEST_ID, SOURCE, FILE, REASONS, RAW, ROW_KEY];
            for batch in scan::batches(&table, std::slice::from_ref(&file), &wanted)? {
                let batch = Refused::of(&batch?)?;
                for at in 0..batch.keys.len() {
                    let row = batch.row(at);
                    if !goes(&row) {
                        continue;
                    }
                    going.rows.insert((row.ingest_id, row.key));
                    let ingest_id = row.ingest_id;
                    let removed = by_ingest
                        .entry(ingest_id)
                        .or_insert_with(|| RemovedRefused { ingest_id, ..RemovedRefused::default() });
                    removed.rows += 1;
                    // A reason that a row has twice counts once, as when it was refused.
                    let reasons: HashSet<&str> = batch.reasons().value(at).split(';').collect();
                    for reason in reasons {
                        *removed.reasons.entry(reason.to_owned()).or_default() += 1;
                    }
                }
            }
            if going.rows.len() > before {
                going.files.push(file);
            }
        }
        going.removed = by_ingest.into_values().collect();
        Ok(going)
    }

    /// Writes what stays of the files in which rows go.
    pub(crate) fn write_staying(&self, going: &Going, out: &mut DataFiles) -> Result<(), LakeError> {
        let all = quarantine_columns();
        let names: Vec<&str> = all.iter().map(|column| column.name.as_str()).collect();
        for batch in scan::batches(&self.quarantine_table(), &going.files, &names)? {
            let batch = batch?;
            let refused = Refused::of(&batch)?;
            let gone = (0..batch.num_rows()).map(|at| {
                let row = refused.row(at);
                going.rows.contains(&(row.ingest_id, row.key))
            });
            let gone = BooleanArray::from(gone.collect::<Vec<_>>());
            let kept = filter_record_batch(&batch, &not(&gone)?)?;
            if kept.num_rows() > 0 {
                let stored = all.iter().map(|column| scan::column(&kept, &column.name, column.kind));
                let stored = stored.collect::<Result<Vec<_>, _>>()?;
                out.write(RecordBatch::try_new(arrow_schema(&all), stored)?)?;
            }
        }
        Ok(())
    }
}

/// Columns of a batch of refused rows.
struct Refused {
    ingest_id: ArrayRef,
    source: ArrayRef,
    file: ArrayRef,
    reasons: ArrayRef,
    raw: ArrayRef,
    keys: Int64Array,
}

impl Refused {
    fn of(batch: &RecordBatch) -> Result<Refused, LakeError> {
        Ok(Refused {
            ingest_id: texts(batch, columns::INGEST_ID)?,
            source: texts(batch, columns::SOURCE)?,
            file: texts(batch, columns::FILE)?,
            reasons: texts(batch, columns::REASONS)?,
            raw: texts(batch, columns::RAW)?,
            keys: scan::longs(batch, columns::ROW_KEY)?,
        })
    }

    fn reasons(&self) -> &StringArray {
        self.reasons.as_string()
    }

    fn row(&self, at: usize) -> RefusedRow<'_> {
        RefusedRow {
            ingest_id: self.ingest_id.as_string::<i32>().value(at).parse().unwrap_or_default(),
            key: self.keys.value(at).cast_unsigned(),
            source: self.source.as_string::<i32>().value(at),
            file: self.file.as_string::<i32>().value(at),
            raw: self.raw.as_string::<i32>().value(at),
        }
    }
}
