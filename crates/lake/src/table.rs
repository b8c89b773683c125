//! One Delta table, seen synchronously: create, append, list files, read commits.
//!
//! Data files are written and made durable before a commit names them ([`crate::data_file`]); the commit, one
//! file that must not exist yet, is the only thing that makes them part of the table. Commits are never
//! cleaned up here: they carry the dataset versions.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake_core::kernel::{Action, Add, CommitInfo, Remove};
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use serde_json::{Value, json};
use url::Url;

use crate::LakeError;
use crate::schema::{Column, delta_fields};

/// Runs `future` on a runtime of its own thread, so that callers may themselves be inside a runtime.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, LakeError> {
    let run = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().map_err(LakeError::io(Path::new("tokio")))?;
        Ok(runtime.block_on(future))
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap_or(Err(LakeError::WorkerStopped)))
}

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

/// A table in a local folder, which may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) dir: PathBuf,
}

impl Table {
    pub(crate) fn exists(&self) -> bool {
        self.log_dir().join(format!("{:020}.json", 0)).exists()
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.join("_delta_log")
    }

    fn url(&self) -> Result<Url, LakeError> {
        let absolute = std::path::absolute(&self.dir).map_err(LakeError::io(&self.dir))?;
        Url::from_directory_path(&absolute).map_err(|()| {
            let source = std::io::Error::other("the folder's path is no URL");
            LakeError::io(&self.dir)(source)
        })
    }

    fn error(&self) -> impl Fn(DeltaTableError) -> LakeError + use<> {
        LakeError::table(self.name)
    }

    /// Creates the table where it does not exist.
    pub(crate) fn create(&self, columns: &[Column]) -> Result<(), LakeError> {
        if self.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.dir).map_err(LakeError::io(&self.dir))?;
        let properties = [
            ("delta.checkpointInterval", "20".to_owned()),
            // Old commits carry the dataset versions, and old versions stay readable.
            ("delta.enableExpiredLogCleanup", "false".to_owned()),
            ("delta.logRetentionDuration", "interval 36500 days".to_owned()),
        ];
        let (url, fields) = (self.url()?, delta_fields(columns));
        block_on(async move {
            let table = DeltaTable::try_from_url(url).await?;
            table
                .create()
                .with_columns(fields)
                .with_table_name(self.name)
                .with_configuration(properties.map(|(key, value)| (key, Some(value))))
                .await
        })?
        .map_err(self.error())?;
        self.sync_log()
    }

    async fn load(&self, url: Url, version: Option<u64>) -> Result<DeltaTable, DeltaTableError> {
        let builder = DeltaTableBuilder::from_url(url)?;
        match version {
            Some(version) => builder.with_version(version).load().await,
            None => builder.load().await,
        }
    }

    /// The table at `version` (`None`: now).
    pub(crate) fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, LakeError> {
        let url = self.url()?;
        let table = block_on(self.load(url, version))?.map_err(self.error())?;
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
        if !self.exists() {
            return Ok(Vec::new());
        }
        let url = self.url()?;
        block_on(async move {
            let store = DeltaTableBuilder::from_url(url)?.build_storage()?;
            let mut commits = Vec::new();
            while let Some(bytes) = store.read_commit_entry(commits.len() as u64).await? {
                let info = commit_info(&bytes)?;
                let record = info.and_then(|mut info| info.info.remove(key));
                commits.push(Commit { version: commits.len() as u64, record });
            }
            Ok(commits)
        })?
        .map_err(self.error())
    }

    /// Adds columns that the table lacks. Returns whether there were any.
    pub(crate) fn add_columns(&self, columns: &[Column]) -> Result<bool, LakeError> {
        let known = self.snapshot(None)?.columns;
        let mut missing = columns.to_vec();
        missing.retain(|column| !known.contains(&column.name));
        if missing.is_empty() {
            return Ok(false);
        }
        let url = self.url()?;
        let fields = delta_fields(&missing);
        block_on(async move { self.load(url, None).await?.add_columns().with_fields(fields).await })?
            .map_err(self.error())?;
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
            let path = self.dir.join(name);
            match std::fs::remove_file(&path) {
                Ok(()) => deleted += 1,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(LakeError::io(&path)(error)),
            }
        }
        Ok(deleted)
    }

    /// Bytes of a data file on the disk; `None` where there is none.
    pub(crate) fn size_on_disk(&self, name: &str) -> Result<Option<u64>, LakeError> {
        let path = self.dir.join(name);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LakeError::io(&path)(error)),
        }
    }

    /// Lifts the promise that rows are never taken out, which tables were made with before persons could be erased.
    fn allow_removal(&self) -> Result<(), LakeError> {
        let url = self.url()?;
        block_on(async move {
            let table = self.load(url, None).await?;
            if table.snapshot()?.table_config().append_only == Some(true) {
                let lifted = [("delta.appendOnly".to_owned(), "false".to_owned())].into();
                table.set_tbl_properties().with_properties(lifted).await?;
            }
            Ok(())
        })?
        .map_err(self.error())?;
        self.sync_log()
    }

    fn commit(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        metadata: HashMap<String, Value>,
    ) -> Result<u64, LakeError> {
        let url = self.url()?;
        let version = block_on(async move {
            let table = self.load(url, None).await?;
            let log_store: LogStoreRef = table.log_store();
            let commit = CommitBuilder::from(CommitProperties::default())
                .with_actions(actions)
                .with_app_metadata(metadata)
                .build(Some(table.snapshot()?), log_store, operation)
                .await?;
            Ok(commit.version())
        })?
        .map_err(self.error())?;
        self.sync_log()?;
        Ok(version)
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
        let dir = self.log_dir();
        let newest = files_in(&dir)?.into_iter().filter(|name| is_commit(name)).max();
        for path in newest.map(|name| dir.join(name)).into_iter().chain([dir]) {
            File::open(&path).and_then(|file| file.sync_all()).map_err(LakeError::io(&path))?;
        }
        Ok(())
    }

    /// Paths under the table that should not be there: data files that `may_stay` (file's name, writer's identifier) denies,
    /// and half-written commits. Files that have not our names are another writer's, and old versions may need them.
    pub(crate) fn leftovers(&self, may_stay: impl Fn(&str, &str) -> bool) -> Result<Vec<PathBuf>, LakeError> {
        let mut found = Vec::new();
        for name in files_in(&self.dir)? {
            if ingest_of(&name).is_some_and(|ingest| !may_stay(&name, ingest)) {
                found.push(self.dir.join(name));
            }
        }
        for name in files_in(&self.log_dir())? {
            // The object store writes `<name>#<n>` and then links it; the table library `_commit_<id>.json.tmp`.
            if name.contains('#') || name.ends_with(".tmp") {
                found.push(self.log_dir().join(name));
            }
        }
        found.sort();
        Ok(found)
    }
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

fn is_commit(name: &str) -> bool {
    name.len() == 25 && name.ends_with(".json")
}

fn commit_info(bytes: &[u8]) -> Result<Option<CommitInfo>, DeltaTableError> {
    for action in serde_json::Deserializer::from_slice(bytes).into_iter::<Action>() {
        if let Action::CommitInfo(info) = action? {
            return Ok(Some(info));
        }
    }
    Ok(None)
}

/// Names of the plain files in `dir`; none where it does not exist.
fn files_in(dir: &Path) -> Result<Vec<String>, LakeError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LakeError::io(dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(LakeError::io(dir))?;
        if entry.path().is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// The wall clock, for the two fields of the protocol that want it; nothing else depends on it.
fn now_millis() -> i64 {
    let now = time::OffsetDateTime::now_utc();
    (now.unix_timestamp_nanos() / 1_000_000) as i64
}
