//! Locks between processes.

use std::fs::{File, TryLockError};
use std::path::Path;

/// An exclusive lock on a file, held while this value lives and gone with its process.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// `None` while somebody else holds it.
    pub(crate) fn take(path: &Path) -> std::io::Result<Option<Lock>> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process being started from another thread holds a copy of the open file
        // until it executes, and with it the lock. An explicit unlock releases it for all copies.
        let _ = self.0.unlock();
    }
}
