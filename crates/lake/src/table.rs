//! One Delta table, seen synchronously: create, append, list files, read commits.
//!
//! Data files are written and made durable before a commit names them ([`crate::data_file`]); the commit, one
//! file that must not exist yet, is the only thing that makes them part of the table. It must directly follow the version
//! that its writer read, or it fails: no commit is tried again on top of another writer's. Commits are never
//! cleaned up here: they carry the dataset versions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, CommitInfo, Remove};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::LakeError;
use crate::schema::{Column, delta_fields};
use crate::storage::{Folder, WriterLock, block_on};

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Relative to the table.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

/// A commit of the table and what its writer said about it.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) version: u64,
    /// The value under the key that was given to [`Table::append`].
    pub(crate) record: Option<Value>,
}

/// The files and columns of a table at one of its versions.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) files: Vec<DataFile>,
    pub(crate) columns: Vec<String>,
}

/// A table in a folder, which may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) folder: Folder,
    /// Of a writer's table.
    pin: Option<Arc<Pin>>,
}

/// What ties a writer's commits together.
#[derive(Debug)]
pub(crate) struct Pin {
    lock: Arc<WriterLock>,
    /// The version that the next commit must follow; `None`: there is no table yet.
    version: Mutex<Option<u64>>,
}

impl Pin {
    fn version(&self) -> MutexGuard<'_, Option<u64>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Key under which every commit carries an identifier of its own, by which its writer knows it again.
const COMMIT_KEY: &str = "hoofbeatCommit";

impl Table {
    pub(crate) fn new(name: &'static str, folder: Folder) -> Table {
        Table { name, folder, pin: None }
    }

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
    fn base(&self) -> Result<Option<u64>, LakeError> {
        match self.pin.as_ref().map(|pin| *pin.version()) {
            // The table was made by somebody else.
            Some(None) => Err(LakeError::Overtaken { table: self.name }),
            Some(version) => Ok(version),
            None => Ok(None),
        }
    }

    /// Whether its writer still is the only one: spares it a commit that fails, or that makes another's fail.
    fn confirm(&self) -> Result<(), LakeError> {
        self.pin.as_ref().map_or(Ok(()), |pin| pin.lock.confirm())
    }

    fn committed(&self, version: u64) {
        if let Some(pin) = &self.pin {
            *pin.version() = Some(version);
        }
    }

    pub(crate) fn exists(&self) -> Result<bool, LakeError> {
        self.log().exists(&commit_name(0))
    }

    fn log(&self) -> Folder {
        self.folder.child("_delta_log")
    }

    fn error(&self) -> impl Fn(DeltaTableError) -> LakeError + use<> {
        LakeError::table(self.name)
    }

    /// Creates the table where it does not exist.
    pub(crate) fn create(&self, columns: &[Column]) -> Result<(), LakeError> {
        let there = match &self.pin {
            Some(pin) => pin.version().is_some(),
            None => self.exists()?,
        };
        if there {
            return Ok(());
        }
        self.confirm()?;
        self.folder.create()?;
        let properties = [
            ("delta.checkpointInterval", "20".to_owned()),
            // Old commits carry the dataset versions, and old versions stay readable.
            ("delta.enableExpiredLogCleanup", "false".to_owned()),
            ("delta.logRetentionDuration", "interval 36500 days".to_owned()),
        ];
        let table = DeltaTable::new(self.folder.log_store()?.map_err(self.error())?);
        let create = table
            .create()
            .with_columns(delta_fields(columns))
            .with_table_name(self.name)
            .with_configuration(properties.map(|(key, value)| (key, Some(value))))
            .with_commit_properties(once());
        if let Err(error) = block_on(async move { create.await })? {
            let overtaken = self.exists()?;
            return Err(if overtaken {
                LakeError::Overtaken { table: self.name }
            } else {
                self.error()(error)
            });
        }
        self.committed(0);
        self.sync_log()
    }

    fn load(&self, version: Option<u64>) -> Result<DeltaTable, LakeError> {
        let mut table = DeltaTable::new(self.folder.log_store()?.map_err(self.error())?);
        let loaded = block_on(async {
            match version {
                Some(version) => table.load_version(version).await?,
                None => table.load().await?,
            }
            Ok(table)
        });
        loaded?.map_err(self.error())
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
        match (0..).zip(&names).find(|(version, name)| version_of(name) != Some(*version)) {
            None => Ok(names),
            Some((version, _)) => Err(LakeError::Damaged {
                file: log.place(&commit_name(version)),
                problem: "the commit is missing while later ones are there".to_owned(),
            }),
        }
    }

    /// The table at `version` (`None`: now).
    pub(crate) fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, LakeError> {
        let table = self.load(version)?;
        let state = table.snapshot().map_err(self.error())?;
        let files = state.log_data().into_iter().map(|file| DataFile {
            name: file.path().into_owned(),
            bytes: file.size().unsigned_abs(),
            rows: file.num_records().unwrap_or(0) as u64,
        });
        let mut files: Vec<_> = files.collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Snapshot { files, columns: state.schema().fields().map(|field| field.name().clone()).collect() })
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

    /// Adds columns that the table lacks. Returns whether there were any.
    pub(crate) fn add_columns(&self, columns: &[Column]) -> Result<bool, LakeError> {
        let known = self.snapshot(self.base()?)?.columns;
        let mut missing = columns.to_vec();
        missing.retain(|column| !known.contains(&column.name));
        if missing.is_empty() {
            return Ok(false);
        }
        let add = self.load(self.base()?)?.add_columns();
        let add = add.with_fields(delta_fields(&missing)).with_commit_properties(once());
        let table = block_on(async move { add.await })?.map_err(self.error())?;
        self.committed(table.version().unwrap_or_default());
        self.sync_log()?;
        Ok(true)
    }

    /// Adds data files, which must be durable, in one commit that carries `record` under `key`. Returns its version.
    pub(crate) fn append(&self, files: &[DataFile], key: &str, record: Value) -> Result<u64, LakeError> {
        let adds = files.iter().map(|file| Action::Add(self.add_action(file)));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
        self.commit(adds.collect(), operation, HashMap::from([(key.to_owned(), record)]))
    }

    /// Puts data files, which must be durable, in place of others, in one commit that carries `record` under `key`. The
    /// others stay on the disk. `same_rows`: no row came or went, so that readers which follow changes may pass over it.
    pub(crate) fn replace(
        &self,
        others: &[DataFile],
        files: &[DataFile],
        same_rows: bool,
        key: &str,
        record: Value,
    ) -> Result<u64, LakeError> {
        if !same_rows {
            self.allow_removal()?;
        }
        let removes = others.iter().map(|file| self.remove_action(file));
        let adds = files.iter().map(|file| self.add_action(file));
        let actions = removes
            .map(|remove| Action::Remove(Remove { data_change: !same_rows, ..remove }))
            .chain(adds.map(|add| Action::Add(Add { data_change: !same_rows, ..add })));
        let operation = match same_rows {
            true => DeltaOperation::Optimize { predicate: None, target_size: 0 },
            false => DeltaOperation::Delete { predicate: None },
        };
        self.commit(actions.collect(), operation, HashMap::from([(key.to_owned(), record)]))
    }

    /// Takes files out of the table, then deletes them.
    pub(crate) fn remove(&self, files: &[DataFile]) -> Result<(), LakeError> {
        if files.is_empty() {
            return Ok(());
        }
        let removes = files.iter().map(|file| Action::Remove(self.remove_action(file)));
        let operation = DeltaOperation::Delete { predicate: None };
        self.commit(removes.collect(), operation, HashMap::new())?;
        self.delete(files.iter().map(|file| file.name.as_str()))?;
        Ok(())
    }

    /// Deletes data files that are no longer part of the table. One that is gone already is well. Returns how many there were.
    pub(crate) fn delete<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<u64, LakeError> {
        let mut deleted = 0;
        for name in names {
            deleted += u64::from(self.folder.delete(name)?);
        }
        Ok(deleted)
    }

    /// Lifts the promise that rows are never taken out, which tables were made with before persons could be erased.
    fn allow_removal(&self) -> Result<(), LakeError> {
        let table = self.load(self.base()?)?;
        if table.snapshot().map_err(self.error())?.table_config().append_only != Some(true) {
            return Ok(());
        }
        let lifted = [("delta.appendOnly".to_owned(), "false".to_owned())].into();
        let lift = table.set_tbl_properties().with_properties(lifted).with_commit_properties(once());
        let table = block_on(async move { lift.await })?.map_err(self.error())?;
        self.committed(table.version().unwrap_or_default());
        self.sync_log()
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

    fn add_action(&self, file: &DataFile) -> Add {
        Add {
            path: file.name.clone(),
            size: file.bytes as i64,
            modification_time: now_millis(),
            data_change: true,
            stats: Some(json!({ "numRecords": file.rows }).to_string()),
            ..Add::default()
        }
    }

    fn remove_action(&self, file: &DataFile) -> Remove {
        Remove {
            path: file.name.clone(),
            data_change: true,
            deletion_timestamp: Some(now_millis()),
            size: Some(file.bytes as i64),
            ..Remove::default()
        }
    }

    /// Makes the newest commit durable, with its name.
    fn sync_log(&self) -> Result<(), LakeError> {
        let log = self.log();
        if !log.is_local() {
            return Ok(());
        }
        let newest = log.names()?.into_iter().filter(|name| version_of(name).is_some()).max();
        log.sync(newest.as_deref())
    }

    /// Files of the table's folder, by their names in it, that should not be there: data files that `may_stay` (file's
    /// name, writer's identifier) denies, and half-written commits. Files that have not our names are another
    /// writer's, and old versions may need them.
    pub(crate) fn leftovers(&self, may_stay: impl Fn(&str, &str) -> bool) -> Result<Vec<String>, LakeError> {
        // In a bucket, a writer that lost its lease may still create the table, with its files: see [`Table::fence`].
        if !self.folder.is_local() && !self.exists()? {
            return Ok(Vec::new());
        }
        let mut found = self.folder.names()?;
        found.retain(|name| ingest_of(name).is_some_and(|ingest| !may_stay(name, ingest)));
        for name in self.log().names()? {
            // The local store writes `<name>#<n>` and then links it; the table library `_commit_<id>.json.tmp`.
            if name.contains('#') || name.ends_with(".tmp") {
                found.push(format!("_delta_log/{name}"));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Commits once: never again on top of another writer's commit.
fn once() -> CommitProperties {
    CommitProperties::default().with_max_retries(0)
}

/// Beginning of the names of our data files; the ingest's identifier follows, then the file's number.
const FILE_PREFIX: &str = "hoofbeat-";

pub(crate) fn file_prefix(ingest: &str) -> String {
    format!("{FILE_PREFIX}{ingest}")
}

/// The ingest that wrote a data file; `None` for another writer's file.
pub(crate) fn ingest_of(file_name: &str) -> Option<&str> {
    let (ingest, _number) =
        file_name.strip_prefix(FILE_PREFIX)?.strip_suffix(".parquet")?.rsplit_once('-')?;
    Some(ingest)
}

fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The version that a file of the log commits; `None` for another file.
fn version_of(name: &str) -> Option<u64> {
    name.strip_suffix(".json").filter(|digits| digits.len() == 20)?.parse().ok()
}

/// The wall clock, for the two fields of the protocol that want it; nothing else depends on it.
fn now_millis() -> i64 {
    let now = time::OffsetDateTime::now_utc();
    (now.unix_timestamp_nanos() / 1_000_000) as i64
}
