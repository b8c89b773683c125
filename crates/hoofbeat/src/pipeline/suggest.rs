//! Suggest: served patients without an outcome -> reviews of those whose outcome would teach most.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result};
use clinical::{Patient, Rarity};
use lake::predictions::PredictionReader;
use learn::active::{self, Candidate, Merit};
use registry::{Choice, NewSuggestion};
use serde::Serialize;
use serve::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::promote::act_as;
use super::score::Scorer;
use crate::deployment::Deployment;

/// What a suggestion run opened.
#[derive(Debug, Default, Serialize)]
pub struct Suggestions {
    /// Served patients without a review and without an outcome.
    pub candidates: usize,
    /// Reviews opened of alarms that nobody has said anything about.
    pub suspicions: usize,
    /// Reviews opened for what their outcome would teach, the random ones among them.
    pub informative: usize,
    pub random: usize,
}

/// A served patient who may be asked about.
struct Served {
    id: String,
    alarmed: bool,
    candidate: Candidate,
}

/// Opens reviews of at most `n` patients chosen by active learning, beside those of unanswered alarms. `seed` decides the
/// random part.
pub fn suggest(deployment: &Deployment, n: usize, seed: u64, actor: &str) -> Result<Suggestions> {
    let champion = deployment.champion()?;
    let scorer = Scorer::open(deployment, &champion)?;
    let reviewed = deployment.registry.reviewed_predictions()?;
    let (served, known) = served(deployment, &scorer, &reviewed)?;
    let plan = &deployment.config.review;

    let mut alarmed: Vec<&Served> = served.iter().filter(|one| one.alarmed).collect();
    alarmed.sort_by(|a, b| b.candidate.probability_orphan.total_cmp(&a.candidate.probability_orphan));
    let suspicion = |one: &&Served| NewSuggestion {
        prediction_id: one.id.clone(),
        choice: Choice::Suspicion { probability_orphan: one.candidate.probability_orphan },
    };
    let mut new: Vec<NewSuggestion> = alarmed.iter().take(plan.suspicions).map(suspicion).collect();
    let suspicions = new.len();

    let others: Vec<&Served> = served.iter().filter(|one| !one.alarmed).collect();
    let candidates: Vec<Candidate> = others.iter().map(|one| one.candidate.clone()).collect();
    let chosen = active::choose(&candidates, &known, n, plan.random_share, seed);
    let random = chosen.iter().filter(|(_, merit)| *merit == Merit::Random).count();
    new.extend(chosen.iter().filter_map(|&(index, merit)| {
        Some(NewSuggestion { prediction_id: others.get(index)?.id.clone(), choice: choice(merit) })
    }));
    act_as(deployment, actor, "patients whose outcome would teach", |act| {
        Ok(deployment.registry.suggest_reviews(&new, act)?)
    })?;
    let informative = chosen.len();
    Ok(Suggestions { candidates: served.len(), suspicions, informative, random })
}

fn choice(merit: Merit) -> Choice {
    match merit {
        Merit::Rarity(probability_orphan) => Choice::Rarity { probability_orphan },
        Merit::Uncertainty(entropy) => Choice::Uncertainty { entropy },
        Merit::Novelty(distance) => Choice::Novelty { distance },
        Merit::Random => Choice::Random,
    }
}

/// The newest served patients that nothing is known of, as the champion sees them now, and the places of those that were
/// asked about.
fn served(
    deployment: &Deployment,
    scorer: &Scorer,
    reviewed: &HashSet<String>,
) -> Result<(Vec<Served>, Vec<Vec<f32>>)> {
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    let pool = deployment.config.review.pool.max(1);
    let (mut open, mut known) = (Newest::of(pool), Newest::of(pool));
    for entry in log.scan()? {
        let (id, bytes) = entry?;
        let record = Record::from_bytes(&bytes).context("a logged prediction cannot be read")?;
        if !record.fits(scorer.study()) {
            continue;
        }
        let at = OffsetDateTime::parse(&record.at, &Rfc3339).context("a logged prediction has no time")?;
        let (place, id) = ((at, id), id.to_string());
        let point = point(scorer, &record.values);
        if reviewed.contains(&id) {
            known.add(place, point);
            continue;
        }
        let cell = scorer.study().cell(&record.values);
        let assessed = scorer.assess(cell)?;
        let candidate = Candidate {
            cell,
            probability_orphan: assessed.orphan,
            entropy: active::entropy(&assessed.before_alarm),
            point,
        };
        // What the doctor was told counts, not what today's model would say.
        let alarmed = record.prediction.rarity == Some(Rarity::Orphan);
        open.add(place, Served { id, alarmed, candidate });
    }
    Ok((open.by_age(), known.by_age()))
}

/// The newest answers of all servers, whose logs are read one after the other.
struct Newest<T> {
    most: usize,
    found: BTreeMap<(OffsetDateTime, Uuid), T>,
}

impl<T> Newest<T> {
    fn of(most: usize) -> Self {
        Newest { most, found: BTreeMap::new() }
    }

    fn add(&mut self, place: (OffsetDateTime, Uuid), one: T) {
        self.found.insert(place, one);
        if self.found.len() > self.most {
            self.found.pop_first();
        }
    }

    fn by_age(self) -> Vec<T> {
        self.found.into_values().collect()
    }
}

/// The encoded row of a patient.
fn point(scorer: &Scorer, patient: &Patient) -> Vec<f32> {
    let mut row = Vec::with_capacity(scorer.model().preprocessor().width());
    scorer.model().preprocessor().encode_into(&scorer.study().levels(patient), &mut row);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_found_whichever_log_they_are_in() {
        let at = |second: i64| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second);
        let mut newest = Newest::of(3);
        // The second log ended before the first.
        for (n, second) in [(1, 10), (2, 40), (3, 50), (4, 20), (5, 45)] {
            newest.add((at(second), Uuid::from_u128(n)), n);
        }
        assert_eq!(newest.by_age(), [2, 5, 3]);
    }
}
