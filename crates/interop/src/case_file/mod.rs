//! Case files: CSV, NDJSON and Parquet, each also gzip- or zstd-compressed, row by row into cases.
//!
//! What is wrong with one row is a value, with every issue of the row at once; only a file that cannot
//! be a case file, or that ends in the middle of its compressed data, is an error.

mod again;
mod assemble;
pub(crate) mod csv;
mod fields;
pub(crate) mod format;
mod identity;
mod layout;
mod lines;
pub(crate) mod ndjson;
pub(crate) mod parquet;
pub(crate) mod record;

use std::{io::Read, path::Path, sync::Arc};

use clinical::{Case, Issue, Study};

pub use again::{patient_id_of, read_again};
pub use format::Format;

use self::{
    assemble::Assembler, csv::CsvRecords, format::Content, layout::Layout, ndjson::JsonRecords,
    parquet::ParquetFile, record::Records,
};
use crate::{FileError, Mapping};

/// How a file is to be understood.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    pub study: &'a Study,
    pub mapping: Option<&'a Mapping>,
    /// The source of rows that name none.
    pub source: &'a str,
    /// The time of rows that have none, UTC microseconds since 1970.
    pub ingested_at: i64,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    Accepted(Case),
    /// Something is wrong with it; all issues at once. Issues of the row itself, not of a field,
    /// have the field `row`.
    Refused {
        /// Its line in a text file, its row in a Parquet file, from 1.
        line: u64,
        /// Where it has one that can be read.
        case_id: Option<String>,
        issues: Vec<Issue>,
        /// The row as it stands in the file, at most 64 KiB: CSV or JSON text, or a Parquet row as a
        /// JSON object. Holds a patient's values: for the quarantine only.
        raw: String,
    },
    /// The mapping leaves it out.
    Skipped {
        line: u64,
        reason: Arc<str>,
    },
}

/// What a file's columns were used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Nobody asked for them. For NDJSON: seen so far, the first 256.
    pub ignored: Vec<String>,
    /// Fields that the file lacks and that are derived: `case_id`, `patient_id`, `recorded_at`, `source`.
    pub derived: Vec<&'static str>,
}

/// An open case file: an iterator over its rows. The first error is the last item.
pub struct CaseFile<'a> {
    records: Box<dyn Records>,
    assembler: Assembler<'a>,
    format: Format,
    header: Option<Vec<String>>,
    finished: bool,
}

impl<'a> CaseFile<'a> {
    /// Opens a file. Its first bytes tell format and compression; its name decides between CSV and
    /// NDJSON where it ends in `.csv`, `.ndjson` or `.jsonl`.
    ///
    /// # Errors
    /// The file cannot be read, is empty, lacks a required column (all are named), has a column twice,
    /// or the mapping does not fit it.
    pub fn open(path: &Path, reading: Reading<'a>) -> Result<Self, FileError> {
        Self::start(format::open_path(path)?, reading)
    }

    /// Reads a stream in the same way. `format` decides where it is known; Parquet is read into memory.
    ///
    /// # Errors
    /// As [`CaseFile::open`].
    pub fn stream(
        reader: Box<dyn Read + Send>,
        format: Option<Format>,
        reading: Reading<'a>,
    ) -> Result<Self, FileError> {
        Self::start(format::open_reader(reader, format)?, reading)
    }

    fn start(content: Content, reading: Reading<'a>) -> Result<Self, FileError> {
        let Reading { study, mapping, source, ingested_at } = reading;
        let bind = |header: &[String]| Layout::bind(header, study, mapping);
        let mut csv_header = None;
        let parquet = |file: ParquetFile| -> Result<(Box<dyn Records>, Layout<'a>, Format), FileError> {
            let layout = bind(&file.names)?;
            let records = file.read(&layout.read())?;
            Ok((Box::new(records), layout, Format::Parquet))
        };
        let (records, layout, format) = match content {
            Content::ParquetFile(file) => parquet(ParquetFile::open_file(file)?)?,
            Content::ParquetBytes(bytes) => parquet(ParquetFile::open_bytes(bytes)?)?,
            Content::Text { format: Format::Ndjson, reader } => {
                let header = layout::wanted(study, mapping);
                let records = JsonRecords::open(reader, &header)?;
                (Box::new(records) as Box<dyn Records>, bind(&header)?, Format::Ndjson)
            }
            Content::Text { format, reader } => {
                let (mut records, header) =
                    CsvRecords::open(reader, mapping.map_or(b',', |mapping| mapping.delimiter))?;
                let layout = bind(&header)?;
                csv_header = Some(header.clone());
                let read = layout.read();
                let unread = header.into_iter().enumerate().filter(|(column, _)| !read.contains(column));
                records.ignore(unread.map(|(_, name)| name).collect());
                (Box::new(records) as Box<dyn Records>, layout, format)
            }
        };
        let assembler = Assembler::new(layout, source.to_owned(), ingested_at);
        Ok(CaseFile { records, assembler, format, header: csv_header, finished: false })
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The header of a CSV file: refused rows are read again by it.
    pub fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// What the columns are used for.
    pub fn columns(&self) -> Columns {
        Columns { ignored: self.records.ignored(), derived: self.assembler.layout.derived() }
    }
}

impl Iterator for CaseFile<'_> {
    type Item = Result<Row, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.records.next_record() {
            Ok(Some(record)) => Some(Ok(self.assembler.row(record))),
            Ok(None) => {
                self.finished = true;
                self.assembler.layout.check_seen(self.records.as_ref()).err().map(Err)
            }
            Err(error) => {
                self.finished = true;
                Some(Err(error))
            }
        }
    }
}

impl std::fmt::Debug for CaseFile<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CaseFile").field("format", &self.format).finish_non_exhaustive()
    }
}
