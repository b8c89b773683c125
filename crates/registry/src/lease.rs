//! Leases: whose turn it is to do what only one process may do, such as running schedules, or working on a run.
//!
//! A holder renews its lease before it ends; another takes it over once it has ended. What tells is the database's clock,
//! which all processes share: the clocks of their machines are never compared. A lease can still be lost by a holder that
//! was merely slow, or when the database's clock jumps. So leases save work and nothing rests on them: what a process
//! of the past may no longer write is refused where it is written (see [`crate::Attempt`]).

use std::time::Duration;

use crate::{
    error::Result,
    sql::{Connection, OptionalExtension, params},
    store::Registry,
};

/// A claim on something by somebody, for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease<'a> {
    /// What is claimed.
    pub name: &'a str,
    /// Who claims it; no other process has the same name.
    pub holder: &'a str,
    /// How long it holds without being renewed.
    pub length: Duration,
}

impl Registry {
    /// Takes or renews a lease; false while another holds it.
    ///
    /// # Errors
    /// Storage fails.
    pub fn take_lease(&self, lease: &Lease<'_>) -> Result<bool> {
        self.write(|tx| take(tx, lease))
    }

    /// Renews a lease; false when it is no longer the holder's.
    ///
    /// # Errors
    /// Storage fails.
    pub fn renew_lease(&self, lease: &Lease<'_>) -> Result<bool> {
        self.write(|tx| renew(tx, lease))
    }

    /// When a lease that somebody holds was renewed last, in Unix milliseconds of the database's clock: another number
    /// shows that its holder lives. None of one that nobody holds.
    ///
    /// # Errors
    /// Storage fails.
    pub fn lease_renewed(&self, name: &str) -> Result<Option<i64>> {
        self.read(|db| renewed(db, name))
    }

    /// Gives a lease back before its end, so that another need not wait. Nothing happens where another holds it.
    ///
    /// # Errors
    /// Storage fails.
    pub fn give_back_lease(&self, name: &str, holder: &str) -> Result<()> {
        self.write(|tx| {
            tx.execute("DELETE FROM leases WHERE name = ?1 AND holder = ?2", params![name, holder])?;
            Ok(())
        })
    }
}

pub(crate) fn take(tx: &Connection, lease: &Lease<'_>) -> Result<bool> {
    if renew(tx, lease)? {
        return Ok(true);
    }
    if is_held(tx, lease.name)? {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO leases (name, holder, renewed_at, length) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET holder = ?2, renewed_at = ?3, length = ?4",
        params![lease.name, lease.holder, tx.clock()?, milliseconds(lease)],
    )?;
    Ok(true)
}

pub(crate) fn renew(tx: &Connection, lease: &Lease<'_>) -> Result<bool> {
    let renewed = tx.execute(
        "UPDATE leases SET renewed_at = ?3, length = ?4 WHERE name = ?1 AND holder = ?2",
        params![lease.name, lease.holder, tx.clock()?, milliseconds(lease)],
    )?;
    Ok(renewed > 0)
}

/// Whether somebody holds a lease now.
pub(crate) fn is_held(db: &Connection, name: &str) -> Result<bool> {
    Ok(renewed(db, name)?.is_some())
}

/// When a lease that somebody holds was renewed.
///
/// A renewal that lies further in the future than the lease is long was made before the clock went back: it says nothing.
/// So whichever way the clock jumps, a dead holder is replaced within two lengths.
fn renewed(db: &Connection, name: &str) -> Result<Option<i64>> {
    let found: Option<(i64, i64)> = db
        .prepare_cached("SELECT renewed_at, length FROM leases WHERE name = ?1")?
        .query_row([name], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((renewed_at, length)) = found else { return Ok(None) };
    let holds = db.clock()?.abs_diff(renewed_at) < length.unsigned_abs();
    Ok(holds.then_some(renewed_at))
}

pub(crate) fn forget(tx: &Connection, name: &str) -> Result<()> {
    tx.execute("DELETE FROM leases WHERE name = ?1", [name])?;
    Ok(())
}

fn milliseconds(lease: &Lease<'_>) -> i64 {
    i64::try_from(lease.length.as_millis()).unwrap_or(i64::MAX)
}
