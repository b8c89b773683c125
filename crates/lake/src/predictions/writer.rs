//! The writer thread: one write and one `fdatasync` for whatever waits, then the answers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::frame::{self, Address, HEADER, MAX_PAYLOAD, MAX_SEGMENT};
use super::segment::{self, MAGIC, Recovered};
use super::{LogError, LogOptions};
use crate::lock::Lock;

/// Bytes that one job may bring, so that an offset always fits its 32 bits.
const MAX_JOB: usize = 1 << 30;

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

pub(crate) enum Job {
    One(Vec<u8>, Reply<Uuid>),
    Many(Vec<Vec<u8>>, Reply<Vec<Uuid>>),
}

impl Job {
    fn payloads(&self) -> &[Vec<u8>] {
        match self {
            Job::One(payload, _) => std::slice::from_ref(payload),
            Job::Many(payloads, _) => payloads,
        }
    }

    fn bytes(&self) -> usize {
        self.payloads().iter().map(|payload| payload.len() + HEADER).sum()
    }

    fn refuse(self, error: LogError) {
        // A caller that went away does not want the answer.
        match self {
            Job::One(_, reply) => drop(reply.send(Err(error))),
            Job::Many(_, reply) => drop(reply.send(Err(error))),
        }
    }

    fn acknowledge(self, ids: &mut impl Iterator<Item = Uuid>) {
        match self {
            Job::One(_, reply) => drop(reply.send(ids.next().ok_or(LogError::Closed))),
            Job::Many(payloads, reply) => drop(reply.send(Ok(ids.take(payloads.len()).collect()))),
        }
    }
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    bytes: usize,
    closed: bool,
}

#[derive(Default)]
struct Mailbox {
    queue: Mutex<Queue>,
    filled: Condvar,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent between any two statements that hold it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that waits; empty only when the log is closed.
    fn take(&self) -> Vec<Job> {
        let mut queue = self.lock();
        while queue.jobs.is_empty() && !queue.closed {
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.bytes = 0;
        std::mem::take(&mut queue.jobs)
    }
}

/// Owner of the writer thread.
pub(crate) struct Writer {
    mailbox: Arc<Mailbox>,
    pending_bytes: usize,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn start(dir: &Path, options: LogOptions, lock: Lock) -> Result<Writer, LogError> {
        let mut tail = Tail::open(dir, options, lock)?;
        let mailbox = Arc::new(Mailbox::default());
        let inbox = Arc::clone(&mailbox);
        let thread = std::thread::Builder::new()
            .name("prediction-log".into())
            .spawn(move || {
                loop {
                    let jobs = inbox.take();
                    if jobs.is_empty() {
                        break;
                    }
                    tail.commit(jobs);
                }
            })
            .map_err(LogError::io(dir))?;
        Ok(Writer { mailbox, pending_bytes: options.pending_bytes, thread: Some(thread) })
    }

    pub(crate) fn submit(&self, job: Job) {
        if let Some(large) = job.payloads().iter().find(|payload| payload.len() > MAX_PAYLOAD) {
            let bytes = large.len();
            return job.refuse(LogError::TooLarge { bytes });
        }
        let bytes = job.bytes();
        if bytes > MAX_JOB {
            return job.refuse(LogError::TooLarge { bytes });
        }
        let mut queue = self.mailbox.lock();
        // One job alone is always taken: it is bounded by what a request may carry.
        if !queue.jobs.is_empty() && queue.bytes + bytes > self.pending_bytes {
            drop(queue);
            return job.refuse(LogError::Overloaded);
        }
        queue.bytes += bytes;
        queue.jobs.push(job);
        drop(queue);
        self.mailbox.filled.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.mailbox.lock().closed = true;
        self.mailbox.filled.notify_one();
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
    buffer: Vec<u8>,
    ids: Vec<Uuid>,
    /// Held while this value lives.
    _lock: Lock,
}

impl Tail {
    fn open(dir: &Path, options: LogOptions, lock: Lock) -> Result<Tail, LogError> {
        let last = segment::list(dir)?.last().copied().unwrap_or(0);
        let recovered = match last {
            0 => Recovered::Untouchable,
            last => segment::recover(dir, last)?,
        };
        let (file, end) = match recovered {
            Recovered::Usable { file, end } => (Some(file), end),
            Recovered::Untouchable => (None, 0),
        };
        Ok(Tail {
            dir: dir.to_owned(),
            segment_bytes: options.segment_bytes.clamp(1 << 10, 1 << 31),
            segment: last,
            file,
            end,
            buffer: Vec::new(),
            ids: Vec::new(),
            _lock: lock,
        })
    }

    /// Writes `jobs` in groups that fit one segment, and answers each.
    fn commit(&mut self, jobs: Vec<Job>) {
        let mut group = Vec::new();
        let mut bytes = 0;
        let limit = self.segment_bytes as usize - MAGIC.len();
        for job in jobs {
            let size = job.bytes();
            if !group.is_empty() && bytes + size > limit {
                self.commit_group(std::mem::take(&mut group), bytes);
                bytes = 0;
            }
            bytes += size;
            group.push(job);
        }
        self.commit_group(group, bytes);
    }

    fn commit_group(&mut self, group: Vec<Job>, bytes: usize) {
        match self.write(&group, bytes) {
            Ok(()) => {
                let mut ids = self.ids.drain(..);
                group.into_iter().for_each(|job| job.acknowledge(&mut ids));
            }
            Err(error) => {
                tracing::error!(%error, records = group.len(), "prediction log write failed");
                group.into_iter().for_each(|job| job.refuse(error.clone()));
            }
        }
        self.buffer.shrink_to(1 << 20);
    }

    fn write(&mut self, group: &[Job], bytes: usize) -> Result<(), LogError> {
        if self.file.is_none()
            || self.end as usize + bytes > (self.segment_bytes as usize).max(MAGIC.len() + bytes)
        {
            self.rotate()?;
        }
        let Some(file) = &self.file else {
            return Err(LogError::Closed);
        };
        self.buffer.clear();
        self.ids.clear();
        for payload in group.iter().flat_map(Job::payloads) {
            let offset = self.end + self.buffer.len() as u32;
            let nonce = random_nonce();
            self.ids.push(Address { segment: self.segment, offset, nonce }.to_id());
            frame::encode(&mut self.buffer, nonce, payload);
        }
        let outcome = append_durably(file, &self.buffer, self.end);
        if let Err(failure) = outcome {
            if !failure.usable {
                self.file = None;
            }
            return Err(LogError::io(&segment::path(&self.dir, self.segment))(failure.source));
        }
        self.end += self.buffer.len() as u32;
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), LogError> {
        let next = self.segment + 1;
        if next > MAX_SEGMENT {
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

/// 64 random bits of the operating system: the two halves of a version 4 UUID, so that its fixed bits are covered.
fn random_nonce() -> u64 {
    let bits = Uuid::new_v4().as_u128();
    (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32)
}
