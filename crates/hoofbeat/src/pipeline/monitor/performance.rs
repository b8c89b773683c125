//! Is the model still right? On what was confirmed since, and, while nothing is, as far as its own probabilities tell.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clinical::{Cell, Rarity, Study};
use evaluate::{
    Answer, Bootstrap, Cells, Disease, DiseaseCounts, Expected, Figures, InTheLarge, Light, Metric, Rule,
};
use lake::predictions::PredictionReader;
use registry::{ConfirmedOutcome, Registry};
use serde::Serialize;
use serve::Record;
use time::OffsetDateTime;
use uuid::Uuid;

use super::profile::Answered;
use super::sample::{Arrived, Confirmed};
use crate::pipeline::collect::SOURCE as REVIEW_SOURCE;
use crate::pipeline::score::Scorer;

/// Patients that every severity needs before the F1, whose interval is a bootstrap's, may raise an alarm.
const FEWEST_OF_EACH: u64 = 9;
/// Outcomes read at once.
const PAGE: u32 = 1000;

/// Performance by where the truth comes from.
#[derive(Debug, Serialize)]
pub struct Performance {
    pub targets: Targets,
    /// Confirmed cases that came in during the window and that the model has not learned from: what alarms rest on.
    pub arrived: Option<Measured>,
    /// Answers whose outcome a review has found in the window. Reviewed cases are chosen, mostly because somebody doubted the answer:
    /// their figures are worse than everybody's and raise no alarm.
    pub reviewed: Option<Measured>,
    /// Answers whose outcome came from elsewhere in the window: a file of outcomes, which may hold whom it likes. They raise no
    /// alarm either: many of them were given by earlier models.
    pub followed_up: Option<Measured>,
    /// What the model's own probabilities promise for the answers served, if it is calibrated on these patients; a
    /// band, no proof.
    pub expected: Option<Expected>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Targets {
    pub f1_common: f64,
    pub orphan_recall: f64,
}

/// Answers beside what was true.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub patients: u64,
    pub orphans: u64,
    /// Codes of the severities.
    pub classes: Vec<String>,
    #[serde(flatten)]
    pub figures: Figures,
    /// Patients by `[true severity][shown severity]`.
    pub confusion: Vec<Vec<u64>>,
    pub calibration: Vec<InTheLarge>,
    pub diseases: Vec<Disease>,
    pub lights: Lights,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lights {
    pub f1_common: Light,
    pub orphan_recall: Light,
}

pub(super) fn targets(study: &Study) -> Targets {
    Targets { f1_common: study.targets.f1_common, orphan_recall: study.targets.orphan_recall }
}

/// The model's answers to confirmed cases that it has not learned from.
pub(super) fn on_arrived(scorer: &Scorer, arrived: &Arrived) -> Result<Option<Measured>> {
    if arrived.confirmed.is_empty() {
        return Ok(None);
    }
    let study = scorer.study();
    let mut outcomes: BTreeMap<Cell, Vec<u64>> = BTreeMap::new();
    for ((cell, severity, orphan, _), n) in &arrived.confirmed {
        let counts = outcomes.entry(*cell).or_insert_with(|| vec![0; 2 * study.severities().len()]);
        counts[2 * severity + usize::from(*orphan)] += n;
    }
    let mut cells = no_cells(study)?;
    let members: Vec<Cell> = outcomes.keys().copied().collect();
    for (cell, counts) in &outcomes {
        let assessed = scorer.assess(*cell)?;
        cells.push(&answer(&assessed), counts)?;
    }
    let diseases = evaluate::diseases(&cells, &by_disease(&arrived.confirmed, &members))?;
    measure(study, &cells, diseases).map(Some)
}

/// What the model's probabilities promise of the patients served.
pub(super) fn expected(scorer: &Scorer, served: &Answered) -> Option<Expected> {
    let classes = scorer.study().severities().len();
    let answers = served.iter().map(|(assessed, n)| (answer(assessed), n));
    (!served.patients.is_empty()).then(|| evaluate::expected(classes, answers))
}

fn answer(assessed: &learn::model::Assessed) -> Answer<'_> {
    Answer {
        probabilities: &assessed.before_alarm,
        orphan: assessed.orphan,
        decided: assessed.decided,
        alarm: assessed.alarm,
    }
}

fn no_cells(study: &Study) -> Result<Cells> {
    let codes: Vec<&str> = study.severities().iter().map(|class| class.code.as_str()).collect();
    Ok(Cells::new(&codes)?)
}

fn by_disease(confirmed: &BTreeMap<Confirmed, u64>, members: &[Cell]) -> Vec<DiseaseCounts> {
    let mut diseases: BTreeMap<(Rarity, &str), DiseaseCounts> = BTreeMap::new();
    for ((cell, severity, orphan, code), n) in confirmed {
        let rarity = if *orphan { Rarity::Orphan } else { Rarity::Common };
        let (Some(code), Ok(place)) = (code.as_deref(), members.binary_search(cell)) else { continue };
        let none = || DiseaseCounts { code: code.to_owned(), rarity, patients: Vec::new() };
        diseases.entry((rarity, code)).or_insert_with(none).patients.push((place, *severity, *n));
    }
    let patients = |disease: &DiseaseCounts| disease.patients.iter().map(|(.., n)| n).sum::<u64>();
    let mut diseases: Vec<DiseaseCounts> = diseases.into_values().collect();
    diseases.sort_by_key(|disease| (std::cmp::Reverse(disease.rarity), std::cmp::Reverse(patients(disease))));
    diseases
}

fn measure(study: &Study, cells: &Cells, diseases: Vec<Disease>) -> Result<Measured> {
    let report = evaluate::evaluate(cells, &Bootstrap { seed: study.split.seed, ..Bootstrap::default() })?;
    let targets = targets(study);
    let enough = report.confusion.iter().all(|row| row.iter().sum::<u64>() >= FEWEST_OF_EACH);
    let f1 = Rule::at_least(Metric::F1Common, targets.f1_common).light(&report.figures.f1_common);
    let recall = Rule::at_least(Metric::OrphanRecall, targets.orphan_recall);
    Ok(Measured {
        patients: report.patients,
        orphans: report.orphans,
        lights: Lights {
            f1_common: if enough { f1 } else { Light::Grey },
            orphan_recall: recall.light(&report.figures.orphan_recall),
        },
        classes: report.classes,
        figures: report.figures,
        confusion: report.confusion,
        calibration: evaluate::in_the_large(cells),
        diseases,
    })
}

/// Answers, by whatever model gave them, whose outcome became known in the window: by reviews, and from elsewhere.
pub(super) fn on_outcomes(
    registry: &Registry,
    log: &PredictionReader,
    study: &Study,
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Result<[Option<Measured>; 2]> {
    let [mut reviewed, mut others] = [no_cells(study)?, no_cells(study)?];
    let mut last = None;
    loop {
        let mut outcomes = registry.outcomes_recorded(from, to, last.as_ref(), PAGE)?;
        for outcome in &outcomes {
            let cells = if outcome.source == REVIEW_SOURCE { &mut reviewed } else { &mut others };
            add(cells, log, study, outcome)?;
        }
        let Some(newest) = outcomes.pop() else { break };
        last = Some(newest);
    }
    let measured = |cells: Cells| match cells.is_empty() {
        true => Ok(None),
        false => measure(study, &cells, Vec::new()).map(Some),
    };
    Ok([measured(reviewed)?, measured(others)?])
}

/// An outcome of a vanished answer or in another study's terms is passed over.
fn add(cells: &mut Cells, log: &PredictionReader, study: &Study, outcome: &ConfirmedOutcome) -> Result<()> {
    let Some(truth) = study.severity_from_code(&outcome.severity) else { return Ok(()) };
    let Ok(id) = outcome.prediction_id.parse::<Uuid>() else { return Ok(()) };
    let Some(record) = log.get(id)? else { return Ok(()) };
    let logged = Record::from_bytes(&record).with_context(|| format!("prediction {id} cannot be read"))?;
    let said = &logged.prediction;
    let mut counts = vec![0; 2 * study.severities().len()];
    counts[2 * truth.index() + usize::from(outcome.rarity.as_deref() == Some(Rarity::Orphan.code()))] = 1;
    if said.probabilities.len() == study.severities().len()
        && said.severity.index() < said.probabilities.len()
    {
        let answer = Answer {
            probabilities: &said.probabilities,
            orphan: said.probability_orphan,
            decided: said.severity,
            alarm: said.rarity == Some(Rarity::Orphan),
        };
        cells.push(&answer, &counts)?;
    }
    Ok(())
}
