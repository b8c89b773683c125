//! What happened to patients: the truth that answers are measured by. An opinion is [`crate::Feedback`], never this.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::{
    act::{Act, parse_stamp, stamp},
    audit,
    error::Result,
    sql::{Connection, OptionalExtension, Row, params},
    store::Registry,
};

/// An outcome about to be stored. The codes are the study's; the caller has checked them.
#[derive(Clone, Copy)]
pub struct NewOutcome<'a> {
    pub prediction_id: &'a str,
    pub severity: &'a str,
    pub rarity: Option<&'a str>,
    pub disease_code: Option<&'a str>,
    pub confirmed_at: OffsetDateTime,
}

/// A stored outcome.
#[derive(Clone, PartialEq, Serialize)]
pub struct ConfirmedOutcome {
    /// Give it as `after` to read on.
    pub id: u64,
    pub prediction_id: String,
    pub severity: String,
    pub rarity: Option<String>,
    pub disease_code: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub confirmed_at: OffsetDateTime,
    /// `review`, or where a file of outcomes came from.
    pub source: String,
    pub actor: String,
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
}

/// What became of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    Added,
    /// Another outcome of the prediction was in force until now.
    Corrected,
    /// The same was in force already.
    Known,
}

// What happened to a patient must not reach a log through `{:?}`.
impl fmt::Debug for NewOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewOutcome").field("prediction_id", &self.prediction_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for ConfirmedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ConfirmedOutcome");
        out.field("id", &self.id).field("prediction_id", &self.prediction_id).finish_non_exhaustive()
    }
}

impl Registry {
    /// Stores outcomes from one source, all or none; what became of each, in their order. Repeating the call changes nothing.
    ///
    /// # Errors
    /// Storage fails.
    pub fn record_outcomes(
        &self,
        new: &[NewOutcome<'_>],
        source: &str,
        act: &Act<'_>,
    ) -> Result<Vec<Recorded>> {
        self.write(|tx| {
            let recorded = new.iter().map(|new| insert(tx, new, source, act)).collect::<Result<Vec<_>>>()?;
            let count = |what| recorded.iter().filter(|&&one| one == what).count();
            let (added, corrected) = (count(Recorded::Added), count(Recorded::Corrected));
            if added + corrected > 0 {
                let detail = json!({"added": added, "corrected": corrected});
                audit::append(tx, act, "outcome.record", source, &detail)?;
            }
            Ok(recorded)
        })
    }

    /// The outcomes in force after number `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn outcomes(&self, after: u64, limit: u32) -> Result<Vec<ConfirmedOutcome>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!(
                "{SELECT} o WHERE id > ?1 AND NOT EXISTS
                     (SELECT 1 FROM outcomes n WHERE n.prediction_id = o.prediction_id AND n.id > o.id)
                 ORDER BY id LIMIT ?2"
            ))?;
            let rows = query.query_map(params![after, limit], Stored::from_row)?;
            rows.map(|row| row?.outcome()).collect()
        })
    }

    /// The outcomes in force that became known from `from` until before `to`, in that order, those after outcome `after`,
    /// at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn outcomes_recorded(
        &self,
        from: OffsetDateTime,
        to: OffsetDateTime,
        after: Option<&ConfirmedOutcome>,
        limit: u32,
    ) -> Result<Vec<ConfirmedOutcome>> {
        // Times are compared as texts, in which fractions of a second sort a little wrongly: wider first, then exactly.
        let until = stamp(to + Duration::SECOND)?;
        let mut place = match after {
            Some(last) => last.place()?,
            None => (stamp(from - Duration::SECOND)?, 0),
        };
        loop {
            let page = self.read(|db| {
                let rows = db
                    .prepare_cached(&recorded())?
                    .query_map(params![&place.0, place.1, &until, limit], Stored::from_row)?;
                rows.map(|row| row?.outcome()).collect::<Result<Vec<_>>>()
            })?;
            let Some(last) = page.last() else { return Ok(page) };
            place = last.place()?;
            let within = |outcome: &ConfirmedOutcome| (from..to).contains(&outcome.recorded_at);
            let found: Vec<_> = page.into_iter().filter(within).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// The outcome of one prediction that is in force.
    ///
    /// # Errors
    /// Storage fails.
    pub fn outcome(&self, prediction_id: &str) -> Result<Option<ConfirmedOutcome>> {
        self.read(|db| in_force(db, prediction_id))
    }
}

/// Adds one outcome, unless the same is in force.
pub(crate) fn insert(tx: &Connection, new: &NewOutcome<'_>, source: &str, act: &Act<'_>) -> Result<Recorded> {
    let known = in_force(tx, new.prediction_id)?;
    if known.as_ref().is_some_and(|known| known.says(new)) {
        return Ok(Recorded::Known);
    }
    tx.prepare_cached(
        "INSERT INTO outcomes (prediction_id, severity, rarity, disease_code, confirmed_at, source, actor, recorded_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        new.prediction_id,
        new.severity,
        new.rarity,
        new.disease_code,
        stamp(new.confirmed_at)?,
        source,
        act.actor,
        stamp(act.at)?
    ])?;
    Ok(if known.is_some() { Recorded::Corrected } else { Recorded::Added })
}

fn in_force(db: &Connection, prediction_id: &str) -> Result<Option<ConfirmedOutcome>> {
    let mut query =
        db.prepare_cached(&format!("{SELECT} WHERE prediction_id = ?1 ORDER BY id DESC LIMIT 1"))?;
    query.query_row([prediction_id], Stored::from_row).optional()?.map(Stored::outcome).transpose()
}

/// What became known after a place (a time and a number) until before a time.
fn recorded() -> String {
    format!(
        "{SELECT} o WHERE (recorded_at, id) > (?1, ?2) AND recorded_at < ?3 AND NOT EXISTS
             (SELECT 1 FROM outcomes n WHERE n.prediction_id = o.prediction_id AND n.id > o.id)
         ORDER BY recorded_at, id LIMIT ?4"
    )
}

impl ConfirmedOutcome {
    /// Its place in the order in which outcomes became known.
    fn place(&self) -> Result<(String, u64)> {
        Ok((stamp(self.recorded_at)?, self.id))
    }

    fn says(&self, new: &NewOutcome<'_>) -> bool {
        self.severity == new.severity
            && self.rarity.as_deref() == new.rarity
            && self.disease_code.as_deref() == new.disease_code
    }
}

const SELECT: &str = "SELECT id, prediction_id, severity, rarity, disease_code, confirmed_at, source, actor, recorded_at \
                      FROM outcomes";

struct Stored {
    id: u64,
    texts: [String; 2],
    optional: [Option<String>; 2],
    confirmed_at: String,
    source: String,
    actor: String,
    recorded_at: String,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            id: r.get(0)?,
            texts: [r.get(1)?, r.get(2)?],
            optional: [r.get(3)?, r.get(4)?],
            confirmed_at: r.get(5)?,
            source: r.get(6)?,
            actor: r.get(7)?,
            recorded_at: r.get(8)?,
        })
    }

    fn outcome(self) -> Result<ConfirmedOutcome> {
        let ([prediction_id, severity], [rarity, disease_code]) = (self.texts, self.optional);
        Ok(ConfirmedOutcome {
            id: self.id,
            prediction_id,
            severity,
            rarity,
            disease_code,
            confirmed_at: parse_stamp(&self.confirmed_at)?,
            source: self.source,
            actor: self.actor,
            recorded_at: parse_stamp(&self.recorded_at)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A look at the last month must not read the years before it.
    #[test]
    fn what_became_known_lately_is_found_by_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path()).unwrap();
        let plan: Vec<String> = registry
            .read(|db| {
                let mut explained = db.prepare_cached(&format!("EXPLAIN QUERY PLAN {}", recorded()))?;
                explained.query_map(params!["", 0, "9", 10], |row| row.get(3))?.collect()
            })
            .unwrap();
        assert!(
            plan[0].starts_with("SEARCH o USING INDEX outcomes_by_time (recorded_at>? AND recorded_at<?)"),
            "{plan:?}"
        );
        assert!(!plan.concat().contains("SCAN") && !plan.concat().contains("SORT"), "{plan:?}");
    }
}
