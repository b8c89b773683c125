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

/// Zeros that are written at once, bytes: a few seconds' records of a busy server.
const AHEAD: usize = 1 << 20;
static ZEROS: [u8; AHEAD] = [0; AHEAD];

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
    growing: Option<Growing>,
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
        let growing = match recovered {
            Recovered::Usable { file, end } => Some(Growing::new(file, end)),
            Recovered::Untouchable => None,
        };
        Ok(Tail {
            dir: dir.to_owned(),
            segment_bytes: options.segment_bytes.clamp(1 << 10, 1 << 31),
            segment: last.unwrap_or(segment::before_first(log)),
            growing,
            _lock: lock,
        })
    }

    /// Makes `frames` durable, all in one segment; answers where in it they begin.
    fn append(&mut self, frames: &[u8]) -> Result<u32, LogError> {
        let most = self.segment_bytes as usize;
        let fits = |end: u32| end as usize + frames.len() <= most.max(MAGIC.len() + frames.len());
        if !self.growing.as_ref().is_some_and(|growing| fits(growing.end)) {
            self.rotate()?;
        }
        let Some(growing) = &mut self.growing else {
            return Err(LogError::Closed);
        };
        growing.append(frames, self.segment_bytes).map_err(|failure| {
            if !failure.usable {
                self.growing = None;
            }
            LogError::io(&segment::path(&self.dir, self.segment))(failure.source)
        })
    }

    fn rotate(&mut self) -> Result<(), LogError> {
        let next = self.segment + 1;
        if segment::log_of(next) != segment::log_of(self.segment) {
            return Err(LogError::Exhausted);
        }
        self.growing = Some(Growing::new(segment::create(&self.dir, next)?, MAGIC.len() as u32));
        self.segment = next;
        Ok(())
    }
}

struct Failure {
    source: std::io::Error,
    /// The segment ends where it did before.
    usable: bool,
}

/// A segment that is written to. Zeros lie ahead of its end: a flush that makes the file no longer changes the file's data
/// alone, and waits for the disk half as often. They go when the segment is closed.
struct Growing {
    file: File,
    /// Bytes that are durable and acknowledged.
    end: u32,
    /// Bytes of the file, of which those behind `end` are zeros.
    length: u32,
    /// False once there was no room for zeros.
    ahead: bool,
}

impl Growing {
    fn new(file: File, end: u32) -> Growing {
        Growing { file, end, length: end, ahead: true }
    }

    /// Writes `frames` and makes them durable, or takes them away again; answers where they begin.
    fn append(&mut self, frames: &[u8], most: u32) -> Result<u32, Failure> {
        let (base, end) = (self.end, self.end + frames.len() as u32);
        if let Err(source) = self.file.write_all_at(frames, base.into()) {
            // The part that was written would stand between the last whole record and the next one.
            let usable = self.cut().is_ok();
            return Err(Failure { source, usable });
        }
        if end > self.length {
            self.length = end;
            self.go_ahead(end, most);
        }
        if let Err(source) = self.file.sync_data() {
            // After a failed sync the kernel may have dropped dirty pages: never trust this file's end again.
            let _ = self.cut();
            return Err(Failure { source, usable: false });
        }
        self.end = end;
        Ok(base)
    }

    /// Writes zeros behind `end`, for the flushes to come. A disk that is full takes records as long as it can.
    fn go_ahead(&mut self, end: u32, most: u32) {
        let zeros = AHEAD.min(most.saturating_sub(end) as usize);
        if !self.ahead || zeros == 0 {
            return;
        }
        if self.file.write_all_at(&ZEROS[..zeros], end.into()).is_ok() {
            self.length = end + zeros as u32;
        } else {
            self.ahead = false;
            // What stays is free space for readers and for the records to come.
            let _ = self.file.set_len(end.into());
        }
    }

    /// Takes away what is behind the end.
    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.end.into())?;
        self.length = self.end;
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        // Zeros that stay are free space.
        if self.length > self.end {
            let _ = self.cut();
        }
    }
}
