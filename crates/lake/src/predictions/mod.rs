//! The prediction log: every answer is durable here before it is given.
//!
//! Records are opaque bytes in numbered segment files (`000001.log`, ...). Each process that writes has a log of its own,
//! the first that no other writes to, so that replicas on several machines share a folder; whoever reads sees all
//! of them. One writer thread waits until half of those who keep asking have brought a record (at most a millisecond; one
//! who asks alone waits for nobody), writes what is there in one `write`, makes it durable in one `fdatasync`, and only
//! then acknowledges each record (group commit; Gray & Reuter, *Transaction Processing*, 1993, 10.4).
//! The identifier of a record carries its place, so reading one needs no index: see [`frame`].
//!
//! The segment that is written to has zeros ahead of its end, so that most flushes change nothing but the file's data. The log ends
//! where no frame follows; zeros there are free space, and go when a segment is closed or opened again.
//!
//! A crash can tear only what was not acknowledged; the writer truncates such a tail when it opens.
//! Damage anywhere else is never truncated: the segment is closed, a new one begins, and
//! [`PredictionReader::check`] reports it.

mod erase;
mod frame;
mod identity;
mod mark;
mod newest;
mod queue;
mod reader;
mod segment;
mod writer;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::lock::Lock;

pub use erase::{erase, find, retain};
pub use frame::MAX_PAYLOAD;
pub use identity::identity;
pub use mark::Mark;
pub use reader::{Damage, LogCheck, PredictionReader, Scan};

/// Why the prediction log could not do what was asked. No variant holds payload bytes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    #[error("prediction log {path}: {source}")]
    Io { path: PathBuf, source: Arc<std::io::Error> },
    #[error("each of the prediction logs in {path} is being written by another process")]
    Locked { path: PathBuf },
    #[error("a record of {bytes} bytes is larger than the log takes ({MAX_PAYLOAD} bytes)")]
    TooLarge { bytes: usize },
    #[error("too many records wait for the disk; try again later")]
    Overloaded,
    #[error("the prediction log is closed")]
    Closed,
    #[error("prediction log segment {segment:06} is damaged at byte {offset}")]
    Damaged { segment: u32, offset: u32 },
    #[error("the prediction log is full: segment numbers are used up")]
    Exhausted,
}

impl LogError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> LogError + '_ {
        move |source| LogError::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

/// Sizes of the log. The defaults suit a server.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// A segment is closed before it would grow beyond this many bytes (default 64 MiB: the most that
    /// is read at start, and held in memory by a scan). At most 2 GiB.
    pub segment_bytes: u32,
    /// Payload bytes that may wait for the writer; beyond it, appends answer [`LogError::Overloaded`].
    pub pending_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: 64 << 20, pending_bytes: 256 << 20 }
    }
}

/// The write end of a log. Clones share one writer thread; dropping the last one writes what waits and stops it.
#[derive(Debug, Clone)]
pub struct PredictionLog {
    writer: Arc<writer::Writer>,
    reader: PredictionReader,
}

impl PredictionLog {
    /// Opens the first log in `dir` that nobody else writes to, or creates one, and truncates its torn tail.
    ///
    /// # Errors
    /// [`LogError::Locked`] when others write to as many as there can be; [`LogError::Io`].
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        Self::open_with(dir, LogOptions::default())
    }

    /// [`PredictionLog::open`] with sizes of one's own.
    pub fn open_with(dir: &Path, options: LogOptions) -> Result<Self, LogError> {
        for log in 0..segment::LOGS {
            let folder = segment::folder(dir, log);
            std::fs::create_dir_all(&folder).map_err(LogError::io(&folder))?;
            let path = folder.join("LOCK");
            let Some(lock) = Lock::take(&path).map_err(LogError::io(&path))? else { continue };
            let writer = Arc::new(writer::Writer::start(dir, log, options, lock)?);
            return Ok(PredictionLog { writer, reader: PredictionReader::open(dir) });
        }
        Err(LogError::Locked { path: dir.to_owned() })
    }

    /// Appends one record of 0 to [`MAX_PAYLOAD`] bytes. Never blocks: the answer is a future for async
    /// callers, and [`Pending::wait`] for others. It resolves once the record is durable.
    pub fn append(&self, payload: impl AsRef<[u8]>) -> Pending<Uuid> {
        let (reply, answer) = oneshot::channel();
        self.writer.mailbox().submit(payload.as_ref(), reply);
        Pending(answer)
    }

    /// Appends several records, acknowledged together; the identifiers come in the same order. A failure
    /// acknowledges none of them.
    pub fn append_all(&self, payloads: &[impl AsRef<[u8]>]) -> Pending<Vec<Uuid>> {
        let (reply, answer) = oneshot::channel();
        self.writer.mailbox().submit_all(payloads, reply);
        Pending(answer)
    }

    /// The record named `id`, or `None` where no such record exists.
    pub fn get(&self, id: Uuid) -> Result<Option<Vec<u8>>, LogError> {
        self.reader.get(id)
    }

    /// A read end over the same files.
    pub fn reader(&self) -> &PredictionReader {
        &self.reader
    }
}

/// An append on its way to the disk. Dropping it does not undo the append.
#[derive(Debug)]
#[must_use = "the record is acknowledged only when this resolves"]
pub struct Pending<T>(oneshot::Receiver<Result<T, LogError>>);

impl<T> Pending<T> {
    /// Blocks this thread until the record is durable. Inside an async task, `.await` instead.
    pub fn wait(self) -> Result<T, LogError> {
        self.0.blocking_recv().unwrap_or(Err(LogError::Closed))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(LogError::Closed)))
    }
}
