//! Whose turn it is to write, between processes.
//!
//! SQLite lets waiting writers look again now and then, and whoever looks at the right moment gets the lock. A process
//! that writes without a pause gives its lock up for microseconds only, so that another one, which sleeps for
//! milliseconds between its looks, may find it taken every time. Hence a second lock in front of SQLite's: a
//! writer takes it first, and gives it up as soon as it has SQLite's (a turnstile; Downey, *The Little Book of
//! Semaphores*, 2016, 3.7 and 4.2.5). Who has just written then waits behind who waits already.

use std::{
    fs::{File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// Between two looks. All who wait look equally often.
const PAUSE: Duration = Duration::from_millis(1);

/// This process's access to the turnstile. The operating system frees it when its holder dies.
#[derive(Debug)]
pub(crate) struct Turnstile(File);

/// The turn, until it is dropped.
#[derive(Debug)]
#[must_use = "the turn is over when this is dropped"]
pub(crate) struct Turn<'a>(&'a File);

impl Turnstile {
    /// Opens the turnstile's file, made where it is missing. It holds nothing, and is never removed.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self(File::options().create(true).truncate(false).write(true).open(path)?))
    }

    /// Waits for the turn.
    ///
    /// The lock belongs to the open file: `&mut self` keeps two threads from passing together.
    ///
    /// # Errors
    /// [`Error::Busy`] after `patience`; the file system has no locks.
    pub(crate) fn pass(&mut self, patience: Duration) -> Result<Turn<'_>> {
        let started = Instant::now();
        loop {
            match self.0.try_lock() {
                Ok(()) => return Ok(Turn(&self.0)),
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if started.elapsed() >= patience => return Err(Error::Busy),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Only a file that is not open cannot be unlocked.
        let _ = self.0.unlock();
    }
}
