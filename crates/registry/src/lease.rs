//! Leases: whose turn it is to do what only one process may do, such as running schedules.
//!
//! A holder renews its lease before it ends; another takes it over once it has ended. Every new holder gets a higher
//! fence, so that what a holder of the past still writes can be told from the present one's.

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::{
    act::{parse_stamp, stamp},
    error::Result,
    sql::{OptionalExtension, params},
    store::Registry,
};

/// A lease as its holder has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    pub holder: String,
    /// Grows with every new holder.
    pub fence: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

impl Registry {
    /// Takes or renews a lease until `now + length`; none while another holds it.
    ///
    /// # Errors
    /// Storage fails.
    pub fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: OffsetDateTime,
        length: Duration,
    ) -> Result<Option<Lease>> {
        self.write(|tx| {
            let found: Option<(String, u64, String)> = tx
                .prepare_cached("SELECT holder, fence, expires_at FROM leases WHERE name = ?1")?
                .query_row([name], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
                .optional()?;
            let fence = match &found {
                None => 1,
                Some((other, fence, _)) if other == holder => *fence,
                Some((_, fence, until)) if parse_stamp(until)? <= now => fence + 1,
                Some(_) => return Ok(None),
            };
            let expires_at = now + length;
            tx.prepare_cached(
                "INSERT INTO leases (name, holder, fence, expires_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET holder = ?2, fence = ?3, expires_at = ?4",
            )?
            .execute(params![name, holder, fence, stamp(expires_at)?])?;
            Ok(Some(Lease { holder: holder.to_owned(), fence, expires_at }))
        })
    }

    /// Gives a lease back before its end, so that another need not wait. Nothing happens where another holds it.
    ///
    /// # Errors
    /// Storage fails.
    pub fn give_back_lease(&self, name: &str, holder: &str, now: OffsetDateTime) -> Result<()> {
        self.write(|tx| {
            tx.prepare_cached("UPDATE leases SET expires_at = ?3 WHERE name = ?1 AND holder = ?2")?
                .execute(params![name, holder, stamp(now)?])?;
            Ok(())
        })
    }
}
