//! Case files: CSV, NDJSON, Parquet and FHIR, each also gzip- or zstd-compressed, row by row into cases.
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

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use clinical::{Case, Issue, Study};

pub(crate) use self::{
    format::{Opened, open_path, stream_error},
    layout::replaced,
    record::{Broken, Cells, Content, Problem, Record, Records},
};
pub use again::{patient_id_of, read_again};
pub use format::{Format, Meter};

use self::{assemble::Assembler, csv::CsvRecords, layout::Layout, ndjson::JsonRecords, parquet::ParquetFile};
use crate::{FileError, Mapping, fhir::FhirRecords, phenopacket::PacketRecords, split::Part};

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
    /// The file's own columns, in their order; for NDJSON those seen so far; none where documents have none.
    pub found: Vec<String>,
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
    header: Vec<String>,
    meter: Meter,
    /// Which file the last row came from.
    file: usize,
    finished: bool,
}

/// A file's rows, how its columns are used, its format and header.
type Bound<'a> = (Box<dyn Records>, Layout<'a>, Format, Vec<String>);

impl<'a> CaseFile<'a> {
    /// Opens a file. Its first bytes tell format and compression; its name decides between CSV and
    /// NDJSON where it ends in `.csv`, `.ndjson` or `.jsonl`.
    ///
    /// # Errors
    /// The file cannot be read, is empty, lacks a required column (all are named), has a column twice,
    /// or the mapping does not fit it.
    pub fn open(path: &Path, reading: Reading<'a>) -> Result<Self, FileError> {
        let meter = Meter::default();
        Self::start(format::open_path(path, &meter)?, name_of(path), meter, reading)
    }

    /// Opens the files of one FHIR export, whose resources belong together whatever file they are in. A row's
    /// file is [`CaseFile::file`].
    ///
    /// # Errors
    /// As [`CaseFile::open`]; a file is no FHIR.
    pub fn open_export(paths: &[PathBuf], reading: Reading<'a>) -> Result<Self, FileError> {
        let meter = Meter::default();
        let mut parts = Vec::new();
        for path in paths {
            match format::open_path(path, &meter)? {
                Opened::Text { reader, .. } => parts.push(part(name_of(path), reader)),
                Opened::ParquetFile(_) | Opened::ParquetBytes(_) => {
                    return Err(FileError::Damaged { format: "FHIR", problem: "it is Parquet".to_owned() });
                }
            }
        }
        Self::export(parts, meter, reading)
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
        Self::start(format::open_reader(reader, format)?, String::new(), Meter::default(), reading)
    }

    fn start(content: Opened, name: String, meter: Meter, reading: Reading<'a>) -> Result<Self, FileError> {
        let Reading { study, mapping, .. } = reading;
        let bind = |header: &[String]| Layout::bind(header, study, mapping);
        let parquet = |file: ParquetFile| -> Result<Bound<'a>, FileError> {
            let (layout, header) = (bind(&file.names)?, file.names.clone());
            let records = file.read(&layout.read())?;
            Ok((Box::new(records), layout, Format::Parquet, header))
        };
        let by_rules = mapping.is_some_and(|mapping| mapping.fhir.is_some());
        let (records, layout, format, header) = match content {
            Opened::ParquetFile(file) => parquet(ParquetFile::open_file(file)?)?,
            Opened::ParquetBytes(bytes) => parquet(ParquetFile::open_bytes(bytes)?)?,
            Opened::Text { format, reader }
                if format == Format::Fhir || (by_rules && format == Format::Ndjson) =>
            {
                return Self::export(vec![part(name, reader)], meter, reading);
            }
            Opened::Text { format: Format::Phenopacket, reader } => {
                let records = PacketRecords::open(part(name, reader), study, mapping)?;
                let layout = bind(records.header())?;
                (Box::new(records) as Box<dyn Records>, layout, Format::Phenopacket, Vec::new())
            }
            Opened::Text { format: Format::Ndjson, reader } => {
                let header = layout::wanted(study, mapping);
                let records = JsonRecords::open(reader, &header)?;
                (Box::new(records) as Box<dyn Records>, bind(&header)?, Format::Ndjson, header)
            }
            Opened::Text { format, reader } => {
                let (mut records, header) =
                    CsvRecords::open(reader, mapping.map_or(b',', |mapping| mapping.delimiter))?;
                let layout = bind(&header)?;
                let read = layout.read();
                let unread = header.iter().enumerate().filter(|(column, _)| !read.contains(column));
                records.ignore(unread.map(|(_, name)| name.clone()).collect());
                (Box::new(records) as Box<dyn Records>, layout, format, header)
            }
        };
        Ok(Self::of((records, layout, format, header), meter, reading))
    }

    fn export(parts: Vec<Part>, meter: Meter, reading: Reading<'a>) -> Result<Self, FileError> {
        let records = FhirRecords::open(parts, reading.study, reading.mapping)?;
        let layout = Layout::bind(records.header(), reading.study, reading.mapping)?;
        Ok(Self::of((Box::new(records), layout, Format::Fhir, Vec::new()), meter, reading))
    }

    fn of(bound: Bound<'a>, meter: Meter, reading: Reading<'a>) -> Self {
        let (records, layout, format, header) = bound;
        let assembler = Assembler::new(layout, reading.source.to_owned(), reading.ingested_at);
        CaseFile { records, assembler, format, header, meter, file: 0, finished: false }
    }

    /// Rows that an export was joined to, as JSON objects.
    fn joined(text: &str, reading: Reading<'a>) -> Result<Self, FileError> {
        let export = FhirRecords::open(Vec::new(), reading.study, reading.mapping)?;
        let header = export.header().to_vec();
        let layout = Layout::bind(&header, reading.study, reading.mapping)?;
        let text = std::io::Cursor::new(text.as_bytes().to_vec());
        let records = JsonRecords::open(Box::new(text), &header)?;
        Ok(Self::of((Box::new(records), layout, Format::Ndjson, header), Meter::default(), reading))
    }

    /// Which of the files that were opened together the last row came from.
    pub fn file(&self) -> usize {
        self.file
    }

    /// How much of the files has been read, for who waits for the first row: an export's rows come after all
    /// of its resources.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The share of the input that has been read, 0 to 1; `None` for a stream of unknown length.
    pub fn done(&self) -> Option<f64> {
        self.records.done().or_else(|| self.meter.share())
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The header of a CSV file: refused rows are read again by it.
    pub fn header(&self) -> Option<&[String]> {
        (self.format == Format::Csv).then_some(self.header.as_slice())
    }

    /// What the columns are used for.
    pub fn columns(&self) -> Columns {
        let ignored = self.records.ignored();
        let read = self.header.iter().enumerate();
        let found = match self.format {
            Format::Csv | Format::Parquet => self.header.clone(),
            Format::Ndjson => {
                let seen = read.filter(|(column, _)| self.records.has(*column)).map(|(_, name)| name.clone());
                seen.chain(ignored.iter().cloned()).collect()
            }
            Format::Fhir | Format::Phenopacket => Vec::new(),
        };
        Columns { found, ignored, derived: self.assembler.layout.derived() }
    }

    /// Holds a file without a header to what is required of it, by the rows read so far: a reader that stops
    /// before the end asks here.
    ///
    /// # Errors
    /// No row so far had a required column; all are named.
    pub fn check_seen(&self) -> Result<(), FileError> {
        self.assembler.layout.check_seen(self.records.as_ref())
    }
}

impl Iterator for CaseFile<'_> {
    type Item = Result<Row, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.records.next_record() {
            Ok(Some(record)) => {
                self.file = record.file;
                Some(Ok(self.assembler.row(record)))
            }
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

fn part(name: String, reader: Box<dyn Read + Send>) -> Part {
    let by_line = Format::from_name(&name) == Some(Format::Ndjson);
    Part { name, by_line, reader }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// [`Mapping::check`].
pub(crate) fn check_mapping(study: &Study, mapping: &Mapping) -> Result<(), FileError> {
    if !mapping.is_fhir() {
        return layout::known_fields(mapping, study);
    }
    let records = FhirRecords::open(Vec::new(), study, Some(mapping))?;
    Layout::bind(records.header(), study, Some(mapping)).map(|_| ())
}
