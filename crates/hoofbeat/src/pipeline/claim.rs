//! A run belongs to one process at a time, so that an interrupted one can be taken up and a running one not.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::deployment::Deployment;

/// Held while a process works on a run. The operating system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Claims a run; none when another process works on it.
    pub(super) fn take(deployment: &Deployment, run: &str) -> Result<Option<Claim>> {
        let folder = deployment.data_dir.join("runs");
        let path = folder.join(format!("{run}.lock"));
        let open = || {
            std::fs::create_dir_all(&folder)?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let lock = open().with_context(|| format!("{} cannot be opened", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Claim { path, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // An empty file that stays behind does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}
