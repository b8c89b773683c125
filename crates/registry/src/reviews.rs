//! The review queue: what somebody must look at, and what they found.
//!
//! Reported errors come first, then orphan suspicions, then what active learning asks about; what one reporter sends in
//! masses comes last. Nothing but a named reviewer's finding makes a confirmed case.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    audit,
    error::{Error, Result},
    feedback::Verdict,
    marks::{self, FLOOD, Marks},
    outcomes::{self, NewOutcome},
    sql::{AsParameters, Connection, Row, params},
    store::Registry,
    suggestions::{Choice, SUGGESTED},
};

/// Source of the outcomes and cases that reviews confirm.
const SOURCE: &str = "review";
/// What the queue's number is multiplied by in a review's place.
const QUEUE: u64 = 1 << 40;

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

/// What one reviewer found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub reviewer: String,
    #[serde(flatten)]
    pub resolution: Resolution,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// One entry of the queue.
#[derive(Clone, PartialEq, Serialize)]
pub struct Review {
    pub id: u64,
    /// Its place in the queue's order: give it as `after` to read on.
    pub place: u64,
    pub prediction_id: String,
    /// The feedback that opened it.
    pub feedback: Option<u64>,
    pub state: ReviewState,
    /// `reported_wrong`, `reported_confirmed`, `orphan_suspected`, `informative` or `unbiased_sample`.
    pub reason: String,
    /// What a suggestion was chosen for.
    pub why: Option<Choice>,
    /// Of the feedback that opened it.
    pub marks: Marks,
    /// By each reviewer, oldest first. Those of an open review wait for another's.
    pub findings: Vec<Finding>,
    /// Reviewers found different things.
    pub disagreement: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    pub resolved_by: Option<String>,
    pub resolution: Option<Resolution>,
    /// The dataset version that holds its confirmed case.
    pub dataset_version: Option<u64>,
    /// Why its confirmed case can be in none.
    pub left_out: Option<String>,
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
    /// Takes the finding of a reviewer, the act's actor. The review ends when `confirmations` reviewers found the same;
    /// where they differ, at least two have to agree. Repeating the call with the same finding changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownReview`]; [`Error::Conflict`] when it was resolved otherwise; storage fails.
    pub fn resolve_review(
        &self,
        id: u64,
        resolution: &Resolution,
        confirmations: usize,
        act: &Act<'_>,
    ) -> Result<Review> {
        self.write(|tx| {
            let review = known(tx, id)?;
            if let Some(stored) = &review.resolution {
                let conflict = Error::Conflict { kind: "the resolution of review", id: id.to_string() };
                return if stored.outcome == resolution.outcome { Ok(review) } else { Err(conflict) };
            }
            let own = review.findings.iter().find(|finding| finding.reviewer == act.actor);
            if own.is_some_and(|own| &own.resolution == resolution) {
                return Ok(review);
            }
            tx.execute(
                "INSERT INTO findings (review, reviewer, resolution, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (review, reviewer) DO UPDATE SET resolution = ?3, at = ?4",
                params![id, act.actor, to_json(resolution)?, stamp(act.at)?],
            )?;
            let found = known(tx, id)?;
            let agree =
                found.findings.iter().filter(|finding| finding.resolution.outcome == resolution.outcome);
            let needed = confirmations.max(if found.disagreement { 2 } else { 1 });
            let case = matches!(resolution.outcome, Outcome::Case { .. });
            let ends = agree.count() >= needed;
            let detail = json!({"review": id, "confirmed_case": case && ends, "resolved": ends});
            audit::append(tx, act, "review.resolve", &review.prediction_id, &detail)?;
            if ends {
                end(tx, &review, resolution, act)?;
            }
            known(tx, id)
        })
    }

    /// The resolved reviews whose confirmed case is in no dataset version yet, oldest first.
    ///
    /// # Errors
    /// Storage fails.
    pub fn uncollected_cases(&self) -> Result<Vec<Review>> {
        self.read(|db| {
            let rest = r#"state = 'resolved' AND dataset_version IS NULL AND left_out IS NULL
                        AND resolution LIKE '%"outcome":"case"%' ORDER BY id"#;
            list(db, rest, params![])
        })
    }

    /// Records where the confirmed case of a review is: in a dataset version, or why in none. Repeating the call changes
    /// nothing.
    ///
    /// # Errors
    /// [`Error::UnknownReview`]; storage fails.
    pub fn case_collected(&self, id: u64, place: std::result::Result<u64, &str>) -> Result<()> {
        self.write(|tx| {
            known(tx, id)?;
            let sql = "UPDATE reviews SET dataset_version = ?2, left_out = ?3
                       WHERE id = ?1 AND dataset_version IS NULL AND left_out IS NULL";
            tx.execute(sql, params![id, place.ok(), place.err()])?;
            Ok(())
        })
    }

    /// One review.
    ///
    /// # Errors
    /// [`Error::UnknownReview`]; storage fails.
    pub fn review(&self, id: u64) -> Result<Review> {
        self.read(|db| known(db, id))
    }

    /// Reviews after place `after`, in the order of the queue, at most `limit`; of one state or of both.
    ///
    /// # Errors
    /// Storage fails.
    pub fn reviews(&self, state: Option<ReviewState>, after: u64, limit: u32) -> Result<Vec<Review>> {
        self.read(|db| {
            let filter = if state.is_some() { "state = ?1" } else { "CAST(?1 AS TEXT) IS NULL" };
            // Of suggestions the newest first.
            let within = format!("CASE queue WHEN {SUGGESTED} THEN {} - id ELSE id END", QUEUE - 1);
            let rest =
                format!("{filter} AND queue * {QUEUE} + {within} > ?2 ORDER BY queue, {within} LIMIT ?3");
            list(db, &rest, params![state.map(ReviewState::code), after, limit])
        })
    }

    /// How many reviews wait, by reason.
    ///
    /// # Errors
    /// Storage fails.
    pub fn open_reviews(&self) -> Result<std::collections::BTreeMap<String, u64>> {
        self.read(|db| {
            let sql = "SELECT reason, count(*) FROM reviews WHERE state = 'open' GROUP BY reason";
            let mut query = db.prepare_cached(sql)?;
            let rows = query.query_map(params![], |r| Ok((r.get(0)?, r.get(1)?)))?;
            rows.collect()
        })
    }
}

/// Resolves a review; what was confirmed is an outcome from now on.
fn end(tx: &Connection, review: &Review, resolution: &Resolution, act: &Act<'_>) -> Result<()> {
    tx.execute(
        "UPDATE reviews SET state = 'resolved', resolution = ?2, resolved_at = ?3, resolved_by = ?4 WHERE id = ?1",
        params![review.id, to_json(resolution)?, stamp(act.at)?, act.actor],
    )?;
    if let Outcome::Case { severity, rarity, disease_code } = &resolution.outcome {
        let new = NewOutcome {
            prediction_id: &review.prediction_id,
            severity,
            rarity: rarity.as_deref(),
            disease_code: disease_code.as_deref(),
            confirmed_at: act.at,
        };
        outcomes::insert(tx, &new, SOURCE, act)?;
    }
    Ok(())
}

/// Opens the review of one feedback, in the feedback's transaction.
pub(crate) fn open(
    tx: &Connection,
    prediction: &str,
    feedback: u64,
    verdict: Verdict,
    act: &Act<'_>,
) -> Result<u64> {
    let (reason, queue) = match verdict {
        Verdict::Wrong => ("reported_wrong", 1),
        Verdict::Confirmed => ("reported_confirmed", 4),
    };
    // Beyond the first ones, a flood must not keep others waiting.
    let queue = if marks::around(tx, act.actor, act.at)? > FLOOD { 5 } else { queue };
    tx.query_row(
        "INSERT INTO reviews (prediction_id, feedback, state, reason, opened_at, queue)
         VALUES (?1, ?2, 'open', ?3, ?4, ?5) RETURNING id",
        params![prediction, feedback, reason, stamp(act.at)?, queue],
        |r| r.get(0),
    )
}

const SELECT: &str = "SELECT id, prediction_id, feedback, state, reason, opened_at, resolved_at, resolved_by, resolution, \
                      queue, why, dataset_version, left_out FROM reviews";

fn known(db: &Connection, id: u64) -> Result<Review> {
    // SQLite's identifiers have 63 bits; a larger number from a client is simply unknown.
    let key = i64::try_from(id).map_err(|_| Error::UnknownReview(id))?;
    list(db, "id = ?1", [key])?.pop().ok_or(Error::UnknownReview(id))
}

fn list(db: &Connection, rest: &str, values: impl AsParameters) -> Result<Vec<Review>> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE {rest}"))?;
    let mut rows = query.query(values)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(db, row)?);
    }
    Ok(out)
}

fn read(db: &Connection, r: &Row) -> Result<Review> {
    let (id, feedback, queue): (u64, Option<u64>, u64) = (r.get(0)?, r.get(2)?, r.get(9)?);
    let (state, opened_at): (String, String) = (r.get(3)?, r.get(5)?);
    let optional = |column| r.get::<Option<String>>(column);
    let state = [ReviewState::Open, ReviewState::Resolved].into_iter().find(|s| s.code() == state);
    let findings = findings(db, id)?;
    let differs = |other: &Finding| {
        findings.first().is_some_and(|first| first.resolution.outcome != other.resolution.outcome)
    };
    Ok(Review {
        id,
        place: queue * QUEUE + if queue == u64::from(SUGGESTED) { QUEUE - 1 - id } else { id },
        prediction_id: r.get(1)?,
        feedback,
        state: state.ok_or(Error::Corrupt { what: "a review's state" })?,
        reason: r.get(4)?,
        why: optional(10)?.as_deref().map(from_json).transpose()?,
        marks: feedback.map(|id| marks::of_feedback(db, id)).transpose()?.unwrap_or_default(),
        disagreement: findings.iter().any(differs),
        findings,
        opened_at: parse_stamp(&opened_at)?,
        resolved_at: optional(6)?.as_deref().map(parse_stamp).transpose()?,
        resolved_by: optional(7)?,
        resolution: optional(8)?.as_deref().map(from_json).transpose()?,
        dataset_version: r.get(11)?,
        left_out: optional(12)?,
    })
}

fn findings(db: &Connection, review: u64) -> Result<Vec<Finding>> {
    let mut query = db.prepare_cached(
        "SELECT reviewer, resolution, at FROM findings WHERE review = ?1 ORDER BY at, reviewer",
    )?;
    let mut rows = query.query([review])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        let (resolution, at): (String, String) = (r.get(1)?, r.get(2)?);
        let (resolution, at) = (from_json(&resolution)?, parse_stamp(&at)?);
        out.push(Finding { reviewer: r.get(0)?, resolution, at });
    }
    Ok(out)
}
