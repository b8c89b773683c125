//! What stops a whole file. Everything that is wrong with one row is a value instead
//! ([`crate::Row::Refused`]). Texts name files' columns and keys, never a patient's value.

use crate::Format;

/// Why a case file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    #[error("the file cannot be read: {0}")]
    Io(#[source] std::io::Error),
    #[error("the file is empty")]
    Empty,
    #[error("the {0} data ends in the middle: the file is truncated or was still being written")]
    Truncated(&'static str),
    #[error("the {format} data is damaged: {problem}")]
    Damaged { format: &'static str, problem: String },
    #[error("the header row is not UTF-8 text: save the file as CSV in UTF-8, then ingest it again")]
    HeaderNotText,
    #[error("the header row is longer than {limit} bytes: this is not a {format} case file")]
    HeaderTooLong { format: Format, limit: usize },
    #[error("the file lacks {}: {}", columns(.0), .0.join(", "))]
    MissingColumns(Vec<String>),
    #[error(
        "mapping, `fhir.values.{0}` needs a `code`: the study has no input of this name with a LOINC code"
    )]
    ValueWithoutCode(String),
    #[error("the temporary file in which an export is sorted cannot be used: {0}")]
    Spill(#[source] std::io::Error),
    #[error("the file does not fit: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    DoesNotFit(Vec<FileError>),
    #[error("the file is none of Orphanet's product files: it holds no disease with an ORPHAcode")]
    NoDiseases,
    #[error("column `{0}` is in the file twice")]
    DuplicateColumn(String),
    #[error("mapping, line {line}: `{key}` refers to column `{column}`, which the file lacks")]
    MappedColumnMissing { line: usize, key: String, column: String },
    #[error("mapping, line {line}: `{key}` gives a value to `{field}`, which is no field of study `{study}`")]
    MappedFieldUnknown { line: usize, key: String, field: String, study: String },
    #[error(
        "the file holds more than {limit} bytes when decompressed, too many for compressed Parquet: decompress it first"
    )]
    TooLarge { limit: u64 },
}

impl FileError {
    /// All problems as one error; `None` where there is none.
    pub(crate) fn all(mut problems: Vec<FileError>) -> Option<FileError> {
        match problems.len() {
            0 | 1 => problems.pop(),
            _ => Some(FileError::DoesNotFit(problems)),
        }
    }
}

fn columns(missing: &[String]) -> &'static str {
    if missing.len() == 1 { "a required column" } else { "required columns" }
}

/// Why a mapping file was refused: where, which key, what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mapping, line {line}: {problem}")]
pub struct MappingError {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    #[error("the table cannot be written: {0}")]
    Io(#[from] std::io::Error),
    #[error("the table cannot be written as Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("the table cannot be written as Parquet: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("`{0}` does not end in .csv, .ndjson, .jsonl or .parquet (with .gz or .zst where wanted)")]
    UnknownEnding(String),
    #[error("Parquet compresses by itself: write `{0}` without a further ending")]
    CompressedParquet(String),
    #[error("a row has {got} values, the table {expected} columns")]
    Width { expected: usize, got: usize },
    #[error("column `{column}` takes {expected}")]
    Type { column: String, expected: &'static str },
    #[error("column `{0}` got a number that is not finite")]
    NotFinite(String),
}
