//! Alerts: what monitoring found wrong, until somebody, or a later look, says that it is over.
//!
//! An alert is one rule about one subject. While it is open, finding it again changes nothing but when it was last seen; once it
//! is resolved, finding it again opens it again. Every change of state is in the audit, and in the outbox of every sink.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    audit,
    deliveries::{self, Event},
    error::{Error, Result},
    sql::{Connection, OptionalExtension, Row, params},
    store::Registry,
};

/// How far an alert has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    Raised,
    /// Somebody has seen it and looks after it.
    Acknowledged,
    Resolved,
}

impl AlertState {
    fn code(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    fn parse(code: &str) -> Result<Self> {
        [Self::Raised, Self::Acknowledged, Self::Resolved]
            .into_iter()
            .find(|state| state.code() == code)
            .ok_or(Error::Corrupt { what: "an alert's state" })
    }
}

/// What a look found wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding<'a> {
    /// The rule that does not hold, such as `drift.feature`.
    pub rule: &'a str,
    /// What it is about, such as `blood_pressure` or `blood_pressure@emergency`.
    pub subject: &'a str,
    /// One sentence with counts and shares; must hold no patient value.
    pub message: &'a str,
    pub detail: &'a Value,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    pub id: u64,
    pub rule: String,
    pub subject: String,
    pub state: AlertState,
    pub message: String,
    pub detail: Value,
    #[serde(with = "time::serde::rfc3339")]
    pub raised_at: OffsetDateTime,
    /// How often it was raised: 1, and once more for every time that it came back.
    pub raisings: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub acknowledged_at: Option<OffsetDateTime>,
    pub acknowledged_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    pub resolved_by: Option<String>,
}

/// What a look changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AlertChanges {
    /// Numbers of the alerts that were raised or came back.
    pub raised: Vec<u64>,
    /// Those that hold on.
    pub standing: Vec<u64>,
    /// Those that are over.
    pub resolved: Vec<u64>,
}

impl Registry {
    /// Takes a look's findings in: new ones are raised, open ones confirmed, and open alerts among `cleared` (rule and subject
    /// of what was looked at and found well) are resolved. Every change waits for each of `sinks`. Repeating the call with
    /// the same findings changes nothing but the times.
    ///
    /// # Errors
    /// Storage fails.
    pub fn settle_alerts(
        &self,
        findings: &[Finding<'_>],
        cleared: &[(&str, &str)],
        sinks: &[&str],
        act: &Act<'_>,
    ) -> Result<AlertChanges> {
        self.write(|tx| {
            let mut changes = AlertChanges::default();
            for finding in findings {
                let (id, event) = find(tx, finding, act)?;
                match event {
                    Some(event) => {
                        changes.raised.push(id);
                        deliveries::queue(tx, id, event, finding.message, sinks, act.at)?;
                    }
                    None => changes.standing.push(id),
                }
            }
            let found: BTreeSet<(&str, &str)> =
                findings.iter().map(|finding| (finding.rule, finding.subject)).collect();
            for subject in cleared.iter().filter(|subject| !found.contains(*subject)) {
                let Some(alert) = by_subject(tx, subject.0, subject.1)? else { continue };
                if alert.state != AlertState::Resolved {
                    resolve(tx, &alert, act)?;
                    deliveries::queue(tx, alert.id, Event::Resolved, &alert.message, sinks, act.at)?;
                    changes.resolved.push(alert.id);
                }
            }
            Ok(changes)
        })
    }

    /// Somebody looks after an alert. Repeating the call changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownAlert`]; [`Error::Conflict`] when it is resolved; storage fails.
    pub fn acknowledge_alert(&self, id: u64, act: &Act<'_>) -> Result<Alert> {
        self.write(|tx| {
            let alert = known(tx, id)?;
            match alert.state {
                AlertState::Acknowledged => return Ok(alert),
                AlertState::Resolved => {
                    return Err(Error::Conflict { kind: "resolved alert", id: id.to_string() });
                }
                AlertState::Raised => {}
            }
            tx.execute(
                "UPDATE alerts SET state = 'acknowledged', acknowledged_at = ?2, acknowledged_by = ?3 WHERE id = ?1",
                params![id, stamp(act.at)?, act.actor],
            )?;
            record(tx, &alert, "alert.acknowledge", act)?;
            known(tx, id)
        })
    }

    /// Somebody says that an alert is over. Repeating the call changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownAlert`]; storage fails.
    pub fn resolve_alert(&self, id: u64, sinks: &[&str], act: &Act<'_>) -> Result<Alert> {
        self.write(|tx| {
            let alert = known(tx, id)?;
            if alert.state != AlertState::Resolved {
                resolve(tx, &alert, act)?;
                deliveries::queue(tx, id, Event::Resolved, &alert.message, sinks, act.at)?;
            }
            known(tx, id)
        })
    }

    /// One alert.
    ///
    /// # Errors
    /// [`Error::UnknownAlert`]; storage fails.
    pub fn alert(&self, id: u64) -> Result<Alert> {
        self.read(|db| known(db, id))
    }

    /// Alerts of one state, or of all: open ones first, then the latest first; at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn alerts(&self, state: Option<AlertState>, limit: u32) -> Result<Vec<Alert>> {
        self.read(|db| {
            let filter = if state.is_some() { "state = ?1" } else { "CAST(?1 AS TEXT) IS NULL" };
            let sql = format!(
                "{SELECT} WHERE {filter}
                 ORDER BY CASE state WHEN 'raised' THEN 0 WHEN 'acknowledged' THEN 1 ELSE 2 END, raised_at DESC, id DESC
                 LIMIT ?2"
            );
            let mut query = db.prepare_cached(&sql)?;
            let rows = query.query_map(params![state.map(AlertState::code), limit], Stored::from_row)?;
            rows.map(|row| row?.alert()).collect()
        })
    }
}

/// Raises, reopens or confirms the alert of a finding; answers what became of it.
fn find(tx: &Connection, finding: &Finding<'_>, act: &Act<'_>) -> Result<(u64, Option<Event>)> {
    let (at, detail) = (stamp(act.at)?, to_json(finding.detail)?);
    let Some(alert) = by_subject(tx, finding.rule, finding.subject)? else {
        let id = tx.query_row(
            "INSERT INTO alerts (rule, subject, state, message, detail, raised_at, raisings, seen_at)
             VALUES (?1, ?2, 'raised', ?3, ?4, ?5, 1, ?5) RETURNING id",
            params![finding.rule, finding.subject, finding.message, detail, at],
            |r| r.get(0),
        )?;
        record(tx, &known(tx, id)?, "alert.raise", act)?;
        return Ok((id, Some(Event::Raised)));
    };
    if alert.state != AlertState::Resolved {
        tx.execute(
            "UPDATE alerts SET message = ?2, detail = ?3, seen_at = ?4 WHERE id = ?1",
            params![alert.id, finding.message, detail, at],
        )?;
        return Ok((alert.id, None));
    }
    tx.execute(
        "UPDATE alerts SET state = 'raised', message = ?2, detail = ?3, raised_at = ?4, raisings = raisings + 1, seen_at = ?4,
         acknowledged_at = NULL, acknowledged_by = NULL, resolved_at = NULL, resolved_by = NULL WHERE id = ?1",
        params![alert.id, finding.message, detail, at],
    )?;
    record(tx, &known(tx, alert.id)?, "alert.reopen", act)?;
    Ok((alert.id, Some(Event::Reopened)))
}

fn resolve(tx: &Connection, alert: &Alert, act: &Act<'_>) -> Result<()> {
    tx.execute(
        "UPDATE alerts SET state = 'resolved', resolved_at = ?2, resolved_by = ?3 WHERE id = ?1",
        params![alert.id, stamp(act.at)?, act.actor],
    )?;
    record(tx, alert, "alert.resolve", act)
}

fn record(tx: &Connection, alert: &Alert, action: &str, act: &Act<'_>) -> Result<()> {
    let detail = json!({"alert": alert.id, "message": alert.message, "raisings": alert.raisings});
    audit::append(tx, act, action, &format!("{}:{}", alert.rule, alert.subject), &detail)
}

const SELECT: &str = "SELECT id, rule, subject, state, message, detail, raised_at, raisings, seen_at, acknowledged_at, \
                      acknowledged_by, resolved_at, resolved_by FROM alerts";

fn by_subject(db: &Connection, rule: &str, subject: &str) -> Result<Option<Alert>> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE rule = ?1 AND subject = ?2"))?;
    query.query_row([rule, subject], Stored::from_row).optional()?.map(Stored::alert).transpose()
}

fn known(db: &Connection, id: u64) -> Result<Alert> {
    // SQLite's identifiers have 63 bits; a larger number from a client is simply unknown.
    let key = i64::try_from(id).map_err(|_| Error::UnknownAlert(id))?;
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    query.query_row([key], Stored::from_row).optional()?.ok_or(Error::UnknownAlert(id))?.alert()
}

/// A row as the database gives it, before its texts are parsed.
struct Stored {
    id: u64,
    rule: String,
    subject: String,
    state: String,
    message: String,
    detail: String,
    raised_at: String,
    raisings: u32,
    seen_at: String,
    acknowledged_at: Option<String>,
    acknowledged_by: Option<String>,
    resolved_at: Option<String>,
    resolved_by: Option<String>,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            id: r.get(0)?,
            rule: r.get(1)?,
            subject: r.get(2)?,
            state: r.get(3)?,
            message: r.get(4)?,
            detail: r.get(5)?,
            raised_at: r.get(6)?,
            raisings: r.get(7)?,
            seen_at: r.get(8)?,
            acknowledged_at: r.get(9)?,
            acknowledged_by: r.get(10)?,
            resolved_at: r.get(11)?,
            resolved_by: r.get(12)?,
        })
    }

    fn alert(self) -> Result<Alert> {
        Ok(Alert {
            id: self.id,
            state: AlertState::parse(&self.state)?,
            detail: from_json(&self.detail)?,
            raised_at: parse_stamp(&self.raised_at)?,
            raisings: self.raisings,
            seen_at: parse_stamp(&self.seen_at)?,
            acknowledged_at: self.acknowledged_at.as_deref().map(parse_stamp).transpose()?,
            resolved_at: self.resolved_at.as_deref().map(parse_stamp).transpose()?,
            rule: self.rule,
            subject: self.subject,
            message: self.message,
            acknowledged_by: self.acknowledged_by,
            resolved_by: self.resolved_by,
        })
    }
}
