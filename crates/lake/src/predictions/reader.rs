//! Reading the log: one record by its identifier, or all of them in order.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::LogError;
use super::frame::{self, Address, HEADER, Header, Span};
use super::mark::{Mark, print};
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
    /// Sum of the segments' sizes without their free space, bytes.
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
        Ok(self.scan_of(segments, from, false))
    }

    pub(super) fn scan_of(&self, segments: Vec<u32>, after: Option<Address>, durable: bool) -> Scan {
        Scan {
            dir: self.dir.clone(),
            segments: segments.into_iter(),
            after,
            durable,
            ready: Vec::new().into_iter(),
        }
    }

    /// The numbers of the logs that there are, ascending.
    pub fn logs(&self) -> Result<Vec<u32>, LogError> {
        let mut logs: Vec<u32> = self.segments()?.into_iter().map(segment::log_of).collect();
        logs.dedup();
        Ok(logs)
    }

    /// The records of one log after a [`Mark`] in it, oldest first, as far as they are durable now: what a power failure could still
    /// take back is left for later.
    pub fn scan_durable(&self, log: u32, after: Option<Mark>) -> Result<Scan, LogError> {
        let after = after.map(|mark| Address::at_place(mark.place));
        let mut segments = self.segments_of(log)?;
        segments.retain(|&segment| after.is_none_or(|after| segment >= after.segment));
        Ok(self.scan_of(segments, after, true))
    }

    /// Whether a log still is the one that was read up to a [`Mark`]: that very record lies there, one that was erased does, or
    /// its segment, older than all that the log has, has gone on schedule. If not, the log was put back to an earlier
    /// state, and may have grown again since.
    pub fn holds(&self, mark: Mark) -> Result<bool, LogError> {
        let address = Address::at_place(mark.place);
        let segments = self.segments_of(segment::log_of(address.segment))?;
        if segments.first().is_none_or(|first| address.segment < *first) {
            return Ok(!segments.is_empty());
        }
        let Some(bytes) = read_segment(&self.dir, address.segment, address.offset)? else {
            return Ok(false);
        };
        Ok(match frame::walk(&bytes, 0).next() {
            Some(Span::Record { nonce, payload, .. }) => {
                mark.print.is_none_or(|known| known == print(nonce, payload))
            }
            Some(Span::Erased { .. }) => true,
            Some(Span::Damage { .. }) | None => false,
        })
    }

    /// The records of all segments that may hold one from the times `from` until `to` (`None`: the end), log by log, oldest first. `time` reads a record's
    /// time, in the unit of the limits; the segments are told by their first records, of which nothing else is read. Records must be about
    /// in the order of their times: none may come more than `slack` later in the log than one of a later time.
    pub fn scan_between<T: PartialOrd + Copy + std::ops::Add<D, Output = T>, D: Copy>(
        &self,
        time: impl Fn(&[u8]) -> Option<T>,
        from: T,
        to: Option<T>,
        slack: D,
    ) -> Result<Scan, LogError> {
        let segments = self.segments()?;
        let same_log = |one, other| segment::log_of(one) == segment::log_of(other);
        let begins =
            segments.iter().map(|&segment| Ok(self.first_record(segment)?.as_deref().and_then(&time)));
        let begins = begins.collect::<Result<Vec<Option<T>>, LogError>>()?;
        let wanted = segments.iter().enumerate().filter(|&(at, _)| {
            let of_log = segments[at + 1..].iter().take_while(|&&next| same_log(next, segments[at])).count();
            let next = begins[at + 1..=at + of_log].iter().find_map(|begin| *begin);
            let begin = begins[at];
            let ended =
                begin.is_none_or(|begin| begin < from) && next.is_some_and(|next| next + slack < from);
            let not_begun = begin.zip(to).is_some_and(|(begin, to)| to + slack <= begin);
            !ended && !not_begun
        });
        let segments: Vec<u32> = wanted.map(|(_, &segment)| segment).collect();
        Ok(self.scan_of(segments, None, false))
    }

    /// The first record of a segment that was not erased.
    fn first_record(&self, segment: u32) -> Result<Option<Vec<u8>>, LogError> {
        let path = segment::path(&self.dir, segment);
        let Some(file) = open_segment(&path)? else { return Ok(None) };
        let mut offset = MAGIC.len() as u64;
        loop {
            let mut bytes = vec![0; FIRST_READ];
            let read = read_at(&file, &mut bytes, offset).map_err(LogError::io(&path))?;
            bytes.truncate(read);
            let Some(len) = frame::payload_len(&bytes) else { break };
            if bytes.len() < HEADER + len {
                bytes.resize(HEADER + len, 0);
                read_at(&file, &mut bytes, offset).map_err(LogError::io(&path))?;
            }
            match frame::walk(&bytes, 0).next() {
                Some(Span::Record { payload, .. }) => return Ok(Some(payload.to_vec())),
                Some(Span::Erased { .. }) => offset += (HEADER + len) as u64,
                Some(Span::Damage { .. }) | None => break,
            }
        }
        // The end, or damage: what is behind it must be looked for.
        let bytes = read_segment(&self.dir, segment, MAGIC.len() as u32)?.unwrap_or_default();
        let first = frame::walk(&bytes, 0).find_map(|span| match span {
            Span::Record { payload, .. } => Some(payload.to_vec()),
            Span::Erased { .. } | Span::Damage { .. } => None,
        });
        Ok(first)
    }

    /// Reads every record and its checksum.
    pub fn check(&self) -> Result<LogCheck, LogError> {
        let mut check = LogCheck::default();
        let segments = self.segments()?;
        for (at, &segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(|&next| segment::log_of(next));
            let newest = next != Some(segment::log_of(segment));
            let Some(bytes) = read_segment(&self.dir, segment, 0)? else { continue };
            check.segments += 1;
            let start = usize::min(MAGIC.len(), bytes.len());
            if bytes[..start] != MAGIC {
                check.damage.push(Damage { segment, offset: 0, bytes: start as u32, torn_tail: false });
            }
            let mut used = start;
            for span in frame::walk(&bytes, start) {
                used += span.bytes();
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
            check.bytes += used as u64;
        }
        Ok(check)
    }

    pub(super) fn segments(&self) -> Result<Vec<u32>, LogError> {
        segment::list_or_none(&self.dir)
    }

    fn segments_of(&self, log: u32) -> Result<Vec<u32>, LogError> {
        let mut segments = self.segments()?;
        segments.retain(|&segment| segment::log_of(segment) == log);
        Ok(segments)
    }

    fn segment_file(&self, segment: u32) -> Result<Option<Arc<File>>, LogError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&segment) {
            return Ok(Some(Arc::clone(file)));
        }
        let path = segment::path(&self.dir, segment);
        let Some(file) = open_segment(&path)?.map(Arc::new) else { return Ok(None) };
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

/// How many of the `len` bytes from `start` on come before the zeros at the end: a writer writes its bytes in their order.
fn written(file: &File, start: u64, len: u64) -> std::io::Result<usize> {
    let mut piece = [0; 16 << 10];
    let mut end = len;
    while end > 0 {
        let begin = end.saturating_sub(piece.len() as u64);
        let wanted = piece.get_mut(..(end - begin) as usize).unwrap_or_default();
        let read = read_at(file, wanted, start + begin)?;
        if let Some(last) = wanted[..read].iter().rposition(|byte| *byte != 0) {
            return Ok(usize::try_from(begin).unwrap_or(usize::MAX).saturating_add(last + 1));
        }
        end = begin;
    }
    Ok(0)
}

/// `None` where the segment was deleted.
fn open_segment(path: &Path) -> Result<Option<File>, LogError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io(path)(error)),
    }
}

/// The bytes of a segment from `start` on; `None` where it was deleted.
fn read_segment(dir: &Path, segment: u32, start: u32) -> Result<Option<Vec<u8>>, LogError> {
    read_bytes(dir, segment, start, false)
}

/// The same; `durable`: only what is on the disk.
fn read_bytes(dir: &Path, segment: u32, start: u32, durable: bool) -> Result<Option<Vec<u8>>, LogError> {
    let path = segment::path(dir, segment);
    let Some(file) = open_segment(&path)? else { return Ok(None) };
    let read = || {
        let len = file.metadata()?.len().saturating_sub(start.into());
        let written = written(&file, start.into(), len)?;
        if durable {
            // Whatever was written before this is on the disk after it.
            file.sync_data()?;
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = read_at(&file, &mut bytes, start.into())?;
        bytes.truncate(read);
        // What came meanwhile is for later: of several records that are being written, only some of the first may be here.
        bytes.iter_mut().skip(written).for_each(|byte| *byte = 0);
        Ok(bytes)
    };
    read().map(Some).map_err(LogError::io(&path))
}

/// Iterator over records: identifier and payload. Holds one segment's records in memory.
#[derive(Debug)]
pub struct Scan {
    dir: PathBuf,
    segments: std::vec::IntoIter<u32>,
    after: Option<Address>,
    durable: bool,
    ready: std::vec::IntoIter<(Uuid, Vec<u8>)>,
}

impl Scan {
    fn load(&self, segment: u32) -> Result<Vec<(Uuid, Vec<u8>)>, LogError> {
        // A record begins at the place that was reached, whatever became of it.
        let reached = self.after.filter(|after| after.segment == segment).map(|after| after.offset);
        let start = reached.unwrap_or(MAGIC.len() as u32);
        let Some(bytes) = read_bytes(&self.dir, segment, start, self.durable)? else { return Ok(Vec::new()) };
        let records = frame::walk(&bytes, 0).filter_map(|span| match span {
            Span::Record { offset, nonce, payload } => {
                Some((Address { segment, offset: start + offset, nonce }, payload))
            }
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
