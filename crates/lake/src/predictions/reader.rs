//! Reading the log: one record by its identifier, or all of them in order.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::LogError;
use super::frame::{self, Address, HEADER, Header, Span};
use super::segment::{self, MAGIC};

/// Bytes of the one read that finds a record; a longer record costs a second one.
const FIRST_READ: usize = 8 << 10;
/// Open segment files kept for [`PredictionReader::get`].
const OPEN_FILES: usize = 64;

/// A read end of all logs in a folder. Needs no lock; may be used while another process writes.
#[derive(Debug, Clone)]
pub struct PredictionReader {
    dir: PathBuf,
    files: Arc<Mutex<HashMap<u32, Arc<File>>>>,
}

/// A stretch of a segment that holds no valid record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    pub segment: u32,
    pub offset: u32,
    pub bytes: u32,
    /// At the end of a log's newest segment: what a crash leaves, no acknowledged record is lost.
    pub torn_tail: bool,
}

/// What [`PredictionReader::check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCheck {
    pub segments: u64,
    pub records: u64,
    /// Records that were erased and keep only their places.
    pub erased: u64,
    /// Sum of the segments' sizes, bytes.
    pub bytes: u64,
    pub damage: Vec<Damage>,
}

impl LogCheck {
    /// No damage but, perhaps, the torn tail of a crash.
    pub fn is_sound(&self) -> bool {
        self.damage.iter().all(|damage| damage.torn_tail)
    }
}

impl PredictionReader {
    /// A reader of the logs in `dir`, which need not exist yet.
    pub fn open(dir: &Path) -> PredictionReader {
        PredictionReader { dir: dir.to_owned(), files: Arc::default() }
    }

    /// The record named `id`; `None` for an identifier that the log never gave.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when the record exists but its bytes no longer carry its checksum; [`LogError::Io`].
    pub fn get(&self, id: Uuid) -> Result<Option<Vec<u8>>, LogError> {
        let Some(address) = Address::from_id(id) else {
            return Ok(None);
        };
        let Some(file) = self.segment_file(address.segment)? else {
            return Ok(None);
        };
        let path = || segment::path(&self.dir, address.segment);
        let mut bytes = vec![0; FIRST_READ];
        let read = read_at(&file, &mut bytes, address.offset.into()).map_err(LogError::io(&path()))?;
        bytes.truncate(read);
        let header = match Header::parse(&bytes) {
            Some(header) if header.nonce == address.nonce => header,
            _ => return Ok(None),
        };
        let frame_bytes = HEADER + header.len;
        if frame_bytes > bytes.len() && read == FIRST_READ {
            bytes.resize(frame_bytes, 0);
            let at = u64::from(address.offset) + read as u64;
            let more = read_at(&file, &mut bytes[read..], at).map_err(LogError::io(&path()))?;
            bytes.truncate(read + more);
        }
        bytes.truncate(frame_bytes);
        bytes.drain(..HEADER);
        if header.matches(&bytes) {
            Ok(Some(bytes))
        } else {
            Err(LogError::Damaged { segment: address.segment, offset: address.offset })
        }
    }

    /// All records, log by log, oldest first.
    pub fn scan(&self) -> Result<Scan, LogError> {
        self.scan_after(None)
    }

    /// The records whose places come after that of the one named `after` (all of them for `None`). Records appended
    /// while scanning may or may not appear. Damaged stretches are skipped; [`PredictionReader::check`] names them.
    pub fn scan_after(&self, after: Option<Uuid>) -> Result<Scan, LogError> {
        let from = after.and_then(Address::from_id);
        let mut segments = self.segments()?;
        if let Some(from) = from {
            segments.retain(|&segment| segment >= from.segment);
        }
        Ok(Scan {
            dir: self.dir.clone(),
            segments: segments.into_iter(),
            after: from,
            ready: Vec::new().into_iter(),
        })
    }

    /// Reads every record and its checksum.
    pub fn check(&self) -> Result<LogCheck, LogError> {
        let mut check = LogCheck::default();
        let segments = self.segments()?;
        for (at, &segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(|&next| segment::log_of(next));
            let newest = next != Some(segment::log_of(segment));
            let bytes = read_segment(&self.dir, segment)?;
            check.segments += 1;
            check.bytes += bytes.len() as u64;
            let start = usize::min(MAGIC.len(), bytes.len());
            if bytes[..start] != MAGIC {
                check.damage.push(Damage { segment, offset: 0, bytes: start as u32, torn_tail: false });
            }
            for span in frame::walk(&bytes, start) {
                match span {
                    Span::Record { .. } => check.records += 1,
                    Span::Erased { .. } => check.erased += 1,
                    Span::Damage { offset, bytes: len } => check.damage.push(Damage {
                        segment,
                        offset,
                        bytes: len,
                        torn_tail: newest && (offset + len) as usize == bytes.len(),
                    }),
                }
            }
        }
        Ok(check)
    }

    fn segments(&self) -> Result<Vec<u32>, LogError> {
        if self.dir.exists() { segment::list(&self.dir) } else { Ok(Vec::new()) }
    }

    fn segment_file(&self, segment: u32) -> Result<Option<Arc<File>>, LogError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&segment) {
            return Ok(Some(Arc::clone(file)));
        }
        let path = segment::path(&self.dir, segment);
        let file = match File::open(&path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io(&path)(error)),
        };
        if files.len() >= OPEN_FILES {
            files.clear();
        }
        files.insert(segment, Arc::clone(&file));
        Ok(Some(file))
    }
}

/// Fills `buffer` from `offset`; fewer bytes only at the end of the file.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn read_segment(dir: &Path, segment: u32) -> Result<Vec<u8>, LogError> {
    let path = segment::path(dir, segment);
    std::fs::read(&path).map_err(LogError::io(&path))
}

/// Iterator over records: identifier and payload. Holds one segment's records in memory.
#[derive(Debug)]
pub struct Scan {
    dir: PathBuf,
    segments: std::vec::IntoIter<u32>,
    after: Option<Address>,
    ready: std::vec::IntoIter<(Uuid, Vec<u8>)>,
}

impl Scan {
    fn load(&self, segment: u32) -> Result<Vec<(Uuid, Vec<u8>)>, LogError> {
        let bytes = read_segment(&self.dir, segment)?;
        let records = frame::walk(&bytes, MAGIC.len()).filter_map(|span| match span {
            Span::Record { offset, nonce, payload } => Some((Address { segment, offset, nonce }, payload)),
            Span::Erased { .. } | Span::Damage { .. } => None,
        });
        let is_new = |address: &Address| {
            self.after.is_none_or(|after| (address.segment, address.offset) > (after.segment, after.offset))
        };
        Ok(records
            .filter(|(address, _)| is_new(address))
            .map(|(address, payload)| (address.to_id(), payload.to_vec()))
            .collect())
    }
}

impl Iterator for Scan {
    type Item = Result<(Uuid, Vec<u8>), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.next() {
                return Some(Ok(record));
            }
            let segment = self.segments.next()?;
            match self.load(segment) {
                Ok(records) => self.ready = records.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
