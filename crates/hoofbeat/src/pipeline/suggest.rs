//! Suggest: served patients without an outcome -> reviews of those whose outcome would teach most.

use std::collections::HashSet;

use anyhow::{Context, Result};
use clinical::{Patient, Rarity};
use lake::predictions::PredictionReader;
use learn::active::{self, Candidate, Merit};
use learn::revision::Revision;
use registry::{Choice, NewSuggestion};
use serde::Serialize;
use serve::Record;

use super::promote::act_as;
use super::publish::newest_answers;
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
    let (mut served, known) = served(deployment, &scorer, &reviewed)?;
    let cells: Vec<_> = served.iter().map(|one| one.candidate.cell).collect();
    let short = Revision::of(&deployment.bundle(&champion)?)?.short_of_alarm(&cells)?;
    served.iter_mut().zip(short).for_each(|(one, short)| one.candidate.short_of_alarm = short);
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
        Merit::Watched(short_of_alarm) => Choice::Watched { short_of_alarm },
        Merit::Rarity(probability_orphan) => Choice::Rarity { probability_orphan },
        Merit::Uncertainty(entropy) => Choice::Uncertainty { entropy },
        Merit::Novelty(distance) => Choice::Novelty { distance },
        Merit::Random => Choice::Random,
    }
}

/// Of the pool, the patients that nothing is known of, as the champion sees them now, and the places of those that were
/// asked about; oldest first.
fn served(
    deployment: &Deployment,
    scorer: &Scorer,
    reviewed: &HashSet<String>,
) -> Result<(Vec<Served>, Vec<Vec<f32>>)> {
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    let (mut open, mut known) = (Vec::new(), Vec::new());
    for id in newest_answers(&log, deployment.config.review.pool)? {
        // One that was erased meanwhile is nobody's.
        let Some(bytes) = log.get(id)? else { continue };
        let record = Record::from_bytes(&bytes).context("a logged prediction cannot be read")?;
        if !record.fits(scorer.study()) {
            continue;
        }
        let id = id.to_string();
        let point = point(scorer, &record.values);
        if reviewed.contains(&id) {
            known.push(point);
            continue;
        }
        let cell = scorer.study().cell(&record.values);
        let assessed = scorer.assess(cell)?;
        let candidate = Candidate {
            cell,
            probability_orphan: assessed.orphan,
            short_of_alarm: None,
            entropy: active::entropy(&assessed.before_alarm),
            point,
        };
        // What the doctor was told counts, not what today's model would say.
        let alarmed = record.prediction.rarity == Some(Rarity::Orphan);
        open.push(Served { id, alarmed, candidate });
    }
    Ok((open, known))
}

/// The encoded row of a patient.
fn point(scorer: &Scorer, patient: &Patient) -> Vec<f32> {
    let mut row = Vec::with_capacity(scorer.model().preprocessor().width());
    scorer.model().preprocessor().encode_into(&scorer.study().levels(patient), &mut row);
    row
}
