//! The outbox of alerts: what each sink still has to be told. It is filled in the transaction of the change, so that
//! nothing is told that did not happen and nothing that happened is forgotten, whatever fails afterwards.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    act::{parse_stamp, stamp},
    error::{Error, Result},
    sql::{Connection, params},
    store::Registry,
};

/// Seconds until the second try; each further one waits twice as long.
const FIRST_WAIT: i64 = 30;
const LONGEST_WAIT: i64 = 3600;
/// After so many tries (about ten hours) a delivery is given up.
const MOST_TRIES: u32 = 16;

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Raised,
    Reopened,
    Resolved,
}

impl Event {
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Reopened => "reopened",
            Self::Resolved => "resolved",
        }
    }

    fn parse(code: &str) -> Result<Self> {
        [Self::Raised, Self::Reopened, Self::Resolved]
            .into_iter()
            .find(|event| event.code() == code)
            .ok_or(Error::Corrupt { what: "an alert's event" })
    }
}

/// Something to be told to a sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    pub id: u64,
    pub sink: String,
    pub event: Event,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub alert: u64,
    pub rule: String,
    pub subject: String,
    pub message: String,
    pub tries: u32,
}

pub(crate) fn queue(
    tx: &Connection,
    alert: u64,
    event: Event,
    message: &str,
    sinks: &[&str],
    at: OffsetDateTime,
) -> Result<()> {
    for sink in sinks {
        tx.prepare_cached(
            "INSERT INTO deliveries (alert, event, sink, message, at, due) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![alert, event.code(), sink, message, stamp(at)?, at.unix_timestamp()])?;
    }
    Ok(())
}

impl Registry {
    /// What is due by `now`, oldest first, at most `limit`. Whoever takes a delivery says with [`Registry::delivered`] or
    /// [`Registry::not_delivered`] what became of it. Until then it may be taken again: a sink may hear of an event twice, never not at all.
    ///
    /// # Errors
    /// Storage fails.
    pub fn deliveries_due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Delivery>> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT d.id, d.sink, d.event, d.at, d.alert, a.rule, a.subject, d.message, d.tries
                 FROM deliveries d JOIN alerts a ON a.id = d.alert WHERE d.due <= ?1 ORDER BY d.id LIMIT ?2",
            )?;
            let mut rows = query.query(params![now.unix_timestamp(), limit])?;
            let mut due = Vec::new();
            while let Some(r) = rows.next()? {
                let (event, at): (String, String) = (r.get(2)?, r.get(3)?);
                due.push(Delivery {
                    id: r.get(0)?,
                    sink: r.get(1)?,
                    event: Event::parse(&event)?,
                    at: parse_stamp(&at)?,
                    alert: r.get(4)?,
                    rule: r.get(5)?,
                    subject: r.get(6)?,
                    message: r.get(7)?,
                    tries: r.get(8)?,
                });
            }
            Ok(due)
        })
    }

    /// A sink has taken a delivery.
    ///
    /// # Errors
    /// Storage fails.
    pub fn delivered(&self, id: u64, now: OffsetDateTime) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "UPDATE deliveries SET tries = tries + 1, due = NULL, delivered_at = ?2, error = NULL WHERE id = ?1",
                params![id, stamp(now)?],
            )?;
            Ok(())
        })
    }

    /// A sink has not taken a delivery: it is due again later, the longer the more often it failed, and given up in the end.
    /// Answers whether it will be tried again.
    ///
    /// # Errors
    /// Storage fails.
    pub fn not_delivered(&self, id: u64, now: OffsetDateTime, error: &str) -> Result<bool> {
        self.write(|tx| {
            let tries: u32 =
                tx.query_row("SELECT tries + 1 FROM deliveries WHERE id = ?1", [id], |r| r.get(0))?;
            let wait = FIRST_WAIT.saturating_mul(1 << (tries - 1).min(20)).min(LONGEST_WAIT);
            let due = (tries < MOST_TRIES).then(|| now.unix_timestamp() + wait);
            tx.execute(
                "UPDATE deliveries SET tries = ?2, due = ?3, error = ?4 WHERE id = ?1",
                params![id, tries, due, error],
            )?;
            Ok(due.is_some())
        })
    }

    /// Deliveries that wait, and those that were given up.
    ///
    /// # Errors
    /// Storage fails.
    pub fn deliveries_open(&self) -> Result<(u64, u64)> {
        self.read(|db| {
            db.query_row(
                "SELECT count(due), count(*) - count(due) - count(delivered_at) FROM deliveries",
                params![],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
        })
    }
}
