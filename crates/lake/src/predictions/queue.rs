//! What waits for the writer: records, framed by those who bring them, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::frame::{self, Address, HEADER, MAX_PAYLOAD};
use super::{LogError, LogOptions};

/// Bytes that one job may bring, so that an offset always fits its 32 bits.
const MAX_JOB: usize = 1 << 30;
/// A batch's memory beyond this is given back after its commit.
const KEPT: usize = 1 << 20;
/// How long the writer waits at most for those who are about to bring a record.
const GATHER: Duration = Duration::from_millis(1);

pub(crate) type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// Where a record begins in its batch, and its nonce.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    nonce: u64,
}

impl Place {
    /// The record's identifier in a batch that begins at `base`.
    fn id(self, segment: u32, base: u32) -> Uuid {
        Address { segment, offset: base + self.start, nonce: self.nonce }.to_id()
    }
}

/// Who waits for what.
enum Job {
    One(Place, Reply<Uuid>),
    Many(Vec<Place>, Reply<Vec<Uuid>>),
}

/// Records that become durable together.
#[derive(Default)]
pub(crate) struct Batch {
    frames: Vec<u8>,
    jobs: Vec<Job>,
}

impl Batch {
    pub(crate) fn frames(&self) -> &[u8] {
        &self.frames
    }

    fn push(&mut self, header: &[u8; HEADER], nonce: u64, payload: &[u8]) -> Place {
        let start = self.frames.len() as u32;
        self.frames.extend_from_slice(header);
        self.frames.extend_from_slice(payload);
        Place { start, nonce }
    }

    /// Tells all who wait that the batch is durable at `base` of `segment`, and empties it.
    pub(crate) fn acknowledge(&mut self, segment: u32, base: u32) {
        // A caller that went away does not want the answer.
        for job in self.jobs.drain(..) {
            match job {
                Job::One(place, reply) => drop(reply.send(Ok(place.id(segment, base)))),
                Job::Many(places, reply) => {
                    drop(reply.send(Ok(places.iter().map(|place| place.id(segment, base)).collect())));
                }
            }
        }
        self.clear();
    }

    /// Tells all who wait why nothing was written, and empties the batch.
    pub(crate) fn refuse(&mut self, error: &LogError) {
        tracing::error!(%error, requests = self.jobs.len(), "prediction log write failed");
        for job in self.jobs.drain(..) {
            match job {
                Job::One(_, reply) => drop(reply.send(Err(error.clone()))),
                Job::Many(_, reply) => drop(reply.send(Err(error.clone()))),
            }
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.frames.shrink_to(KEPT);
    }
}

#[derive(Default)]
struct Queue {
    /// Batches that took no more, oldest first.
    full: VecDeque<Batch>,
    filling: Batch,
    /// Bytes of all of them.
    bytes: usize,
    /// Jobs of the batch that the writer took last.
    taken: usize,
    /// The writer sleeps until so many jobs wait; 0: it does not sleep.
    wake_at: usize,
    closed: bool,
}

impl Queue {
    /// Whether there is enough for a flush of which `jobs` are expected.
    fn holds(&self, jobs: usize) -> bool {
        self.closed || !self.full.is_empty() || self.filling.jobs.len() >= jobs
    }
}

/// Between those who bring records and the one writer.
pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Largest batch of more than one job, bytes.
    batch_bytes: usize,
    pending_bytes: usize,
}

impl Mailbox {
    /// `batch_bytes` is what a segment holds.
    pub(crate) fn new(options: &LogOptions, batch_bytes: usize) -> Mailbox {
        Mailbox {
            queue: Mutex::default(),
            filled: Condvar::new(),
            batch_bytes,
            pending_bytes: options.pending_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent between any two statements that hold it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn submit(&self, payload: &[u8], reply: Reply<Uuid>) {
        if let Err(error) = check(&[payload]) {
            return drop(reply.send(Err(error)));
        }
        // What can be done before the lock is held is done before.
        let nonce = random_nonce();
        let header = frame::header(nonce, payload);
        match self.open(HEADER + payload.len()) {
            Ok(mut queue) => {
                let place = queue.filling.push(&header, nonce, payload);
                queue.filling.jobs.push(Job::One(place, reply));
                self.close(queue);
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    pub(crate) fn submit_all(&self, payloads: &[impl AsRef<[u8]>], reply: Reply<Vec<Uuid>>) {
        let bytes = match check(payloads) {
            Ok(bytes) => bytes,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let framed: Vec<_> = payloads
            .iter()
            .map(|payload| {
                let (nonce, payload) = (random_nonce(), payload.as_ref());
                (frame::header(nonce, payload), nonce, payload)
            })
            .collect();
        match self.open(bytes) {
            Ok(mut queue) => {
                let filling = &mut queue.filling;
                let places =
                    framed.iter().map(|(header, nonce, payload)| filling.push(header, *nonce, payload));
                let places = places.collect();
                filling.jobs.push(Job::Many(places, reply));
                self.close(queue);
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// The queue with room for `bytes` more in the batch that fills.
    fn open(&self, bytes: usize) -> Result<MutexGuard<'_, Queue>, LogError> {
        let mut queue = self.lock();
        // One job alone is always taken: it is bounded by what a request may carry.
        if queue.bytes > 0 && queue.bytes + bytes > self.pending_bytes {
            return Err(LogError::Overloaded);
        }
        queue.bytes += bytes;
        if !queue.filling.jobs.is_empty() && queue.filling.frames.len() + bytes > self.batch_bytes {
            let full = std::mem::take(&mut queue.filling);
            queue.full.push_back(full);
        }
        Ok(queue)
    }

    fn close(&self, mut queue: MutexGuard<'_, Queue>) {
        let wake = queue.wake_at > 0 && queue.holds(queue.wake_at);
        if wake {
            queue.wake_at = 0;
        }
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
    }

    /// Waits for records and exchanges them for the empty `batch`; false when the log is closed and all is done.
    ///
    /// A flush costs the same for one record and for a hundred. So it begins when half of those who keep asking have brought
    /// theirs: one half is answered while the other half waits for the disk. Who asks alone never waits.
    pub(crate) fn take(&self, batch: &mut Batch) -> bool {
        let queue = self.lock();
        let askers = queue.taken + queue.filling.jobs.len();
        let queue = self.sleep(queue, askers.div_ceil(2).max(1), Some(GATHER));
        let mut queue = self.sleep(queue, 1, None);
        match queue.full.pop_front() {
            Some(full) => *batch = full,
            None => std::mem::swap(batch, &mut queue.filling),
        }
        queue.bytes -= batch.frames.len();
        queue.taken = batch.jobs.len();
        queue.taken > 0
    }

    /// Sleeps until `jobs` wait or the log is closed, for at most `limit`.
    fn sleep<'q>(
        &self,
        mut queue: MutexGuard<'q, Queue>,
        jobs: usize,
        limit: Option<Duration>,
    ) -> MutexGuard<'q, Queue> {
        if queue.holds(jobs) {
            return queue;
        }
        queue.wake_at = jobs;
        let asleep = |queue: &mut Queue| !queue.holds(jobs);
        let mut queue = match limit {
            Some(limit) => {
                self.filled.wait_timeout_while(queue, limit, asleep).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.filled.wait_while(queue, asleep).unwrap_or_else(PoisonError::into_inner),
        };
        queue.wake_at = 0;
        queue
    }

    /// No further record comes.
    pub(crate) fn end(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        self.close(queue);
    }
}

/// The bytes that the payloads' frames take.
fn check(payloads: &[impl AsRef<[u8]>]) -> Result<usize, LogError> {
    let lengths = || payloads.iter().map(|payload| payload.as_ref().len());
    if let Some(bytes) = lengths().find(|bytes| *bytes > MAX_PAYLOAD) {
        return Err(LogError::TooLarge { bytes });
    }
    let bytes = lengths().map(|bytes| bytes + HEADER).sum();
    if bytes > MAX_JOB { Err(LogError::TooLarge { bytes }) } else { Ok(bytes) }
}

/// 64 random bits of the operating system: the two halves of a version 4 UUID, so that its fixed bits are covered.
fn random_nonce() -> u64 {
    let bits = Uuid::new_v4().as_u128();
    (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32)
}
