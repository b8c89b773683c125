//! Reading data files: only the columns asked for, a batch at a time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int8Array, Int32Array, Int64Array, RecordBatch, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int8Type, Int32Type, Int64Type, TimestampMicrosecondType};
use futures_util::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::file::statistics::Statistics;

use crate::schema::{Kind, columns as names};
use crate::selection::{Batches, RowGroup, Selection};
use crate::storage::{FileBatches, StoredFile, block_on};
use crate::table::{DataFile, Table};
use crate::{Lake, LakeError};

/// Rows of a batch: its columns fit the second-level cache.
pub(crate) const BATCH_ROWS: usize = 1 << 14;

/// Footers of a bucket's files that are fetched at once.
const PARALLEL_OPENS: usize = 16;

/// A data file whose footer was read.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    stored: StoredFile,
    metadata: ArrowReaderMetadata,
}

impl OpenFile {
    /// # Errors
    /// [`LakeError::Damaged`] when the file is not what its commit says.
    pub(crate) fn open(table: &Table, file: &DataFile) -> Result<OpenFile, LakeError> {
        block_on(OpenFile::load(table, file))?
    }

    /// Opens several files, of a bucket at the same time.
    pub(crate) fn open_all<'a>(
        table: &Table,
        files: impl Iterator<Item = &'a DataFile>,
    ) -> Result<Vec<OpenFile>, LakeError> {
        let loads: Vec<_> = files.map(|file| OpenFile::load(table, file)).collect();
        block_on(futures_util::stream::iter(loads).buffered(PARALLEL_OPENS).try_collect())?
    }

    async fn load(table: &Table, file: &DataFile) -> Result<OpenFile, LakeError> {
        let stored = table.folder.file(&file.name);
        Ok(OpenFile { metadata: stored.metadata(file.bytes).await?, stored })
    }

    pub(crate) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.metadata.metadata().file_metadata().num_rows().unsigned_abs()
    }

    /// Smallest and largest value of an integer column in a row group, where its footer says so for all rows.
    pub(crate) fn int_range(&self, row_group: usize, column: &str) -> Option<(i32, i32)> {
        let group = self.metadata.metadata().row_group(row_group);
        let column = group.columns().iter().find(|chunk| chunk.column_path().string() == column)?;
        match column.statistics()? {
            Statistics::Int32(values) if values.null_count_opt() == Some(0) => {
                Some((*values.min_opt()?, *values.max_opt()?))
            }
            _ => None,
        }
    }

    /// Batches of one row group (`None`: of all). Columns that the file lacks are left out.
    pub(crate) fn read(
        &self,
        row_group: Option<usize>,
        columns: &[impl AsRef<str>],
    ) -> Result<FileBatches, LakeError> {
        let schema = self.metadata.metadata().file_metadata().schema_descr();
        let mask = ProjectionMask::columns(schema, columns.iter().map(AsRef::as_ref));
        let groups = match row_group {
            Some(group) => group..group + 1,
            None => 0..self.row_groups(),
        };
        Ok(FileBatches::new(self.stored.clone(), self.metadata.clone(), mask, groups, BATCH_ROWS))
    }
}

/// Batches of all files in turn, with `columns` in that order; a column that a file lacks is all null.
pub(crate) fn batches<'a>(
    table: &'a Table,
    files: &'a [DataFile],
    columns: &'a [&'a str],
) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a, LakeError> {
    let mut files = files.iter();
    let mut current: Option<FileBatches> = None;
    Ok(std::iter::from_fn(move || {
        loop {
            if let Some(batch) = current.as_mut().and_then(Iterator::next) {
                return Some(batch);
            }
            let file = files.next()?;
            match OpenFile::open(table, file).and_then(|file| file.read(None, columns)) {
                Ok(reader) => current = Some(reader),
                Err(error) => return Some(Err(error)),
            }
        }
    }))
}

/// Column `name` of `batch` as `kind`, converted where another writer stored it otherwise, null where it is missing.
pub(crate) fn column(batch: &RecordBatch, name: &str, kind: Kind) -> Result<ArrayRef, LakeError> {
    let wanted = kind.arrow();
    match batch.column_by_name(name) {
        None => Ok(new_null_array(&wanted, batch.num_rows())),
        Some(column) if *column.data_type() == wanted => Ok(Arc::clone(column)),
        Some(column) => Ok(cast(column, &wanted)?),
    }
}

pub(crate) fn longs(batch: &RecordBatch, name: &str) -> Result<Int64Array, LakeError> {
    Ok(column(batch, name, Kind::Long)?.as_primitive::<Int64Type>().clone())
}

pub(crate) fn ints(batch: &RecordBatch, name: &str) -> Result<Int32Array, LakeError> {
    Ok(column(batch, name, Kind::Int)?.as_primitive::<Int32Type>().clone())
}

pub(crate) fn bytes(batch: &RecordBatch, name: &str) -> Result<Int8Array, LakeError> {
    Ok(column(batch, name, Kind::Byte)?.as_primitive::<Int8Type>().clone())
}

/// Some rows of the case table, by column.
#[derive(Debug, Clone)]
pub struct CaseChunk {
    batch: RecordBatch,
}

impl CaseChunk {
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn typed(&self, name: &str, kind: Kind) -> Result<ArrayRef, LakeError> {
        if self.batch.column_by_name(name).is_none() {
            return Err(LakeError::NoSuchColumn { column: name.to_owned() });
        }
        column(&self.batch, name, kind)
    }

    /// An input, or the slot, as numbers; `None` where it is null.
    pub fn ints(&self, name: &str) -> Result<Vec<Option<i32>>, LakeError> {
        Ok(self.typed(name, Kind::Int)?.as_primitive::<Int32Type>().iter().collect())
    }

    /// A time column: microseconds since 1970-01-01T00:00:00Z.
    pub fn instants(&self, name: &str) -> Result<Vec<Option<i64>>, LakeError> {
        let column = self.typed(name, Kind::Instant)?;
        Ok(column.as_primitive::<TimestampMicrosecondType>().iter().collect())
    }

    /// A key column: the bits of the 64-bit hash.
    pub fn keys(&self, name: &str) -> Result<Vec<Option<u64>>, LakeError> {
        let column = self.typed(name, Kind::Long)?;
        Ok(column.as_primitive::<Int64Type>().iter().map(|key| key.map(i64::cast_unsigned)).collect())
    }

    /// A text column.
    pub fn texts(&self, name: &str) -> Result<Vec<Option<String>>, LakeError> {
        let column = self.typed(name, Kind::Text)?;
        Ok(column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
    }

    /// The rows as Arrow has them.
    pub fn record_batch(&self) -> &RecordBatch {
        &self.batch
    }
}

/// Iterator over selected rows, in chunks of at most 16,384.
#[derive(Debug)]
pub struct CaseScan {
    selection: Selection,
    next_file: usize,
    row_groups: std::vec::IntoIter<RowGroup>,
    columns: Vec<(String, DataType)>,
    current: Option<Batches>,
}

impl CaseScan {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        loop {
            if let Some(batch) = self.current.as_mut().and_then(Iterator::next) {
                return Ok(Some(batch?));
            }
            if let Some(row_group) = self.row_groups.next() {
                let wanted: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
                self.current = Some(row_group.read(&wanted)?);
            } else if let Some(file) = self.selection.files().get(self.next_file) {
                self.row_groups = self.selection.open(file)?.into_iter();
                self.next_file += 1;
            } else {
                return Ok(None);
            }
        }
    }

    fn chunk(&self, batch: &RecordBatch) -> Result<CaseChunk, LakeError> {
        let columns = self.columns.iter().map(|(name, data_type)| {
            let column = match batch.column_by_name(name) {
                // A study's own column is a number, unless it is stored as a text: its note.
                Some(column) if *column.data_type() == DataType::Utf8 => Arc::clone(column),
                Some(column) => cast(column, data_type)?,
                None => new_null_array(data_type, batch.num_rows()),
            };
            Ok((name.as_str(), column, true))
        });
        let columns = columns.collect::<Result<Vec<_>, LakeError>>()?;
        Ok(CaseChunk { batch: RecordBatch::try_from_iter_with_nullable(columns)? })
    }
}

impl Iterator for CaseScan {
    type Item = Result<CaseChunk, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch().transpose()?;
        Some(batch.and_then(|batch| self.chunk(&batch)))
    }
}

impl Lake {
    /// The rows of a dataset version, with `columns` (names of [`columns`](crate::columns) or study inputs).
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`], [`LakeError::NoSuchColumn`].
    pub fn scan_cases(&self, version: u64, columns: &[&str]) -> Result<CaseScan, LakeError> {
        self.rows(version)?.scan(columns)
    }

    /// The rows that `version` has and `after` has not, as [`Lake::rows_between`] has them. Reads no other.
    ///
    /// # Errors
    /// As [`Lake::scan_cases`].
    pub fn scan_cases_since(
        &self,
        after: u64,
        version: u64,
        columns: &[&str],
    ) -> Result<CaseScan, LakeError> {
        self.rows_between(after, version)?.scan(columns)
    }
}

impl Selection {
    /// The rows, with `columns` (names of [`columns`](crate::columns) or study inputs).
    ///
    /// # Errors
    /// [`LakeError::NoSuchColumn`].
    pub fn scan(self, columns: &[&str]) -> Result<CaseScan, LakeError> {
        let mut typed = Vec::new();
        for &name in columns {
            self.expect_column(name)?;
            typed.push((name.to_owned(), plain_type(name)));
        }
        let row_groups = Vec::new().into_iter();
        Ok(CaseScan { selection: self, next_file: 0, row_groups, columns: typed, current: None })
    }
}

/// Type of a case column in a chunk: plain text instead of dictionaries.
fn plain_type(name: &str) -> DataType {
    let kind = match name {
        names::CASE_ID | names::PATIENT_ID | names::SOURCE => Kind::Text,
        names::SEVERITY | names::RARITY | names::DISEASE_CODE => Kind::Text,
        names::RECORDED_AT | names::CONFIRMED_AT => Kind::Instant,
        names::CASE_KEY | names::PATIENT_KEY => Kind::Long,
        _ => Kind::Int,
    };
    kind.arrow()
}
