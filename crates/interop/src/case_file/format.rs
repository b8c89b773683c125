//! What a file is: its format and compression, told by its first bytes and, where they do not
//! decide, by its name.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Chain, Cursor, Read, Seek},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use crate::{FileError, fhir::is_fhir, phenopacket::is_phenopacket};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// RFC 4180, UTF-8, with a header row.
    Csv,
    /// One JSON object per line.
    Ndjson,
    Parquet,
    /// FHIR R4: resources line by line, or a Bundle.
    Fhir,
    /// GA4GH Phenopackets, version 2, as JSON.
    Phenopacket,
}

impl Format {
    /// The format that a file name's ending tells (`cases.csv`, `cases.ndjson.gz`), if it does.
    pub fn from_name(name: &str) -> Option<Format> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" => Some(Format::Csv),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }
}

impl Format {
    /// What a file is, by its content and name; nothing of it is checked.
    ///
    /// # Errors
    /// It cannot be read, is empty, or its compression is damaged.
    pub fn of_file(path: &Path) -> Result<Format, FileError> {
        Ok(match open_path(path, &Meter::default())? {
            Opened::Text { format, .. } => format,
            Opened::ParquetFile(_) | Opened::ParquetBytes(_) => Format::Parquet,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Format::Csv => "CSV",
            Format::Ndjson => "NDJSON",
            Format::Parquet => "Parquet",
            Format::Fhir => "FHIR",
            Format::Phenopacket => "Phenopacket",
        })
    }
}

/// Compressed Parquet is unpacked into memory, because Parquet is read from its end; up to here.
const UNPACKED_LIMIT: u64 = 1 << 30;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const PARQUET: [u8; 4] = *b"PAR1";
/// Enough to see past a byte-order mark, leading blank lines and the keys before a resource's type.
const PEEK: usize = 1 << 14;

/// How much of the opened files has been read, as they lie on disk.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    read: Arc<AtomicU64>,
    length: Arc<AtomicU64>,
}

impl Meter {
    fn watch(&self, file: File, length: u64) -> Metered {
        self.length.fetch_add(length, Relaxed);
        Metered { file, meter: self.clone() }
    }

    /// 0 to 1; `None` where the length is not known.
    pub fn share(&self) -> Option<f64> {
        let (read, length) = (self.read.load(Relaxed), self.length.load(Relaxed));
        (length > 0).then(|| (read as f64 / length as f64).min(1.0))
    }
}

/// A file whose reading is measured.
struct Metered {
    file: File,
    meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.meter.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

/// The content of a case file, opened and recognised.
pub(crate) enum Opened {
    Text { format: Format, reader: Box<dyn Read + Send> },
    ParquetFile(File),
    ParquetBytes(Bytes),
}

/// Opens a file. Only Parquet is read out of order.
pub(crate) fn open_path(path: &Path, meter: &Meter) -> Result<Opened, FileError> {
    let mut file = File::open(path).map_err(FileError::Io)?;
    let mut magic = Vec::with_capacity(PARQUET.len());
    Read::by_ref(&mut file).take(PARQUET.len() as u64).read_to_end(&mut magic).map_err(FileError::Io)?;
    let seekable = file.rewind();
    let named = path.file_name().and_then(|name| Format::from_name(&name.to_string_lossy()));
    match seekable {
        Ok(()) if magic == PARQUET => Ok(Opened::ParquetFile(file)),
        Ok(()) => {
            let length = file.metadata().map_or(0, |data| data.len());
            open_reader(Box::new(meter.watch(file, length)), named)
        }
        // A pipe given by its path: what was looked at is put back in front.
        Err(_) => open_reader(Box::new(Cursor::new(magic).chain(file)), named),
    }
}

/// Opens a stream; `named` is the format that a name told, if there was one.
pub(crate) fn open_reader(reader: Box<dyn Read + Send>, named: Option<Format>) -> Result<Opened, FileError> {
    let (first, reader) = peek(reader).map_err(FileError::Io)?;
    if first.is_empty() {
        return Err(FileError::Empty);
    }
    let (first, mut reader, packed): (_, Box<dyn Read + Send>, bool) = if first.starts_with(&GZIP) {
        let reader = Checked { inner: MultiGzDecoder::new(BufReader::new(reader)), name: "gzip" };
        let (first, reader) = peek(Box::new(reader)).map_err(stream_error)?;
        (first, Box::new(reader), true)
    } else if first.starts_with(&ZSTD) {
        let inner = zstd::stream::read::Decoder::new(reader).map_err(FileError::Io)?;
        let (first, reader) = peek(Box::new(Checked { inner, name: "zstd" })).map_err(stream_error)?;
        (first, Box::new(reader), true)
    } else {
        (first, Box::new(reader), false)
    };
    if first.is_empty() {
        return Err(FileError::Empty);
    }
    if first.starts_with(&PARQUET) || named == Some(Format::Parquet) {
        let limit = if packed { UNPACKED_LIMIT } else { u64::MAX };
        let mut bytes = Vec::new();
        Read::by_ref(&mut reader).take(limit).read_to_end(&mut bytes).map_err(stream_error)?;
        if bytes.len() as u64 == limit {
            return Err(FileError::TooLarge { limit });
        }
        return Ok(Opened::ParquetBytes(Bytes::from(bytes)));
    }
    let json = looks_like_json(&first);
    let format = match named {
        Some(Format::Csv) => Format::Csv,
        _ if json && is_fhir(&first) => Format::Fhir,
        _ if json && is_phenopacket(&first) => Format::Phenopacket,
        Some(named) => named,
        None if json => Format::Ndjson,
        None => Format::Csv,
    };
    Ok(Opened::Text { format, reader })
}

fn looks_like_json(first: &[u8]) -> bool {
    let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

type Peeked = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// The first bytes, and a reader that still starts with them.
fn peek(mut reader: Box<dyn Read + Send>) -> io::Result<(Vec<u8>, Peeked)> {
    let mut first = Vec::with_capacity(PEEK);
    Read::by_ref(&mut reader).take(PEEK as u64).read_to_end(&mut first)?;
    Ok((first.clone(), Cursor::new(first).chain(reader)))
}

/// A decompressor whose errors say which compression failed and how.
struct Checked<R> {
    inner: R,
    name: &'static str,
}

/// An error of a decompressor, carried through [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
struct Unpacking {
    name: &'static str,
    truncated: bool,
    problem: String,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::other(Unpacking {
                name: self.name,
                truncated: kind == io::ErrorKind::UnexpectedEof,
                problem: error.to_string(),
            }),
        })
    }
}

/// An error while reading a possibly compressed stream.
pub(crate) fn stream_error(error: io::Error) -> FileError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Unpacking>()) {
        Some(unpacking) if unpacking.truncated => FileError::Truncated(unpacking.name),
        Some(unpacking) => FileError::Damaged { format: unpacking.name, problem: unpacking.problem.clone() },
        None => FileError::Io(error),
    }
}
