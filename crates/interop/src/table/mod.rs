//! Tables out: typed columns and rows as CSV, NDJSON or Parquet. Numbers keep their full precision:
//! reading a written real gives the same bits.

mod cases;
mod columnar;
mod predictions;
mod predictor;
mod text;

use std::{
    io::{BufWriter, Write},
    path::Path,
};

use flate2::write::GzEncoder;

pub use cases::CaseWriter;
pub use predictions::PredictionWriter;
pub use predictor::{PossiblePatientWriter, PredictorTableWriter, answer_columns, answer_values};

use self::{
    columnar::ParquetTable,
    text::{CsvTable, JsonTable},
};
use crate::{Format, TableError};

/// What a column holds. Every value may also be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    Integer,
    /// Finite.
    Real,
    /// UTC microseconds since 1970: RFC 3339 in text files, a UTC timestamp in Parquet.
    Instant,
}

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'v> {
    Missing,
    Text(&'v str),
    Integer(i64),
    Real(f64),
    Instant(i64),
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        text.map_or(Value::Missing, Value::Text)
    }
}

/// How a text table is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFormat {
    pub format: Format,
    pub compression: Compression,
}

impl TableFormat {
    pub const CSV: TableFormat = TableFormat { format: Format::Csv, compression: Compression::None };

    /// The form that a file's name asks for: `.csv`, `.ndjson`, `.jsonl` (each also `.gz` or `.zst`),
    /// `.parquet`.
    ///
    /// # Errors
    /// Any other ending, or compressed Parquet.
    pub fn from_path(path: &Path) -> Result<TableFormat, TableError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let (stem, compression) = match (lower.strip_suffix(".gz"), lower.strip_suffix(".zst")) {
            (Some(stem), _) => (stem, Compression::Gzip),
            (_, Some(stem)) => (stem, Compression::Zstd),
            _ => (lower.as_str(), Compression::None),
        };
        let format = Format::from_name(stem).ok_or_else(|| TableError::UnknownEnding(name.clone()))?;
        if format == Format::Parquet && compression != Compression::None {
            return Err(TableError::CompressedParquet(name[..stem.len()].to_owned()));
        }
        Ok(TableFormat { format, compression })
    }
}

/// Writes one table, row by row, in constant memory.
pub struct TableWriter {
    columns: Vec<(String, ColumnType)>,
    sink: Sink,
}

enum Sink {
    Csv(Box<CsvTable>),
    Json(JsonTable),
    Parquet(Box<ParquetTable>),
}

impl TableWriter {
    /// Starts a table on `out`: for CSV the header row, even when no row follows.
    ///
    /// # Errors
    /// `out` fails.
    pub fn create(
        format: TableFormat,
        out: Box<dyn Write + Send>,
        columns: Vec<(String, ColumnType)>,
    ) -> Result<TableWriter, TableError> {
        let sink = match format.format {
            Format::Csv => {
                Sink::Csv(Box::new(CsvTable::create(Output::new(format.compression, out)?, &columns)?))
            }
            // No file name asks for the last two.
            Format::Ndjson | Format::Fhir | Format::Phenopacket => {
                Sink::Json(JsonTable::create(Output::new(format.compression, out)?, &columns)?)
            }
            Format::Parquet => Sink::Parquet(Box::new(ParquetTable::create(out, &columns)?)),
        };
        Ok(TableWriter { columns, sink })
    }

    pub fn columns(&self) -> &[(String, ColumnType)] {
        &self.columns
    }

    /// Adds a row: one value per column, of the column's type or missing. A refused row leaves the
    /// table as it was.
    ///
    /// # Errors
    /// The row does not fit the columns, a real is not finite, or the output fails.
    pub fn push(&mut self, row: &[Value<'_>]) -> Result<(), TableError> {
        if row.len() != self.columns.len() {
            return Err(TableError::Width { expected: self.columns.len(), got: row.len() });
        }
        for ((name, kind), value) in self.columns.iter().zip(row) {
            kind.check(name, value)?;
        }
        match &mut self.sink {
            Sink::Csv(table) => table.push(row),
            Sink::Json(table) => table.push(row),
            Sink::Parquet(table) => table.push(row),
        }
    }

    /// Writes what is left and closes the table. Without it the file is not complete.
    ///
    /// # Errors
    /// The output fails.
    pub fn finish(self) -> Result<(), TableError> {
        match self.sink {
            Sink::Csv(table) => table.finish(),
            Sink::Json(table) => table.finish(),
            Sink::Parquet(table) => table.finish(),
        }
    }
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TableWriter").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl ColumnType {
    fn check(self, name: &str, value: &Value<'_>) -> Result<(), TableError> {
        let expected = match (self, value) {
            (_, Value::Missing)
            | (ColumnType::Text, Value::Text(_))
            | (ColumnType::Integer, Value::Integer(_))
            | (ColumnType::Instant, Value::Instant(_)) => return Ok(()),
            (ColumnType::Real, Value::Real(number)) if number.is_finite() => return Ok(()),
            (ColumnType::Real, Value::Real(_)) => return Err(TableError::NotFinite(name.to_owned())),
            (ColumnType::Text, _) => "text",
            (ColumnType::Integer, _) => "whole numbers",
            (ColumnType::Real, _) => "real numbers",
            (ColumnType::Instant, _) => "times",
        };
        Err(TableError::Type { column: name.to_owned(), expected })
    }
}

/// Bytes out, compressed where asked.
pub(crate) enum Output {
    Plain(BufWriter<Box<dyn Write + Send>>),
    Gzip(Box<GzEncoder<BufWriter<Box<dyn Write + Send>>>>),
    Zstd(zstd::stream::write::Encoder<'static, Box<dyn Write + Send>>),
}

impl Output {
    fn new(compression: Compression, out: Box<dyn Write + Send>) -> Result<Output, TableError> {
        Ok(match compression {
            Compression::None => Output::Plain(BufWriter::new(out)),
            Compression::Gzip => {
                Output::Gzip(Box::new(GzEncoder::new(BufWriter::new(out), flate2::Compression::default())))
            }
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, 3)?;
                encoder.include_checksum(true)?;
                Output::Zstd(encoder)
            }
        })
    }

    fn finish(self) -> Result<(), TableError> {
        match self {
            Output::Plain(mut out) => out.flush()?,
            Output::Gzip(out) => out.finish()?.flush()?,
            Output::Zstd(out) => out.finish()?.flush()?,
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Output::Plain(out) => out.write(bytes),
            Output::Gzip(out) => out.write(bytes),
            Output::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Output::Plain(out) => out.flush(),
            Output::Gzip(out) => out.flush(),
            Output::Zstd(out) => out.flush(),
        }
    }
}
