//! Rows of `cases` on their way from old files into new ones.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use uuid::Uuid;

use crate::data_file::DataFiles;
use crate::lineage::History;
use crate::record::FileVersions;
use crate::schema::{Column, Kind, arrow_schema, columns};
use crate::table::DataFile;
use crate::{Lake, LakeError, scan};

/// Writes rows of several files into new ones, in the order in which they come.
pub(super) struct CaseWriter {
    columns: Vec<Column>,
    files: DataFiles,
    /// Versions of the rows written, in their order, with how many rows in turn have each.
    written: Vec<(u64, u64)>,
}

impl CaseWriter {
    pub(super) fn start(lake: &Lake, history: &History, id: Uuid) -> Result<CaseWriter, LakeError> {
        let columns = history.columns(&history.all())?;
        // Tables that are older than a column get it before a file has it.
        lake.cases().add_columns(&columns)?;
        let files = lake.write_files(&lake.cases(), id, &columns)?;
        Ok(CaseWriter { columns, files, written: Vec::new() })
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Takes rows of a file whose rows have `versions`, but those marked in `gone`.
    pub(super) fn write(
        &mut self,
        batch: &RecordBatch,
        versions: FileVersions,
        gone: Option<&BooleanArray>,
    ) -> Result<(), LakeError> {
        let kept = match gone {
            Some(gone) => &filter_record_batch(batch, &not(gone)?)?,
            None => batch,
        };
        if kept.num_rows() == 0 {
            return Ok(());
        }
        let of_rows = versions_of(kept, versions)?;
        for version in of_rows.values() {
            let version = u64::from(version.unsigned_abs());
            match self.written.last_mut() {
                Some(last) if last.0 == version => last.1 += 1,
                _ => self.written.push((version, 1)),
            }
        }
        let stored = self.columns.iter().map(|column| match column.name.as_str() {
            columns::DATASET_VERSION => Ok(Arc::new(of_rows.clone()) as ArrayRef),
            name => scan::column(kept, name, column.kind),
        });
        let stored = stored.collect::<Result<Vec<_>, LakeError>>()?;
        self.files.write(RecordBatch::try_new(arrow_schema(&self.columns), stored)?)
    }

    /// The new files, durable, with the versions of their rows.
    pub(super) fn finish(self) -> Result<Vec<(DataFile, FileVersions)>, LakeError> {
        let mut written = self.written.into_iter();
        let mut open: Option<(u64, u64)> = None;
        let files = self.files.finish()?.into_iter().map(|file| {
            let (mut left, mut versions) = (file.rows, None::<FileVersions>);
            while left > 0 {
                let Some((version, rows)) = open.take().or_else(|| written.next()) else { break };
                let taken = rows.min(left);
                open = (rows > taken).then_some((version, rows - taken));
                left -= taken;
                let of_file = versions.get_or_insert(FileVersions { first: version, last: version });
                of_file.first = of_file.first.min(version);
                of_file.last = of_file.last.max(version);
            }
            let versions = versions.unwrap_or(FileVersions { first: 0, last: 0 });
            (file, versions)
        });
        Ok(files.collect())
    }
}

/// The version of each row; files older than the column have the rows of one version.
pub(super) fn versions_of(batch: &RecordBatch, versions: FileVersions) -> Result<Int32Array, LakeError> {
    let stored = scan::ints(batch, columns::DATASET_VERSION)?;
    if stored.null_count() == 0 {
        return Ok(stored);
    }
    Ok(Int32Array::from_value(i32::try_from(versions.first).unwrap_or(i32::MAX), batch.num_rows()))
}

/// A text column, whatever its encoding.
pub(super) fn texts(batch: &RecordBatch, name: &str) -> Result<ArrayRef, LakeError> {
    scan::column(batch, name, Kind::Text)
}
