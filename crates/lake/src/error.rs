//! What can go wrong, named by table, file, column or version; never by a patient's value.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::TransactionError;
use object_store::Error as StoreError;
use parquet::errors::ParquetError;

/// Why the lake could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{path}: the disk is full ({cause}); nothing of this was stored: make room, then run the command again"
    )]
    Full { path: PathBuf, cause: std::io::Error },
    #[error("the storage URL {url} cannot be used: {problem}")]
    StorageUrl { url: String, problem: String },
    #[error("{place}: {cause}; {remedy}")]
    Storage { place: String, cause: String, remedy: &'static str },
    #[error(
        "{file} is damaged: {problem}; restore this file from a backup (`hoofbeat doctor` names every damaged one)"
    )]
    Damaged { file: String, problem: String },
    #[error("table {table}: {source}")]
    Table { table: &'static str, source: Box<DeltaTableError> },
    #[error("{file}: {source}")]
    Parquet { file: String, source: ParquetError },
    #[error("columns: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("another ingest, or another change of the lake, is running (lock {lock})")]
    Busy { lock: String },
    #[error(
        "another writer changed table {table} in the meantime: nothing was stored; run the command again"
    )]
    Overtaken { table: &'static str },
    #[error(
        "the lease {lease} could not be renewed in time, so another writer may have begun: nothing was stored; \
         run the command again"
    )]
    LeaseLost { lease: String },
    #[error(
        "the storage stopped answering while table {table} was changed ({cause}), so the change may or may not be there; \
         run the command again: rows that arrived count as duplicates then"
    )]
    Unsure { table: &'static str, cause: String },
    #[error("there is no dataset version {version}; the newest is {newest}")]
    NoSuchVersion { version: u64, newest: u64 },
    #[error("the case table has no column {column}")]
    NoSuchColumn { column: String },
    #[error("column {column} has the type {found}, not {expected}")]
    ColumnType { column: String, found: String, expected: &'static str },
    #[error("a row has {found} inputs, the schema names {expected}")]
    WrongWidth { found: usize, expected: usize },
    #[error(
        "input column {column} has a name that the table uses itself or that appears twice: rename it in the study"
    )]
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
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                LakeError::Full { path: path.to_owned(), cause: source }
            }
            _ => LakeError::Io { path: path.to_owned(), source },
        }
    }

    /// An object store's error about `place`, a URL or a table.
    pub(crate) fn storage(place: impl Into<String>) -> impl FnOnce(StoreError) -> LakeError {
        let place = place.into();
        move |cause| LakeError::at_store(place, cause.to_string())
    }

    /// The Parquet library's error about a file; errors of the disk or store below it are named as such.
    pub(crate) fn parquet(file: impl Into<String>) -> impl FnOnce(ParquetError) -> LakeError {
        let file = file.into();
        move |source| match source {
            ParquetError::External(below) => match below.downcast::<std::io::Error>() {
                Ok(io) => LakeError::write(&file, *io),
                Err(other) => LakeError::Parquet { file, source: ParquetError::External(other) },
            },
            source => LakeError::Parquet { file, source },
        }
    }

    /// What went wrong in writing `file` through [`std::io::Write`].
    fn write(file: &str, io: std::io::Error) -> LakeError {
        match io.downcast::<StoreError>() {
            Ok(cause) => LakeError::storage(file)(cause),
            Err(io) => LakeError::io(Path::new(file))(io),
        }
    }

    pub(crate) fn table(table: &'static str) -> impl Fn(DeltaTableError) -> LakeError {
        move |source| match source {
            DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::MaxCommitAttempts(_) | TransactionError::VersionAlreadyExists(_),
            } => LakeError::Overtaken { table },
            source => {
                // The table library wraps what its store said in several ways; the store's own words are in all of them.
                let text = source.to_string();
                if text.contains("Error performing ") {
                    return LakeError::at_store(format!("table {table}"), text);
                }
                LakeError::Table { table, source: Box::new(source) }
            }
        }
    }

    fn at_store(place: String, cause: String) -> LakeError {
        let remedy = match cause.as_str() {
            // A refused listing has no kind of its own: the server's status tells.
            refused if refused.contains("403 Forbidden") || refused.contains("401 Unauthorized") => {
                "check the credentials, and that they may list, read, write and delete there"
            }
            missing if missing.contains("404 Not Found") => "check that it exists",
            _ => "check that the storage answers (`hoofbeat doctor`), then run the command again",
        };
        LakeError::Storage { place, cause, remedy }
    }
}
