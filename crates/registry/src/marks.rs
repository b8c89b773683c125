//! What a reviewer should know of an opinion before trusting it: contradicted, repeated, one of a flood.

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::{
    act::stamp,
    error::Result,
    sql::{Connection, params},
};

/// From so many opinions of one reporter within [`WINDOW`] on, each is one of a flood.
pub const FLOOD: u64 = 50;
/// The stretch of time before and after an opinion in which its reporter's others are counted.
const WINDOW: Duration = Duration::days(1);

/// Marks on the opinion that opened a review.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    /// Another opinion on the same prediction says otherwise.
    pub contradicted: bool,
    /// The same reporter had said the same of this prediction before.
    pub repeated: bool,
    /// Opinions of the same reporter within a day, where they are [`FLOOD`] or more.
    pub flood: Option<u64>,
}

/// The marks of one feedback.
pub(crate) fn of_feedback(db: &Connection, feedback: u64) -> Result<Marks> {
    let (contradicted, repeated, actor, at): (bool, bool, String, String) = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM feedback g WHERE g.prediction_id = f.prediction_id AND g.id != f.id
                            AND (g.verdict != f.verdict OR g.severity != f.severity OR g.rarity != f.rarity)),
                    EXISTS (SELECT 1 FROM feedback g WHERE g.prediction_id = f.prediction_id AND g.id < f.id
                            AND g.actor = f.actor AND g.verdict = f.verdict
                            AND g.severity IS NOT DISTINCT FROM f.severity AND g.rarity IS NOT DISTINCT FROM f.rarity),
                    f.actor, f.created_at
             FROM feedback f WHERE f.id = ?1",
        )?
        .query_row([feedback], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?;
    let near = around(db, &actor, crate::act::parse_stamp(&at)?)?;
    Ok(Marks { contradicted, repeated, flood: (near >= FLOOD).then_some(near) })
}

/// How many opinions a reporter gave within the window around a moment.
pub(crate) fn around(db: &Connection, actor: &str, at: OffsetDateTime) -> Result<u64> {
    // Times are compared as texts; fractions of a second sort a little wrongly, which a day does not notice.
    let (from, to) = (stamp(at - WINDOW)?, stamp(at + WINDOW)?);
    let mut query = db.prepare_cached(
        "SELECT count(*) FROM feedback WHERE actor = ?1 AND created_at >= ?2 AND created_at <= ?3",
    )?;
    query.query_row(params![actor, from, to], |r| r.get(0))
}
