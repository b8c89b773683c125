//! One Delta table, seen synchronously: create, append, list files, read commits.
//!
//! Data files are written and made durable before a commit names them ([`crate::data_file`]); the commit, one
//! file that must not exist yet, is the only thing that makes them part of the table ([`commit`]). Commits are never
//! cleaned up here: they carry the dataset versions.

mod commit;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake_core::kernel::{Action, Add, Remove, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use crate::LakeError;
use crate::schema::{Column, delta_fields, kind_of};
use crate::storage::{Folder, block_on};
pub(crate) use commit::Pin;
use commit::{commit_name, once};

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Relative to the table.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

/// The files and columns of a table at one of its versions.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) files: Vec<DataFile>,
    pub(crate) columns: Vec<Column>,
}

/// How much of its log a table keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// All of it: the commits carry the dataset versions, and old versions stay readable.
    Whole,
    /// What a reader of the last week needs: a commit every few minutes would fill the folder.
    Recent,
}

impl Log {
    fn properties(self) -> [(&'static str, String); 3] {
        let (cleanup, kept) = match self {
            Log::Whole => ("false", "interval 36500 days"),
            Log::Recent => ("true", "interval 7 days"),
        };
        [
            ("delta.checkpointInterval", "20".to_owned()),
            ("delta.enableExpiredLogCleanup", cleanup.to_owned()),
            ("delta.logRetentionDuration", kept.to_owned()),
        ]
    }
}

/// What a commit that exchanges files does to the table's rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exchanged<'a> {
    /// Nothing.
    Same,
    /// Some are gone.
    Fewer,
    /// The table has taken in its feed up to a place, where something lay that has this print; the protocol's transaction
    /// identifiers keep that, also when old commits are cleaned up.
    UpTo { feed: &'a str, place: i64, print: Option<i64> },
}

/// Under which the print of what a feed was taken in up to is kept.
fn print_of(feed: &str) -> String {
    format!("{feed} print")
}

/// A table in a folder, which may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) folder: Folder,
    keeps: Log,
    /// Of a writer's table.
    pin: Option<Arc<Pin>>,
}

impl Table {
    pub(crate) fn new(name: &'static str, folder: Folder, keeps: Log) -> Table {
        Table { name, folder, keeps, pin: None }
    }

    pub(crate) fn exists(&self) -> Result<bool, LakeError> {
        let log = self.log();
        Ok(log.exists(&commit_name(0))? || (self.keeps == Log::Recent && log.exists(CHECKPOINT)?))
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
        let properties = self.keeps.properties();
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
        let columns = state.schema();
        let columns = columns.fields().filter_map(|field| {
            Some(Column { name: field.name().clone(), kind: kind_of(field.data_type())? })
        });
        Ok(Snapshot { files, columns: columns.collect() })
    }

    /// The place up to which the table has taken in a feed, and the print of what lay there.
    pub(crate) fn taken_in(&self, feed: &str) -> Result<Option<(i64, Option<i64>)>, LakeError> {
        let table = self.load(self.base()?)?;
        let found = block_on(async {
            let (state, log) = (table.snapshot()?, table.log_store());
            let Some(place) = state.transaction_version(log.as_ref(), feed).await? else { return Ok(None) };
            Ok(Some((place, state.transaction_version(log.as_ref(), &print_of(feed)).await?)))
        })?;
        found.map_err(self.error())
    }

    /// Names of replaced files whose rows are all in others: readers that began before may still be at them, for as long as
    /// the protocol spares them (a week).
    pub(crate) fn spared(&self) -> Result<HashSet<String>, LakeError> {
        let table = self.load(self.base()?)?;
        let removed = block_on(async {
            let state = table.snapshot()?;
            let log_store = table.log_store();
            let removed = state.all_tombstones(log_store.as_ref());
            let same_rows = removed.try_filter(|file| std::future::ready(!file.data_change()));
            same_rows.map_ok(|file| file.path().into_owned()).try_collect().await
        })?;
        removed.map_err(self.error())
    }

    /// Adds columns that the table lacks. Returns whether there were any.
    pub(crate) fn add_columns(&self, columns: &[Column]) -> Result<bool, LakeError> {
        let known = self.snapshot(self.base()?)?.columns;
        let mut missing = columns.to_vec();
        missing.retain(|column| known.iter().all(|known| known.name != column.name));
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

    /// Puts data files, which must be durable, in place of others (or of none), in one commit. The others stay on the disk.
    pub(crate) fn exchange(
        &self,
        others: &[DataFile],
        files: &[DataFile],
        what: Exchanged<'_>,
    ) -> Result<u64, LakeError> {
        // Of a correction, the rows that it keeps are in the new files: the old ones are spared, as those put together.
        let fewer = matches!(what, Exchanged::Fewer);
        let changed = !matches!(what, Exchanged::Same);
        let removes = others.iter().map(|file| Remove { data_change: fewer, ..self.remove_action(file) });
        let adds = files.iter().map(|file| Add { data_change: changed, ..self.add_action(file) });
        let mut actions: Vec<Action> = removes.map(Action::Remove).chain(adds.map(Action::Add)).collect();
        let operation = match what {
            Exchanged::Same => DeltaOperation::Optimize { predicate: None, target_size: 0 },
            Exchanged::Fewer => DeltaOperation::Delete { predicate: None },
            Exchanged::UpTo { feed, place, print } => {
                actions.push(Action::Txn(Transaction::new(feed, place)));
                let print = print.map(|print| Action::Txn(Transaction::new(print_of(feed), print)));
                actions.extend(print);
                DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
            }
        };
        self.commit(actions, operation, HashMap::new())
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

/// Where the log names its newest checkpoint.
const CHECKPOINT: &str = "_last_checkpoint";

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

/// The wall clock, for the two fields of the protocol that want it; nothing else depends on it.
fn now_millis() -> i64 {
    let now = time::OffsetDateTime::now_utc();
    (now.unix_timestamp_nanos() / 1_000_000) as i64
}
