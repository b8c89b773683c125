//! One SQLite file, shared by the processes of one machine.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{ToSql, TransactionBehavior, types::ToSqlOutput, types::ValueRef};

use super::{Connection, Database, Row, Session, Transport, Value};
use crate::{
    error::{Error, Result},
    turn::Turnstile,
};

/// Idle read connections kept; more than this many at once are opened and closed again.
const IDLE_READERS: usize = 4;

/// How long a call waits for its turn, and then for the write lock, before it answers [`Error::Busy`].
const PATIENCE: Duration = Duration::from_secs(10);

/// The one connection that writes, and its way to the write lock.
struct Writer {
    db: rusqlite::Connection,
    turnstile: Turnstile,
}

pub(crate) struct Sqlite {
    file: PathBuf,
    writer: Mutex<Writer>,
    readers: Mutex<Vec<rusqlite::Connection>>,
}

impl Sqlite {
    /// Opens `<data_dir>/registry.db`, made where it is missing.
    pub(crate) fn open(data_dir: &Path) -> Result<Self> {
        let file = data_dir.join("registry.db");
        let mut turnstile = Turnstile::open(&data_dir.join("registry.lock"))?;
        let db = connect(&file)?;
        // FULL in WAL mode syncs the log at every commit: what was acknowledged survives a power cut.
        db.pragma_update(None, "synchronous", "FULL")?;
        // A deleted row is overwritten: a person's erasure is one in the file, too.
        db.pragma_update(None, "secure_delete", true)?;
        if !is_wal(&db)? {
            // One after the other: SQLite answers "busy" at once to two that change the mode together.
            let _turn = turnstile.pass(PATIENCE)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
        }
        Ok(Self { file, writer: Mutex::new(Writer { db, turnstile }), readers: Mutex::default() })
    }

    /// Runs `work` in a transaction that has the write lock.
    fn exclusively<T>(&self, work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>) -> Result<T> {
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

    /// Runs `work` on one snapshot.
    fn snapshot<T>(&self, work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T>) -> Result<T> {
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

impl Database for Sqlite {
    fn version(&self) -> Result<i64> {
        self.snapshot(|tx| version(tx))
    }

    fn migrate(&self, from: i64, steps: &[&str], to: i64) -> Result<()> {
        self.exclusively(|tx| {
            if version(tx)? == from {
                for step in steps {
                    tx.execute_batch(step)?;
                }
                tx.pragma_update(None, "user_version", to)?;
            }
            Ok(())
        })
    }

    fn write(&self, work: &mut dyn FnMut(&Connection<'_>) -> Result<()>) -> Result<()> {
        self.exclusively(|tx| work(&Connection(&**tx)))
    }

    fn read(&self, work: &mut dyn FnMut(&Connection<'_>) -> Result<()>) -> Result<()> {
        self.snapshot(|tx| work(&Connection(&**tx)))
    }

    fn forget(&self) -> Result<()> {
        // The write-ahead log still has the rows as they were.
        let writer = lock(&self.writer);
        Ok(writer.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn damage(&self) -> Result<Vec<String>> {
        self.snapshot(|tx| {
            let mut found = Vec::new();
            for line in first_column(tx, "PRAGMA integrity_check (5)")? {
                if line != "ok" {
                    found.push(format!("the registry's file is damaged: {line}"));
                }
            }
            for table in first_column(tx, "PRAGMA foreign_key_check")? {
                found.push(format!("a row of table {table} refers to one that does not exist"));
            }
            Ok(found)
        })
    }

    fn transport(&self) -> Result<Transport> {
        Ok(Transport::File)
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }
}

impl Session for rusqlite::Connection {
    fn execute(&self, sql: &str, parameters: &[Value]) -> Result<u64> {
        let changed = self.prepare_cached(sql)?.execute(rusqlite::params_from_iter(parameters))?;
        Ok(changed as u64)
    }

    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        let mut statement = self.prepare_cached(sql)?;
        let columns = statement.column_count();
        let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| {
            Ok((0..columns).map(|column| row.get_ref(column).map(read)).collect::<Result<Vec<_>, _>>())
        })?;
        rows.map(|row| Ok(Row(row??.into_iter().collect::<Result<Vec<_>>>()?))).collect()
    }

    fn clock(&self) -> &'static str {
        "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn read(value: ValueRef<'_>) -> Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => {
            let text =
                str::from_utf8(text).map_err(|_| Error::Corrupt { what: "a text that is not UTF-8" })?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(_) => return Err(Error::Corrupt { what: "a value of an unknown kind" }),
    })
}

fn first_column(db: &rusqlite::Connection, sql: &str) -> Result<Vec<String>> {
    let mut query = db.prepare(sql)?;
    let lines = query.query_map([], |row| row.get(0))?;
    Ok(lines.collect::<Result<_, _>>()?)
}

fn connect(file: &Path) -> Result<rusqlite::Connection> {
    let db = rusqlite::Connection::open(file)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn is_wal(db: &rusqlite::Connection) -> Result<bool> {
    Ok(db.pragma_query_value(None, "journal_mode", |r| Ok(r.get_ref(0)?.as_str()? == "wal"))?)
}

fn version(db: &rusqlite::Connection) -> Result<i64> {
    Ok(db.pragma_query_value(None, "user_version", |r| r.get(0))?)
}

/// A poisoned lock is taken over: an unfinished transaction was rolled back when the panicking thread unwound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Self {
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Storage(Box::new(e)),
        }
    }
}
