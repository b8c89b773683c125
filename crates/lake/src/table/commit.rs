//! The table's log: one commit after the other, each once.
//!
//! A commit is a file that must not exist yet. It must directly follow the version that its writer read, or it fails:
//! none is tried again on top of another writer's. So whoever lost the right to write, and does not know it, changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, CommitInfo};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use serde_json::Value;
use uuid::Uuid;

use super::{Log, Table};
use crate::LakeError;
use crate::storage::{WriterLock, block_on};

/// A commit of the table and what its writer said about it.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) version: u64,
    /// The value under the key that was given to [`Table::append`].
    pub(crate) record: Option<Value>,
}

/// What ties a writer's commits together.
#[derive(Debug)]
pub(crate) struct Pin {
    lock: Arc<WriterLock>,
    /// The version that the next commit must follow; `None`: there is no table yet.
    version: Mutex<Option<u64>>,
}

impl Pin {
    pub(super) fn version(&self) -> MutexGuard<'_, Option<u64>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Key under which every commit carries an identifier of its own, by which its writer knows it again.
const COMMIT_KEY: &str = "hoofbeatCommit";

impl Table {
    /// What pins the holder of a lock to the version of now: its commits follow that one and each other, or fail with
    /// [`LakeError::Overtaken`]. Whatever a commit rests on must be read after this.
    pub(crate) fn pin(&self, lock: &Arc<WriterLock>) -> Result<Pin, LakeError> {
        let version = if self.exists()? { Some(self.newest()?) } else { None };
        Ok(Pin { lock: Arc::clone(lock), version: Mutex::new(version) })
    }

    pub(crate) fn pinned(self, pin: &Arc<Pin>) -> Table {
        Table { pin: Some(Arc::clone(pin)), ..self }
    }

    /// The version that the next commit must follow; `None` where it is the newest, whichever that is.
    pub(super) fn base(&self) -> Result<Option<u64>, LakeError> {
        match self.pin.as_ref().map(|pin| *pin.version()) {
            // The table was made by somebody else.
            Some(None) => Err(LakeError::Overtaken { table: self.name }),
            Some(version) => Ok(version),
            None => Ok(None),
        }
    }

    /// Whether its writer still is the only one: spares it a commit that fails, or that makes another's fail.
    pub(super) fn confirm(&self) -> Result<(), LakeError> {
        self.pin.as_ref().map_or(Ok(()), |pin| pin.lock.confirm())
    }

    pub(super) fn committed(&self, version: u64) {
        if let Some(pin) = &self.pin {
            *pin.version() = Some(version);
        }
    }

    fn newest(&self) -> Result<u64, LakeError> {
        let newest = self.commit_names()?.pop().and_then(|name| version_of(&name));
        newest.ok_or(LakeError::Overtaken { table: self.name })
    }

    /// Names of the commits, oldest first.
    fn commit_names(&self) -> Result<Vec<String>, LakeError> {
        let log = self.log();
        let mut names = log.names()?;
        names.retain(|name| version_of(name).is_some());
        names.sort();
        let first = match self.keeps {
            Log::Whole => 0,
            Log::Recent => names.first().and_then(|name| version_of(name)).unwrap_or(0),
        };
        match (first..).zip(&names).find(|(version, name)| version_of(name) != Some(*version)) {
            None => Ok(names),
            Some((version, _)) => Err(LakeError::Damaged {
                file: log.place(&commit_name(version)),
                problem: "the commit is missing while later ones are there".to_owned(),
            }),
        }
    }

    /// All commits, oldest first, with the value that each carries under `key`.
    pub(crate) fn commits(&self, key: &str) -> Result<Vec<Commit>, LakeError> {
        let names = self.commit_names()?;
        let contents = self.log().read(&names)?;
        let commit = |(version, bytes): (u64, bytes::Bytes)| {
            let info = self.commit_info(version, &bytes)?;
            Ok(Commit { version, record: info.and_then(|mut info| info.info.remove(key)) })
        };
        (0..).zip(contents).map(commit).collect()
    }

    fn commit_info(&self, version: u64, bytes: &[u8]) -> Result<Option<CommitInfo>, LakeError> {
        let damaged = |problem: String| LakeError::Damaged {
            file: self.log().place(&commit_name(version)),
            problem: format!("a commit that cannot be read ({problem})"),
        };
        let (mut actions, mut found) = (0, None);
        for action in serde_json::Deserializer::from_slice(bytes).into_iter::<Action>() {
            actions += 1;
            if let Action::CommitInfo(info) = action.map_err(|error| damaged(error.to_string()))? {
                found = Some(info);
            }
        }
        if actions == 0 {
            return Err(damaged("it is empty".to_owned()));
        }
        Ok(found)
    }

    /// Makes one commit, directly after the version that was read. Returns its version.
    ///
    /// # Errors
    /// [`LakeError::Overtaken`] when another writer was faster; [`LakeError::Unsure`] when nobody can say.
    pub(crate) fn commit(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        mut metadata: HashMap<String, Value>,
    ) -> Result<u64, LakeError> {
        let mark = Value::from(Uuid::new_v4().to_string());
        metadata.insert(COMMIT_KEY.to_owned(), mark.clone());
        self.confirm()?;
        let table = self.load(self.base()?)?;
        let next = table.version().map_or(0, |version| version + 1);
        let committed = block_on(async move {
            let log_store = table.log_store();
            let commit = CommitBuilder::from(once()).with_actions(actions).with_app_metadata(metadata);
            let finished = commit.build(Some(table.snapshot()?), log_store, operation).await?;
            Ok(finished.version())
        })?;
        let version = match committed {
            Ok(version) => version,
            // An answer may be lost after the commit was made, and what follows a commit may fail.
            Err(error) => match self.is_ours(next, &mark) {
                Ok(true) => next,
                Ok(false) => return Err(self.error()(error)),
                Err(_) => return Err(LakeError::Unsure { table: self.name, cause: error.to_string() }),
            },
        };
        self.committed(version);
        self.sync_log()?;
        Ok(version)
    }

    /// Whether commit `version` is there and carries `mark`.
    fn is_ours(&self, version: u64, mark: &Value) -> Result<bool, LakeError> {
        let (log, name) = (self.log(), commit_name(version));
        if !log.exists(&name)? {
            return Ok(false);
        }
        let read = log.read(&[name])?;
        let info = self.commit_info(version, read.first().map_or(&[], |bytes| bytes))?;
        Ok(info.is_some_and(|info| info.info.get(COMMIT_KEY) == Some(mark)))
    }

    /// Ends what a writer that lost its lock may still be about to do: its next commit cannot follow the version that
    /// it read any more. A table that does not exist yet needs nothing: creating it is what its writer would lose.
    pub(crate) fn fence(&self) -> Result<(), LakeError> {
        if !self.exists()? {
            return Ok(());
        }
        loop {
            let operation =
                DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
            match self.commit(Vec::new(), operation, HashMap::new()) {
                Ok(_) => return Ok(()),
                // The other one was still faster, which it can be only as often as it commits.
                Err(LakeError::Overtaken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the newest commit durable, with its name.
    pub(super) fn sync_log(&self) -> Result<(), LakeError> {
        let log = self.log();
        if !log.is_local() {
            return Ok(());
        }
        let newest = log.names()?.into_iter().filter(|name| version_of(name).is_some()).max();
        log.sync(newest.as_deref())
    }
}

/// Commits once: never again on top of another writer's commit.
pub(super) fn once() -> CommitProperties {
    CommitProperties::default().with_max_retries(0)
}

pub(super) fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The version that a file of the log commits; `None` for another file.
fn version_of(name: &str) -> Option<u64> {
    name.strip_suffix(".json").filter(|digits| digits.len() == 20)?.parse().ok()
}
