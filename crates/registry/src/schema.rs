//! Migrations: numbered steps, each applied once, remembered in the file's `user_version`.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, Result};

/// Step n brings a file from version n - 1 to version n. A step that was released never changes.
const STEPS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_trials.sql")];

/// The schema version that this program writes.
pub(crate) const KNOWN: i64 = STEPS.len() as i64;

/// Brings the file to [`KNOWN`], or refuses one that a newer program wrote.
///
/// Two processes may open a new file at once: the version is read inside the write lock, so a step runs once.
pub(crate) fn migrate(db: &mut Connection) -> Result<()> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    let Some(missing) = usize::try_from(found).ok().and_then(|n| STEPS.get(n..)) else {
        return Err(Error::NewerSchema { found, known: KNOWN });
    };
    for step in missing {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "user_version", KNOWN)?;
    tx.commit()?;
    Ok(())
}

pub(crate) fn is_current(db: &Connection) -> Result<bool> {
    Ok(version(db)? == KNOWN)
}

pub(crate) fn version(db: &Connection) -> Result<i64> {
    Ok(db.pragma_query_value(None, "user_version", |r| r.get(0))?)
}
