//! The end of the log: the segment that a writer lets grow.
//!
//! Several writers, on several machines that share the folder, each have a segment of their own. A segment that is being
//! written has a mark beside it (`000001.open`), which its writer has locked. A mark that nobody has locked is a writer's that
//! stopped or died: who opens the log next truncates what it tore and goes on with the segment, or lets it be.
//! Marks and segments are made and put away under the folder's lock (`LOCK`), which is held for moments only.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::frame::MAX_SEGMENT;
use super::segment::{self, MAGIC, Recovered};
use super::{LogError, LogOptions};
use crate::lock::Lock;

/// For the folder's lock. A writer of before there were marks held it as long as it lived.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Tail {
    dir: PathBuf,
    segment_bytes: u32,
    /// `None` before the first record, and after an error that left the segment in doubt: the next commit begins another one.
    own: Option<Own>,
}

/// The segment that this writer lets grow.
struct Own {
    segment: u32,
    file: File,
    /// Bytes that are durable and acknowledged.
    end: u32,
    /// Held while this value lives.
    _mark: Lock,
}

impl Tail {
    pub(crate) fn open(dir: &Path, options: LogOptions) -> Result<Tail, LogError> {
        let segment_bytes = options.segment_bytes.clamp(1 << 10, 1 << 31);
        let _folder = lock(dir)?;
        let mut own = None;
        for segment in left_open(dir)? {
            let Some(mark) = take_mark(dir, segment)? else { continue };
            let recovered = match segment::path(dir, segment).exists() {
                true => segment::recover(dir, segment)?,
                false => Recovered::Untouchable,
            };
            match recovered {
                Recovered::Usable { file, end } if own.is_none() => {
                    own = Some(Own { segment, file, end, _mark: mark });
                }
                _ => remove_mark(dir, segment)?,
            }
        }
        Ok(Tail { dir: dir.to_owned(), segment_bytes, own })
    }

    /// Bytes beyond which a segment does not grow.
    pub(crate) fn segment_bytes(&self) -> usize {
        self.segment_bytes as usize
    }

    /// Makes `frames` durable, all in one segment; answers which one, and where in it they begin.
    pub(crate) fn append(&mut self, frames: &[u8]) -> Result<(u32, u32), LogError> {
        let most = self.segment_bytes().max(MAGIC.len() + frames.len());
        let fits = |own: &Own| own.end as usize + frames.len() <= most;
        let mut own = match self.own.take_if(|own| fits(own)) {
            Some(own) => own,
            None => self.begin()?,
        };
        if let Err(failure) = append_durably(&own.file, frames, own.end) {
            let error = LogError::io(&segment::path(&self.dir, own.segment))(failure.source);
            // One in doubt keeps its mark without a lock: the next to open the log looks after it.
            self.own = failure.usable.then_some(own);
            return Err(error);
        }
        let at = (own.segment, own.end);
        own.end += frames.len() as u32;
        self.own = Some(own);
        Ok(at)
    }

    /// Begins a segment of one's own, in place of the one that is full.
    fn begin(&mut self) -> Result<Own, LogError> {
        let dir = &self.dir;
        let _folder = lock(dir)?;
        let segment = segment::list(dir)?.last().copied().unwrap_or(0) + 1;
        if segment > MAX_SEGMENT {
            return Err(LogError::Exhausted);
        }
        let path = segment::mark(dir, segment);
        let mark = take_mark(dir, segment)?.ok_or(LogError::Locked { path })?;
        let file = segment::create(dir, segment)?;
        if let Some(full) = self.own.take() {
            remove_mark(dir, full.segment)?;
        }
        Ok(Own { segment, file, end: MAGIC.len() as u32, _mark: mark })
    }
}

/// The segments with a mark, newest first; the newest of a log from before there were marks.
fn left_open(dir: &Path) -> Result<Vec<u32>, LogError> {
    let mut open = segment::list_marks(dir)?;
    if open.is_empty() {
        open.extend(segment::list(dir)?.last());
    }
    open.reverse();
    Ok(open)
}

fn lock(dir: &Path) -> Result<Lock, LogError> {
    let path = dir.join("LOCK");
    Lock::wait(&path, PATIENCE).map_err(LogError::io(&path))?.ok_or(LogError::Locked { path })
}

fn take_mark(dir: &Path, segment: u32) -> Result<Option<Lock>, LogError> {
    let path = segment::mark(dir, segment);
    Lock::take(&path).map_err(LogError::io(&path))
}

fn remove_mark(dir: &Path, segment: u32) -> Result<(), LogError> {
    let path = segment::mark(dir, segment);
    std::fs::remove_file(&path).map_err(LogError::io(&path))
}

struct Failure {
    source: std::io::Error,
    /// The segment ends where it did before.
    usable: bool,
}

/// Writes `bytes` at `end` and makes them durable, or takes them away again.
fn append_durably(file: &File, bytes: &[u8], end: u32) -> Result<(), Failure> {
    if let Err(source) = file.write_all_at(bytes, u64::from(end)) {
        // The part that was written would stand between the last whole record and the next one.
        let usable = file.set_len(u64::from(end)).is_ok();
        return Err(Failure { source, usable });
    }
    file.sync_data().map_err(|source| {
        // After a failed sync the kernel may have dropped dirty pages: never trust this file's end again.
        let _ = file.set_len(u64::from(end));
        Failure { source, usable: false }
    })
}
