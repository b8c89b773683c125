//! Who does something, when and why; and how a repeated request is recognised.

use serde::{Serialize, de::DeserializeOwned};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::error::{Error, Result};
use crate::sql::{Connection, OptionalExtension, params};

/// One decision by one actor, as it enters the audit.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// Drawn by the caller, once per intention: repeating a call with the same key changes nothing.
    pub key: &'a str,
    /// The user or service that acts.
    pub actor: &'a str,
    /// Why, in the actor's words. Enters the audit, so it must hold no patient value.
    pub reason: &'a str,
    /// When it happens.
    pub at: OffsetDateTime,
}

/// The stored outcome of an earlier call with the same key, where there was one.
///
/// # Errors
/// [`Error::KeyReused`] when the key belongs to another action or subject.
pub(crate) fn replayed<T: DeserializeOwned>(
    db: &Connection,
    act: &Act<'_>,
    action: &str,
    subject: &str,
) -> Result<Option<T>> {
    let found: Option<(String, String, String)> = db
        .prepare_cached("SELECT action, subject, outcome FROM requests WHERE key = ?1")?
        .query_row([act.key], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    match found {
        None => Ok(None),
        Some((a, s, outcome)) if a == action && s == subject => Ok(Some(from_json(&outcome)?)),
        Some(_) => Err(Error::KeyReused { key: act.key.to_owned() }),
    }
}

/// Remembers an outcome under the act's key, in the same transaction as its effect.
pub(crate) fn remember<T: Serialize>(
    db: &Connection,
    act: &Act<'_>,
    action: &str,
    subject: &str,
    outcome: &T,
) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO requests (key, action, subject, outcome, at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![act.key, action, subject, to_json(outcome)?, stamp(act.at)?])?;
    Ok(())
}

/// RFC 3339 in UTC: the form in which every time is stored.
pub(crate) fn stamp(at: OffsetDateTime) -> Result<String> {
    at.to_offset(UtcOffset::UTC).format(&Rfc3339).map_err(|_| Error::Time)
}

pub(crate) fn parse_stamp(text: &str) -> Result<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Error::Corrupt { what: "a stored time" })
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|_| Error::Json)
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt { what: "a stored JSON value" })
}
