//! The file, its connections and its transactions.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{error::Result, schema, turn::Turnstile};

/// Idle read connections kept; more than this many at once are opened and closed again.
const IDLE_READERS: usize = 4;

/// How long a call waits for its turn, and then for the write lock, before it answers [`crate::Error::Busy`].
const PATIENCE: Duration = Duration::from_secs(10);

/// The one connection that writes, and its way to the write lock.
struct Writer {
    db: Connection,
    turnstile: Turnstile,
}

/// Handle on one registry. Share it by reference or `Arc` between threads; open one per process.
pub struct Registry {
    data_dir: PathBuf,
    file: PathBuf,
    writer: Mutex<Writer>,
    readers: Mutex<Vec<Connection>>,
}

impl Registry {
    /// Opens `<data_dir>/registry.db`, made (with its directory) where it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be made, opened or read, or a newer program wrote it.
    pub fn open(data_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        let file = data_dir.join("registry.db");
        let mut turnstile = Turnstile::open(&data_dir.join("registry.lock"))?;
        let mut db = connect(&file)?;
        // FULL in WAL mode syncs the log at every commit: what was acknowledged survives a power cut.
        db.pragma_update(None, "synchronous", "FULL")?;
        if !(is_wal(&db)? && schema::is_current(&db)?) {
            // One after the other: SQLite answers "busy" at once to two that change the mode together.
            let _turn = turnstile.pass(PATIENCE)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            schema::migrate(&mut db)?;
        }
        Ok(Self {
            data_dir: data_dir.to_owned(),
            file,
            writer: Mutex::new(Writer { db, turnstile }),
            readers: Mutex::default(),
        })
    }

    /// The directory that bundle paths are relative to.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Runs `work` in one write transaction: all of it is stored, or nothing.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut writer = lock(&self.writer);
        let Writer { db, turnstile } = &mut *writer;
        let turn = turnstile.pass(PATIENCE)?;
        // Immediate: the lock is taken before the first read, so what was read still holds at commit.
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        drop(turn);
        let out = work(&tx)?;
        tx.commit()?;
        Ok(out)
    }

    /// Moves what is in the write-ahead log into the file and empties the log, so that no copy of an overwritten row stays in
    /// it. A reader that is still at work puts it off to a later write.
    pub(crate) fn empty_journal(&self) -> Result<()> {
        let writer = lock(&self.writer);
        Ok(writer.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// Runs `work` on one snapshot of the registry; never waits for a writer.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let idle = lock(&self.readers).pop();
        let mut db = match idle {
            Some(db) => db,
            None => {
                let db = connect(&self.file)?;
                db.pragma_update(None, "query_only", true)?;
                db
            }
        };
        let tx = db.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let out = work(&tx)?;
        drop(tx);
        let mut readers = lock(&self.readers);
        if readers.len() < IDLE_READERS {
            readers.push(db);
        }
        Ok(out)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("file", &self.file).finish_non_exhaustive()
    }
}

fn connect(file: &Path) -> Result<Connection> {
    let db = Connection::open(file)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn is_wal(db: &Connection) -> Result<bool> {
    Ok(db.pragma_query_value(None, "journal_mode", |r| Ok(r.get_ref(0)?.as_str()? == "wal"))?)
}

/// A poisoned lock is taken over: an unfinished transaction was rolled back when the panicking thread unwound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
