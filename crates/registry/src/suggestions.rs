//! Reviews that nobody's opinion opened: orphan suspicions without an outcome, and the cases whose label would teach most.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    act::{self, Act, stamp, to_json},
    audit,
    error::Result,
    sql::params,
    store::Registry,
};

/// Predictions that one statement looks up.
const PAGE: usize = 200;
/// The queue of what active learning asks about. Its newest entries come first: what would have taught most before the last
/// trainings need not do so now.
pub(crate) const SUGGESTED: u32 = 3;

/// Why a served patient is asked about, with the number that decided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "chosen_for", rename_all = "snake_case")]
pub enum Choice {
    /// The alarm was raised and nobody has said what became of it.
    Suspicion { probability_orphan: f64 },
    /// Only just left out by the alarm of a disease that is watched; short of it by so much, in log odds.
    Watched { short_of_alarm: f64 },
    /// Among the highest orphan probabilities without an alarm.
    Rarity { probability_orphan: f64 },
    /// Among the least certain severities; entropy in bits.
    Uncertainty { entropy: f64 },
    /// Unlike every patient whose outcome is known or asked for; distance in the encoded space.
    Novelty { distance: f64 },
    /// Drawn at random: the only unbiased sample.
    Random,
}

impl Choice {
    fn reason(&self) -> &'static str {
        match self {
            Self::Suspicion { .. } => "orphan_suspected",
            Self::Watched { .. } | Self::Rarity { .. } | Self::Uncertainty { .. } | Self::Novelty { .. } => {
                "informative"
            }
            Self::Random => "unbiased_sample",
        }
    }

    fn queue(&self) -> u32 {
        match self {
            Self::Suspicion { .. } => 2,
            _ => SUGGESTED,
        }
    }
}

/// A served patient to be asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSuggestion {
    pub prediction_id: String,
    pub choice: Choice,
}

/// What became of suggestions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggested {
    pub opened: u64,
    /// Left out: there is a review of the prediction, or its outcome is known.
    pub known: u64,
}

const SUGGEST: &str = "review.suggest";

impl Registry {
    /// Opens a review of each prediction that has neither a review nor an outcome; what is given first is asked first.
    /// Repeating the call with the same key
    /// changes nothing.
    ///
    /// # Errors
    /// [`crate::Error::KeyReused`]; storage fails.
    pub fn suggest_reviews(&self, new: &[NewSuggestion], act: &Act<'_>) -> Result<Suggested> {
        self.write(|tx| {
            if let Some(done) = act::replayed(tx, act, SUGGEST, "reviews")? {
                return Ok(done);
            }
            let mut done = Suggested::default();
            let (suggested, others): (Vec<_>, Vec<_>) =
                new.iter().partition(|new| new.choice.queue() == SUGGESTED);
            for NewSuggestion { prediction_id, choice } in
                others.into_iter().chain(suggested.into_iter().rev())
            {
                let known: bool = tx
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM reviews WHERE prediction_id = ?1)
                             OR EXISTS (SELECT 1 FROM outcomes WHERE prediction_id = ?1)",
                    )?
                    .query_row(params![prediction_id], |r| r.get(0))?;
                if known {
                    done.known += 1;
                    continue;
                }
                tx.prepare_cached(
                    "INSERT INTO reviews (prediction_id, state, reason, opened_at, queue, why)
                     VALUES (?1, 'open', ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    prediction_id,
                    choice.reason(),
                    stamp(act.at)?,
                    choice.queue(),
                    to_json(choice)?
                ])?;
                done.opened += 1;
            }
            if done.opened > 0 {
                audit::append(tx, act, SUGGEST, "reviews", &json!({"opened": done.opened}))?;
            }
            act::remember(tx, act, SUGGEST, "reviews", &done)?;
            Ok(done)
        })
    }

    /// The predictions that need not be asked about: those with a review or an outcome.
    ///
    /// # Errors
    /// Storage fails.
    pub fn reviewed_predictions(&self) -> Result<HashSet<String>> {
        self.read(|db| {
            let mut query = db.prepare_cached(
                "SELECT prediction_id FROM reviews UNION SELECT prediction_id FROM outcomes",
            )?;
            let rows = query.query_map(params![], |r| r.get(0))?;
            rows.collect()
        })
    }

    /// Those of some predictions that have a review or an outcome.
    ///
    /// # Errors
    /// Storage fails.
    pub fn reviewed_among(&self, predictions: &[String]) -> Result<HashSet<String>> {
        let names: Vec<String> = (1..=PAGE).map(|n| format!("?{n}")).collect();
        let of = |table| {
            format!("SELECT prediction_id FROM {table} WHERE prediction_id IN ({})", names.join(", "))
        };
        let sql = format!("{} UNION {}", of("reviews"), of("outcomes"));
        self.read(|db| {
            let (mut query, mut found) = (db.prepare_cached(&sql)?, HashSet::new());
            for page in predictions.chunks(PAGE) {
                // The last page is filled up, so that all ask the same statement.
                let Some(last) = page.last() else { continue };
                let asked: [&str; PAGE] = std::array::from_fn(|n| page.get(n).unwrap_or(last).as_str());
                for id in query.query_map(asked, |r| r.get::<String>(0))? {
                    found.insert(id?);
                }
            }
            Ok(found)
        })
    }
}
