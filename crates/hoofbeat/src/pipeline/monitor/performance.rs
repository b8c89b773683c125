//! Is the model still right? On what was confirmed since, and, while nothing is, as far as its own probabilities tell.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clinical::{Cell, Rarity, Study};
use evaluate::{
    Answer, Bootstrap, Cells, Disease, DiseaseCounts, Expected, Figure, Figures, InTheLarge, Light, Metric,
    Rule, Stratum,
};
use lake::predictions::PredictionReader;
use registry::{ConfirmedOutcome, Registry};
use serde::Serialize;
use serve::Record;
use time::OffsetDateTime;
use uuid::Uuid;

use super::profile::Answered;
use super::sample::{Arrived, Confirmed, Served};
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
    /// Confirmed cases that came in during the window and that the model has not learned from: what alarms rest on. Where
    /// alarms are reviewed, their patients are among the reviewed and not among these; the orphan recall is then estimated from the
    /// outcomes of the answers given, corrected for who was verified ([`evaluate::recall_by_verified`]).
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

/// The model's answers to confirmed cases that it has not learned from. Where alarms are reviewed, the alarmed are missing among
/// these cases; then the recall is that of the answers given, of which `outcomes` tells.
pub(super) fn on_arrived(
    scorer: &Scorer,
    arrived: &Arrived,
    served: &Served,
    outcomes: &Outcomes,
) -> Result<Option<Measured>> {
    if arrived.confirmed.is_empty() {
        return Ok(None);
    }
    let study = scorer.study();
    let mut by_cell: BTreeMap<Cell, Vec<u64>> = BTreeMap::new();
    for ((cell, severity, orphan, _), n) in &arrived.confirmed {
        let counts = by_cell.entry(*cell).or_insert_with(|| vec![0; 2 * study.severities().len()]);
        counts[2 * severity + usize::from(*orphan)] += n;
    }
    let mut cells = no_cells(study)?;
    let members: Vec<Cell> = by_cell.keys().copied().collect();
    for (cell, counts) in &by_cell {
        let assessed = scorer.assess(*cell)?;
        cells.push(&answer(&assessed), counts)?;
    }
    let diseases = evaluate::diseases(&cells, &by_disease(&arrived.confirmed, &members))?;
    let mut measured = measure(study, &cells, diseases)?;
    if outcomes.reviewed.as_ref().is_some_and(|reviewed| reviewed.figures.alerts_per_1000.value() > Some(0.0))
    {
        measured.figures.orphan_recall = outcomes.recall(served);
        measured.lights.orphan_recall = recall_light(study, &measured.figures.orphan_recall);
    }
    Ok(Some(measured))
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
    Ok(Measured {
        patients: report.patients,
        orphans: report.orphans,
        lights: Lights {
            f1_common: if enough { f1 } else { Light::Grey },
            orphan_recall: recall_light(study, &report.figures.orphan_recall),
        },
        classes: report.classes,
        figures: report.figures,
        confusion: report.confusion,
        calibration: evaluate::in_the_large(cells),
        diseases,
    })
}

fn recall_light(study: &Study, recall: &Figure) -> Light {
    Rule::at_least(Metric::OrphanRecall, targets(study).orphan_recall).light(recall)
}

/// What became known of answers.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// By reviews.
    pub reviewed: Option<Measured>,
    /// From elsewhere.
    pub followed_up: Option<Measured>,
    /// Outcomes and orphan cases of answers without an alarm that nobody chose to review, and of all with one.
    verified: [(u64, u64); 2],
}

impl Outcomes {
    /// Recall of the alarms of the answers given, as if everybody's outcome were known.
    fn recall(&self, served: &Served) -> Figure {
        let group = |alarmed: usize| {
            let (verified, orphans) = self.verified[alarmed];
            Stratum { patients: served.alarms[alarmed], verified, orphans }
        };
        evaluate::recall_by_verified(group(1), group(0))
    }
}

/// Answers, by whatever model gave them, whose outcome became known in the window.
pub(super) fn on_outcomes(
    registry: &Registry,
    log: &PredictionReader,
    study: &Study,
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Result<Outcomes> {
    let [mut reviewed, mut others] = [no_cells(study)?, no_cells(study)?];
    let mut verified = [(0, 0); 2];
    let mut last = None;
    loop {
        let mut outcomes = registry.outcomes_recorded(from, to, last.as_ref(), PAGE)?;
        for outcome in &outcomes {
            let is_chosen = outcome.source == REVIEW_SOURCE;
            let cells = if is_chosen { &mut reviewed } else { &mut others };
            let Some(alarmed) = add(cells, log, study, outcome)? else { continue };
            // Who is reviewed without an alarm was chosen by what the model doubts.
            if alarmed || !is_chosen {
                let (all, orphans) = &mut verified[usize::from(alarmed)];
                *all += 1;
                *orphans += u64::from(is_orphan(outcome));
            }
        }
        let Some(newest) = outcomes.pop() else { break };
        last = Some(newest);
    }
    let measured = |cells: Cells| match cells.is_empty() {
        true => Ok(None),
        false => measure(study, &cells, Vec::new()).map(Some),
    };
    Ok(Outcomes { reviewed: measured(reviewed)?, followed_up: measured(others)?, verified })
}

fn is_orphan(outcome: &ConfirmedOutcome) -> bool {
    outcome.rarity.as_deref() == Some(Rarity::Orphan.code())
}

/// Whether the answer was an alarm; none of a vanished answer or one in another study's terms, which is passed over.
fn add(
    cells: &mut Cells,
    log: &PredictionReader,
    study: &Study,
    outcome: &ConfirmedOutcome,
) -> Result<Option<bool>> {
    let Some(truth) = study.severity_from_code(&outcome.severity) else { return Ok(None) };
    let Ok(id) = outcome.prediction_id.parse::<Uuid>() else { return Ok(None) };
    let Some(record) = log.get(id)? else { return Ok(None) };
    let logged = Record::from_bytes(&record).with_context(|| format!("prediction {id} cannot be read"))?;
    let said = &logged.prediction;
    let mut counts = vec![0; 2 * study.severities().len()];
    counts[2 * truth.index() + usize::from(is_orphan(outcome))] = 1;
    let classes = said.probabilities.len();
    if classes != study.severities().len() || said.severity.index() >= classes {
        return Ok(None);
    }
    let alarm = said.rarity == Some(Rarity::Orphan);
    let answer = Answer {
        probabilities: &said.probabilities,
        orphan: said.probability_orphan,
        decided: said.severity,
        alarm,
    };
    cells.push(&answer, &counts)?;
    Ok(Some(alarm))
}
