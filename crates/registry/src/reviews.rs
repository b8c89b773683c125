//! The review queue: what somebody must look at, and what they found.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    audit,
    error::{Error, Result},
    feedback::Verdict,
    sql::{Connection, OptionalExtension, Row, params},
    store::Registry,
};

/// Whether a review waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    Open,
    Resolved,
}

impl ReviewState {
    fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
    }
}

/// What the reviewer found. The codes are the study's; the caller has checked them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// What the patient has: a confirmed case.
    Case { severity: String, rarity: Option<String>, disease_code: Option<String> },
    /// Nothing can be confirmed.
    Dismissed,
}

/// The end of a review.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub comment: Option<String>,
}

/// One entry of the queue.
#[derive(Clone, PartialEq, Serialize)]
pub struct Review {
    pub id: u64,
    pub prediction_id: String,
    /// The feedback that opened it.
    pub feedback: Option<u64>,
    pub state: ReviewState,
    /// `reported_wrong` or `reported_confirmed`.
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    pub resolved_by: Option<String>,
    pub resolution: Option<Resolution>,
}

// What is found of a patient must not reach a log through `{:?}`.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Case { .. } => "Case",
            Self::Dismissed => "Dismissed",
        })
    }
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolution").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

impl fmt::Debug for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Review");
        out.field("id", &self.id).field("prediction_id", &self.prediction_id).field("state", &self.state);
        out.finish_non_exhaustive()
    }
}

impl Registry {
    /// Ends a review. Repeating the call with the same finding changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownReview`]; [`Error::Conflict`] when it was resolved otherwise; storage fails.
    pub fn resolve_review(&self, id: u64, resolution: &Resolution, act: &Act<'_>) -> Result<Review> {
        self.write(|tx| {
            let review = known(tx, id)?;
            if let Some(stored) = &review.resolution {
                let conflict = Error::Conflict { kind: "the resolution of review", id: id.to_string() };
                return if stored == resolution { Ok(review) } else { Err(conflict) };
            }
            tx.execute(
                "UPDATE reviews SET state = 'resolved', resolution = ?2, resolved_at = ?3, resolved_by = ?4 WHERE id = ?1",
                params![id, to_json(resolution)?, stamp(act.at)?, act.actor],
            )?;
            let case = matches!(resolution.outcome, Outcome::Case { .. });
            let detail = json!({"review": id, "confirmed_case": case});
            audit::append(tx, act, "review.resolve", &review.prediction_id, &detail)?;
            known(tx, id)
        })
    }

    /// One review.
    ///
    /// # Errors
    /// [`Error::UnknownReview`]; storage fails.
    pub fn review(&self, id: u64) -> Result<Review> {
        self.read(|db| known(db, id))
    }

    /// Reviews after number `after`, oldest first, at most `limit`; of one state or of both.
    ///
    /// # Errors
    /// Storage fails.
    pub fn reviews(&self, state: Option<ReviewState>, after: u64, limit: u32) -> Result<Vec<Review>> {
        self.read(|db| {
            let filter = if state.is_some() { "state = ?1" } else { "CAST(?1 AS TEXT) IS NULL" };
            let sql = format!("{SELECT} WHERE {filter} AND id > ?2 ORDER BY id LIMIT ?3");
            let mut query = db.prepare_cached(&sql)?;
            let mut rows = query.query(params![state.map(ReviewState::code), after, limit])?;
            let mut out = Vec::new();
            while let Some(r) = rows.next()? {
                out.push(Stored::from_row(r)?.review()?);
            }
            Ok(out)
        })
    }
}

/// Opens the review of one feedback, in the feedback's transaction.
pub(crate) fn open(
    tx: &Connection,
    prediction: &str,
    feedback: u64,
    verdict: Verdict,
    act: &Act<'_>,
) -> Result<u64> {
    let reason = match verdict {
        Verdict::Wrong => "reported_wrong",
        Verdict::Confirmed => "reported_confirmed",
    };
    tx.query_row(
        "INSERT INTO reviews (prediction_id, feedback, state, reason, opened_at) VALUES (?1, ?2, 'open', ?3, ?4) RETURNING id",
        params![prediction, feedback, reason, stamp(act.at)?],
        |r| r.get(0),
    )
}

const SELECT: &str = "SELECT id, prediction_id, feedback, state, reason, opened_at, resolved_at, resolved_by, resolution \
                      FROM reviews";

fn known(db: &Connection, id: u64) -> Result<Review> {
    // SQLite's identifiers have 63 bits; a larger number from a client is simply unknown.
    let key = i64::try_from(id).map_err(|_| Error::UnknownReview(id))?;
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    query.query_row([key], Stored::from_row).optional()?.ok_or(Error::UnknownReview(id))?.review()
}

/// A row as the database gives it, before its texts are parsed.
struct Stored {
    id: u64,
    prediction_id: String,
    feedback: Option<u64>,
    state: String,
    reason: String,
    opened_at: String,
    resolved_at: Option<String>,
    resolved_by: Option<String>,
    resolution: Option<String>,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            id: r.get(0)?,
            prediction_id: r.get(1)?,
            feedback: r.get(2)?,
            state: r.get(3)?,
            reason: r.get(4)?,
            opened_at: r.get(5)?,
            resolved_at: r.get(6)?,
            resolved_by: r.get(7)?,
            resolution: r.get(8)?,
        })
    }

    fn review(self) -> Result<Review> {
        let state = [ReviewState::Open, ReviewState::Resolved].into_iter().find(|s| s.code() == self.state);
        Ok(Review {
            id: self.id,
            prediction_id: self.prediction_id,
            feedback: self.feedback,
            state: state.ok_or(Error::Corrupt { what: "a review's state" })?,
            reason: self.reason,
            opened_at: parse_stamp(&self.opened_at)?,
            resolved_at: self.resolved_at.as_deref().map(parse_stamp).transpose()?,
            resolved_by: self.resolved_by,
            resolution: self.resolution.as_deref().map(from_json).transpose()?,
        })
    }
}
