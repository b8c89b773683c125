//! The writer thread: one write and one `fdatasync` for whatever waits, then the answers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::queue::{Batch, Mailbox};
use super::segment::{self, MAGIC, Recovered};
use super::{LogError, LogOptions};
use crate::lock::Lock;

/// Owner of the writer thread.
pub(crate) struct Writer {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Goes on with log `log` in `dir`, whose lock is held.
    pub(crate) fn start(dir: &Path, log: u32, options: LogOptions, lock: Lock) -> Result<Writer, LogError> {
        let mut tail = Tail::open(dir, log, options, lock)?;
        let mailbox = Arc::new(Mailbox::new(&options, tail.segment_bytes as usize - MAGIC.len()));
        let inbox = Arc::clone(&mailbox);
        let thread = std::thread::Builder::new()
            .name("prediction-log".into())
            .spawn(move || {
                let mut batch = Batch::default();
                while inbox.take(&mut batch) {
                    match tail.append(batch.frames()) {
                        Ok(base) => batch.acknowledge(tail.segment, base),
                        Err(error) => batch.refuse(&error),
                    }
                }
            })
            .map_err(LogError::io(dir))?;
        Ok(Writer { mailbox, thread: Some(thread) })
    }

    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.mailbox.end();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was already seen by every caller as `Closed`.
            let _ = thread.join();
        }
    }
}

/// The end of the log: the segment that grows.
struct Tail {
    dir: PathBuf,
    segment_bytes: u32,
    segment: u32,
    /// `None` after an error that left the segment in doubt: the next commit begins another one.
    file: Option<File>,
    /// Bytes of the segment that are durable and acknowledged.
    end: u32,
    /// Held while this value lives.
    _lock: Lock,
}

impl Tail {
    fn open(dir: &Path, log: u32, options: LogOptions, lock: Lock) -> Result<Tail, LogError> {
        let last = segment::list_of(dir, log)?.last().copied();
        let recovered = match last {
            None => Recovered::Untouchable,
            Some(last) => segment::recover(dir, last)?,
        };
        let (file, end) = match recovered {
            Recovered::Usable { file, end } => (Some(file), end),
            Recovered::Untouchable => (None, 0),
        };
        Ok(Tail {
            dir: dir.to_owned(),
            segment_bytes: options.segment_bytes.clamp(1 << 10, 1 << 31),
            segment: last.unwrap_or(segment::before_first(log)),
            file,
            end,
            _lock: lock,
        })
    }

    /// Makes `frames` durable, all in one segment; answers where in it they begin.
    fn append(&mut self, frames: &[u8]) -> Result<u32, LogError> {
        let bytes = frames.len();
        if self.file.is_none()
            || self.end as usize + bytes > (self.segment_bytes as usize).max(MAGIC.len() + bytes)
        {
            self.rotate()?;
        }
        let Some(file) = &self.file else {
            return Err(LogError::Closed);
        };
        if let Err(failure) = append_durably(file, frames, self.end) {
            if !failure.usable {
                self.file = None;
            }
            return Err(LogError::io(&segment::path(&self.dir, self.segment))(failure.source));
        }
        let base = self.end;
        self.end += bytes as u32;
        Ok(base)
    }

    fn rotate(&mut self) -> Result<(), LogError> {
        let next = self.segment + 1;
        if segment::log_of(next) != segment::log_of(self.segment) {
            return Err(LogError::Exhausted);
        }
        self.file = Some(segment::create(&self.dir, next)?);
        self.segment = next;
        self.end = MAGIC.len() as u32;
        Ok(())
    }
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
