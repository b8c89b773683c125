//! What can go wrong, named by table, file, column or version; never by a patient's value.

use std::path::{Path, PathBuf};

use deltalake_core::DeltaTableError;

/// Why the lake could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("table {table}: {source}")]
    Table { table: &'static str, source: Box<DeltaTableError> },
    #[error("{path}: {source}")]
    Parquet { path: PathBuf, source: parquet::errors::ParquetError },
    #[error("columns: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("another ingest, or another change of the lake, is running (lock {lock})")]
    Busy { lock: PathBuf },
    #[error("there is no dataset version {version}; the newest is {newest}")]
    NoSuchVersion { version: u64, newest: u64 },
    #[error("the case table has no column {column}")]
    NoSuchColumn { column: String },
    #[error("column {column} has the type {found}, not {expected}")]
    ColumnType { column: String, found: String, expected: &'static str },
    #[error("a row has {found} inputs, the schema names {expected}")]
    WrongWidth { found: usize, expected: usize },
    #[error("input column {column} has a name that the case table uses itself or that appears twice")]
    ReservedColumn { column: String },
    #[error("slot {slot} for stratum {stratum} is not below 20")]
    BadSlot { stratum: String, slot: u8 },
    #[error("commit {commit} of table {table} holds a record that cannot be read: {source}")]
    BadRecord { table: &'static str, commit: u64, source: serde_json::Error },
    #[error("cells of different plans cannot be added")]
    DifferentCohorts,
    #[error("a cell map gave {cell}, which is not below its {cells} cells")]
    BadCell { cell: u32, cells: u32 },
    #[error("a worker thread stopped without an answer")]
    WorkerStopped,
    #[error("the ingest failed earlier and must be begun again")]
    IngestFailed,
}

impl LakeError {
    /// Whether a data file was not there any more.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, LakeError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> LakeError + '_ {
        move |source| LakeError::Io { path: path.to_owned(), source }
    }

    pub(crate) fn parquet(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> LakeError + '_ {
        move |source| LakeError::Parquet { path: path.to_owned(), source }
    }

    pub(crate) fn table(table: &'static str) -> impl Fn(DeltaTableError) -> LakeError {
        move |source| LakeError::Table { table, source: Box::new(source) }
    }
}
