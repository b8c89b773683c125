//! One row as a file reader hands it over: its cells, or what keeps it from having any.

use std::sync::Arc;

use clinical::{Issue, IssueCode};

use super::{csv::CsvRecord, ndjson::JsonRecord, parquet::ParquetRecord};
use crate::{FileError, built::BuiltRecord, cell::Cell};

/// The longest text of a refused row that is handed on to the quarantine, in bytes.
pub(crate) const RAW_LIMIT: usize = 1 << 16;

/// Rows of one file, in order.
pub(crate) trait Records: Send {
    /// The next row; `None` at the end.
    fn next_record(&mut self) -> Result<Option<Record<'_>>, FileError>;

    /// Columns seen so far that nobody asked for.
    fn ignored(&self) -> Vec<String>;

    /// The share of the rows that has been read, where the format tells.
    fn done(&self) -> Option<f64> {
        None
    }

    /// Whether the file has this column; where only the rows tell, whether any row so far had it.
    fn has(&self, _column: usize) -> bool {
        true
    }
}

/// One row and its place: the line of a text file, the row number of a Parquet file, from 1.
pub(crate) struct Record<'r> {
    /// Which of the files that are read together.
    pub(crate) file: usize,
    pub(crate) line: u64,
    pub(crate) content: Content<'r>,
}

impl<'r> Record<'r> {
    /// A row of a file that is read alone.
    pub(crate) fn new(line: u64, content: Result<Cells<'r>, Broken>) -> Record<'r> {
        let content = content.map_or_else(Content::Broken, Content::Cells);
        Record { file: 0, line, content }
    }
}

/// What a row is.
pub(crate) enum Content<'r> {
    Cells(Cells<'r>),
    Broken(Broken),
    /// Left out by a rule of its format, for this reason.
    Left(Arc<str>),
}

/// A row that has cells.
pub(crate) enum Cells<'r> {
    Csv(CsvRecord<'r>),
    Json(JsonRecord<'r>),
    Parquet(ParquetRecord<'r>),
    Built(&'r BuiltRecord),
}

impl Cells<'_> {
    /// The cell of a column (its number in the file's header).
    #[inline]
    pub(crate) fn get(&self, column: usize) -> Cell<'_> {
        match self {
            Cells::Csv(record) => record.get(column),
            Cells::Json(record) => record.get(column),
            Cells::Parquet(record) => record.get(column),
            Cells::Built(record) => record.get(column),
        }
    }

    /// What is wrong beyond its cells' values.
    pub(crate) fn issues(&self) -> &[Issue] {
        match self {
            Cells::Built(record) => &record.issues,
            Cells::Csv(_) | Cells::Json(_) | Cells::Parquet(_) => &[],
        }
    }

    /// The row as text, for the quarantine.
    pub(crate) fn raw(&self) -> String {
        match self {
            Cells::Csv(record) => bounded(record.raw),
            Cells::Json(record) => bounded(record.raw),
            Cells::Parquet(record) => bounded(&record.raw()),
            Cells::Built(record) => bounded(&record.raw()),
        }
    }
}

/// A row without cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) issues: Vec<Issue>,
    pub(crate) raw: String,
}

impl Broken {
    /// With the row's text; bytes that are not text become U+FFFD.
    pub(crate) fn new(issues: Vec<Issue>, raw: &[u8]) -> Broken {
        Broken { issues, raw: bounded(&String::from_utf8_lossy(&raw[..raw.len().min(RAW_LIMIT)])) }
    }
}

/// Why a row has no cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// CSV: not as many fields as the header has.
    Ragged {
        expected: usize,
    },
    /// CSV: a quote that does not open and close a whole field.
    Quote,
    NotUtf8,
    /// A NUL character.
    Nul,
    TooLong,
    /// NDJSON: not one JSON object.
    NotAnObject,
    /// NDJSON: this key twice.
    RepeatedKey(String),
}

impl Problem {
    pub(crate) fn issue(&self) -> Issue {
        let wrong = || Issue::new("row", IssueCode::WrongType);
        match self {
            Problem::Ragged { expected } => Issue::new("row", IssueCode::Inconsistent).expecting(
                format!("de {expected} campos, como la cabecera"),
                format!("{expected} fields long, as the header is"),
            ),
            Problem::Quote => wrong().expecting(
                "CSV según RFC 4180: una comilla abre y cierra un campo entero",
                "CSV by RFC 4180: a quote opens and closes a whole field",
            ),
            Problem::NotUtf8 => wrong().expecting("texto UTF-8", "UTF-8 text"),
            Problem::Nul => wrong().expecting("texto sin caracteres NUL", "text without NUL characters"),
            Problem::TooLong => Issue::new("row", IssueCode::OutOfRange)
                .expecting("como mucho 1 MiB por fila", "at most 1 MiB a row"),
            Problem::NotAnObject => wrong().expecting("un objeto JSON", "one JSON object"),
            Problem::RepeatedKey(key) => {
                Issue::new(key, IssueCode::Inconsistent).expecting("un solo valor por campo", "given once")
            }
        }
    }

    /// The same with the row's text.
    pub(crate) fn with(self, raw: &[u8]) -> Broken {
        Broken::new(vec![self.issue()], raw)
    }
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(RAW_LIMIT)].to_owned()
}
