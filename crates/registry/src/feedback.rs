//! What a clinician says about one prediction: an opinion, not an outcome. Each opens a review.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    act::{Act, parse_stamp, stamp},
    audit,
    error::{Error, Result},
    reviews,
    sql::{Connection, Row, ToValue, params},
    store::Registry,
};

/// What the clinician says of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Confirmed,
    Wrong,
}

impl Verdict {
    fn code(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Wrong => "wrong",
        }
    }

    fn parse(code: &str) -> Result<Self> {
        [Self::Confirmed, Self::Wrong]
            .into_iter()
            .find(|v| v.code() == code)
            .ok_or(Error::Corrupt { what: "a feedback's verdict" })
    }
}

/// Feedback about to be stored. The codes are the study's; the caller has checked them.
#[derive(Clone)]
pub struct NewFeedback<'a> {
    pub prediction_id: &'a str,
    pub verdict: Verdict,
    pub severity: Option<&'a str>,
    pub rarity: Option<&'a str>,
    pub disease_code: Option<&'a str>,
    pub comment: Option<&'a str>,
}

/// Stored feedback.
#[derive(Clone, PartialEq, Serialize)]
pub struct Feedback {
    pub id: u64,
    pub prediction_id: String,
    pub verdict: Verdict,
    pub severity: Option<String>,
    pub rarity: Option<String>,
    pub disease_code: Option<String>,
    pub comment: Option<String>,
    pub actor: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The review that it opened.
    pub review: u64,
}

// What is said of a patient must not reach a log through `{:?}`.
impl fmt::Debug for NewFeedback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewFeedback").field("prediction_id", &self.prediction_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Feedback");
        out.field("id", &self.id).field("prediction_id", &self.prediction_id).field("review", &self.review);
        out.finish_non_exhaustive()
    }
}

impl Registry {
    /// Stores feedback and opens its review. Repeating the call with the same key changes nothing.
    ///
    /// # Errors
    /// [`Error::KeyReused`] when the key belongs to feedback with other content; storage fails.
    pub fn record_feedback(&self, new: &NewFeedback<'_>, act: &Act<'_>) -> Result<Feedback> {
        self.write(|tx| {
            if let Some(stored) = select(tx, "f.key = ?1", act.key)?.pop() {
                return if stored.says(new) { Ok(stored) } else { Err(Error::KeyReused { key: act.key.to_owned() }) };
            }
            let id: u64 = tx.query_row(
                "INSERT INTO feedback (key, prediction_id, verdict, severity, rarity, disease_code, comment, actor, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
                params![
                    act.key,
                    new.prediction_id,
                    new.verdict.code(),
                    new.severity,
                    new.rarity,
                    new.disease_code,
                    new.comment,
                    act.actor,
                    stamp(act.at)?
                ],
                |r| r.get(0),
            )?;
            let review = reviews::open(tx, new.prediction_id, id, new.verdict, act)?;
            // Who judged which prediction, never what was said of the patient.
            let detail = json!({"feedback": id, "review": review, "verdict": new.verdict});
            audit::append(tx, act, "feedback.record", new.prediction_id, &detail)?;
            select(tx, "f.id = ?1", id)?.pop().ok_or(Error::Corrupt { what: "a feedback" })
        })
    }

    /// All feedback on one prediction, oldest first.
    ///
    /// # Errors
    /// Storage fails.
    pub fn feedback(&self, prediction_id: &str) -> Result<Vec<Feedback>> {
        self.read(|db| select(db, "f.prediction_id = ?1", prediction_id))
    }
}

impl Feedback {
    fn says(&self, new: &NewFeedback<'_>) -> bool {
        self.prediction_id == new.prediction_id
            && self.verdict == new.verdict
            && self.severity.as_deref() == new.severity
            && self.rarity.as_deref() == new.rarity
            && self.disease_code.as_deref() == new.disease_code
            && self.comment.as_deref() == new.comment
    }
}

fn select(db: &Connection, filter: &str, value: impl ToValue) -> Result<Vec<Feedback>> {
    let sql = format!(
        "SELECT f.id, f.prediction_id, f.verdict, f.severity, f.rarity, f.disease_code, f.comment, f.actor, f.created_at, r.id
         FROM feedback f JOIN reviews r ON r.feedback = f.id WHERE {filter} ORDER BY f.id"
    );
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query([value])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        out.push(read(r)?);
    }
    Ok(out)
}

fn read(r: &Row) -> Result<Feedback> {
    let (verdict, created_at): (String, String) = (r.get(2)?, r.get(8)?);
    Ok(Feedback {
        id: r.get(0)?,
        prediction_id: r.get(1)?,
        verdict: Verdict::parse(&verdict)?,
        severity: r.get(3)?,
        rarity: r.get(4)?,
        disease_code: r.get(5)?,
        comment: r.get(6)?,
        actor: r.get(7)?,
        created_at: parse_stamp(&created_at)?,
        review: r.get(9)?,
    })
}
