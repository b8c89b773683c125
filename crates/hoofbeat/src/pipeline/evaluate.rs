//! Evaluate: a model's answers against what was confirmed, on one set of a pinned dataset version.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use clinical::{Rarity, Study};
use evaluate::reference::{DIMS, Preset, Reference, Score};
use evaluate::{
    Answer, Bootstrap, Cells, Contrast, Disease, DiseaseCounts, Figures, Grouping, InputLimit, Report,
    Subgroup, Sufficiency, Verdict,
};
use lake::DatasetVersion;
use learn::verify::Verification;
use prepare::{Cohort, Set};
use registry::{Act, Model, ModelVersion, TestOpening};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::notes::{self, NoteFigures};
use super::promote::act;
use super::score::Scorer;
use super::{cohort, verify};
use crate::deployment::Deployment;

/// Everything measured on one set.
#[derive(Debug, Serialize, Deserialize)]
pub struct Evaluation {
    pub set: Set,
    pub dataset_version: u64,
    #[serde(flatten)]
    pub report: Report,
    /// What the best possible rule could reach with these inputs, if the model's calibrated
    /// probabilities are the truth.
    pub input_limit: InputLimit,
    pub inputs: Sufficiency,
    /// How the patients of each disease fare, most patients first within a rarity.
    pub diseases: Vec<Disease>,
    /// Figures by feature and group (numbers in bands of twenty).
    pub subgroups: BTreeMap<String, Vec<Subgroup>>,
    /// Exact population figures, where the dataset is a reference cohort.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<Truth>,
    /// What notes add on the set's cases that have one; all other figures are of the structured model alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<NoteFigures>,
    /// Digest of the study that judged; none of reports from before models had a judge beside themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<String>,
    /// That study's gates, judged on these figures.
    pub gates: Vec<Verdict>,
    /// Every possible patient, where the model has a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// All gates, those of the verification included.
    pub gates_hold: bool,
}

/// Exact figures of a reference cohort's known distribution.
#[derive(Debug, Serialize, Deserialize)]
pub struct Truth {
    pub preset: Preset,
    /// Of the decisions as shown, with the alarm's: an alarmed patient is never called healthy.
    #[serde(flatten)]
    pub score: Score,
    /// Of the decisions before the alarm, to compare with a rule that has none.
    pub macro_f1_without_alarm: f64,
}

/// Measures a model on one set of a counted cohort. `judge`: the study whose gates and limits it has to pass
/// ([`Deployment::study_in_force`]).
pub fn evaluate(
    scorer: &Scorer,
    cohort: &Cohort,
    set: Set,
    dataset: &DatasetVersion,
    judge: &Study,
) -> Result<Evaluation> {
    let study = scorer.study();
    let answered = Answered::of(scorer, cohort, set)?;
    let bootstrap = Bootstrap { seed: study.split.seed, ..Bootstrap::default() };
    // Most of the time goes into resampling and into every possible patient, in parts that do not need each other.
    let (report, beside) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let subgroups = subgroups(study, &answered.cells, &answered.members)?;
            let limit = answered.limit(study, &bootstrap)?;
            Ok((limit, subgroups, truth(scorer, dataset)?, verify::verify(scorer, cohort, judge)?))
        });
        let report = evaluate::evaluate(&answered.cells, &bootstrap);
        (report, beside.join().unwrap_or_else(|_| Err(anyhow!("an evaluating thread failed"))))
    });
    let (report, (input_limit, subgroups, truth, verification)) = (report?, beside?);
    let inputs = input_limit.macro_f1_within_reach(study.targets.f1_common);
    let gates = evaluate::judge(&judge.gates, &report.figures, &subgroups);
    Ok(Evaluation {
        set,
        dataset_version: dataset.version,
        diseases: evaluate::diseases(&answered.cells, &by_disease(study, cohort, set, &answered.members))?,
        subgroups,
        truth,
        notes: None,
        report,
        input_limit,
        inputs,
        judged_by: Some(judge.digest()),
        gates_hold: evaluate::hold(&gates) && verification.as_ref().is_none_or(|found| found.holds),
        gates,
        verification,
    })
}

/// Counts a model's dataset version under its own study, and measures it on one set.
pub fn of_model(deployment: &Deployment, model: &Model, set: Set) -> Result<Evaluation> {
    let scorer = Scorer::open(deployment, model)?;
    let version = deployment.lake.version(model.dataset_version)?;
    let (cohort, ..) = cohort::tally(deployment, scorer.study(), version.version)?;
    let judge = deployment.study_in_force(scorer.study())?;
    let mut evaluation = evaluate(&scorer, &cohort, set, &version, &judge)?;
    evaluation.notes = notes::measure(&deployment.lake, &scorer, version.version, set)?;
    Ok(evaluation)
}

/// The same on validation, and keeps the report.
pub fn validation(deployment: &Deployment, model: &Model) -> Result<Value> {
    let report = serde_json::to_value(of_model(deployment, model, Set::Validation)?)?;
    act(deployment, "evaluate --set validation", |act| {
        Ok(deployment.registry.record_evaluation(model.version, &report, act)?)
    })?;
    Ok(report)
}

/// Two models beside each other on the same patients.
#[derive(Debug)]
pub struct Beside {
    /// The first model's figures, with their own intervals.
    pub first: Figures,
    /// The second less the first, with paired intervals.
    pub contrasts: Vec<Contrast>,
}

/// Measures two models on the same patients of one set.
pub fn beside([first, second]: [&Scorer; 2], cohort: &Cohort, set: Set) -> Result<Beside> {
    let bootstrap = Bootstrap { seed: second.study().split.seed, ..Bootstrap::default() };
    let answered = [first, second].map(|scorer| Answered::of(scorer, cohort, set));
    let [first, second] = answered;
    let (first, second) = (first?.cells, second?.cells);
    let (contrasts, report) = std::thread::scope(|scope| {
        let report = scope.spawn(|| evaluate::evaluate(&first, &bootstrap));
        (evaluate::contrast(&first, &second, &bootstrap), report.join())
    });
    let report = report.map_err(|_| anyhow!("an evaluating thread failed"))??;
    Ok(Beside { first: report.figures, contrasts: contrasts? })
}

/// A model's test set, opened now or before.
#[derive(Debug)]
pub struct Opened {
    pub opening: TestOpening,
    pub report: Value,
    /// Whether it was reported on before: then that report is the one.
    pub earlier: bool,
}

/// Opens the test set for a model, records that, and reports on it once.
pub fn open_test(
    deployment: &Deployment,
    version: ModelVersion,
    measure: impl FnOnce() -> Result<Evaluation>,
) -> Result<Opened> {
    let reason = "evaluate --set test";
    let open = |act: &Act<'_>| Ok(deployment.registry.open_test(version, act)?);
    let opening = act(deployment, reason, open)?;
    if let Some(report) = opening.report.clone() {
        return Ok(Opened { opening, report, earlier: true });
    }
    let report = serde_json::to_value(measure()?)?;
    let store = |act: &Act<'_>| Ok(deployment.registry.record_test_report(version, &report, act)?);
    let kept = act(deployment, reason, store)?.report.unwrap_or(report);
    Ok(Opened { opening, report: kept, earlier: false })
}

/// A model's answers to the patients of one set, beside what was confirmed.
struct Answered {
    cells: Cells,
    /// The possible patients, in the order of `cells`.
    members: Vec<usize>,
    counts: Vec<u64>,
    severity: Vec<f64>,
    orphan: Vec<f64>,
}

impl Answered {
    fn of(scorer: &Scorer, cohort: &Cohort, set: Set) -> Result<Answered> {
        let study = scorer.study();
        let codes: Vec<&str> = study.severities().iter().map(|class| class.code.as_str()).collect();
        let mut answered = Answered {
            cells: Cells::new(&codes)?,
            members: Vec::new(),
            counts: Vec::new(),
            severity: Vec::new(),
            orphan: Vec::new(),
        };
        for (cell, outcomes) in by_cell(study, cohort, set) {
            let assessed = scorer.assess(cell)?;
            let answer = Answer {
                probabilities: &assessed.before_alarm,
                orphan: assessed.orphan,
                decided: assessed.decided,
                alarm: assessed.alarm,
            };
            answered.cells.push(&answer, &outcomes)?;
            if assessed.unsure {
                answered.cells.abstain(answered.members.len());
            }
            answered.members.push(cell);
            answered.counts.push(outcomes.iter().sum());
            answered.severity.extend_from_slice(&assessed.before_alarm);
            answered.orphan.push(assessed.orphan);
        }
        Ok(answered)
    }

    fn limit(&self, study: &Study, bootstrap: &Bootstrap) -> Result<InputLimit> {
        Ok(InputLimit::of_table(
            study.severities().len(),
            &self.counts,
            &self.severity,
            &self.orphan,
            study.targets.orphan_recall,
            bootstrap,
        )?)
    }
}

/// Patients by cell and `[severity][not orphan, orphan]`.
fn by_cell(study: &Study, cohort: &Cohort, set: Set) -> BTreeMap<usize, Vec<u64>> {
    let mut cells: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for count in cohort.of_set(study, set) {
        let stratum = &cohort.strata()[count.stratum];
        let outcomes = cells.entry(count.cell).or_insert_with(|| vec![0; 2 * study.severities().len()]);
        outcomes[2 * stratum.severity.index() + usize::from(stratum.is_orphan())] += count.count;
    }
    cells
}

/// The set's patients with a disease code, by disease; `members` are the cells in their order of evaluation.
fn by_disease(study: &Study, cohort: &Cohort, set: Set, members: &[usize]) -> Vec<DiseaseCounts> {
    let mut diseases: BTreeMap<(Rarity, &str), DiseaseCounts> = BTreeMap::new();
    for count in cohort.of_set(study, set) {
        let stratum = &cohort.strata()[count.stratum];
        let (Some(rarity), Some(code), Ok(place)) =
            (stratum.rarity, stratum.disease_code.as_deref(), members.binary_search(&count.cell))
        else {
            continue;
        };
        let disease = diseases.entry((rarity, code)).or_insert_with(|| DiseaseCounts {
            code: code.to_owned(),
            rarity,
            patients: Vec::new(),
        });
        disease.patients.push((place, stratum.severity.index(), count.count));
    }
    let mut diseases: Vec<DiseaseCounts> = diseases.into_values().collect();
    let patients = |disease: &DiseaseCounts| disease.patients.iter().map(|(_, _, count)| count).sum::<u64>();
    diseases.sort_by_key(|disease| (disease.rarity, std::cmp::Reverse(patients(disease))));
    diseases
}

/// The figures by every feature: each code and category, and numbers in bands.
fn subgroups(study: &Study, cells: &Cells, members: &[usize]) -> Result<BTreeMap<String, Vec<Subgroup>>> {
    // Fewer replicates: a report has some twenty groups, and their intervals are wide anyway.
    let bootstrap = Bootstrap { replicates: 100, seed: study.split.seed };
    let levels: Vec<Vec<usize>> = members.iter().map(|&cell| study.domain().levels(cell)).collect();
    let mut all = BTreeMap::new();
    for (index, feature) in study.features().iter().enumerate() {
        let groups = feature.groups();
        let of_cell: Vec<u16> = levels.iter().map(|levels| groups.of_level[levels[index]]).collect();
        let grouping = Grouping { names: &groups.names, of_cell: &of_cell };
        let mut figures = evaluate::subgroups(cells, &grouping, &bootstrap)?;
        figures.retain(|group| group.patients > 0);
        all.insert(feature.name.clone(), figures);
    }
    Ok(all)
}

/// Exact figures where every case of the dataset comes from one reference cohort: its source says so
/// (`reference`, `reference-hard`, `reference-novel` ...), and the study is that cohort's.
fn truth(scorer: &Scorer, dataset: &DatasetVersion) -> Result<Option<Truth>> {
    let study = scorer.study();
    let Some((preset, novel)) = single_source(dataset).and_then(reference_source) else { return Ok(None) };
    let severities: Vec<&str> = study.severities().iter().map(|class| class.code.as_str()).collect();
    if study.domain().dims() != DIMS || severities != evaluate::reference::SEVERITIES {
        return Ok(None);
    }
    let (mut orphan, mut decided, mut before_alarm) = (Vec::new(), Vec::new(), Vec::new());
    for cell in 0..evaluate::reference::SIZE {
        let assessed = scorer.assess(cell)?;
        orphan.push(assessed.orphan);
        decided.push(assessed.decided.0);
        before_alarm.push(assessed.decided_before_alarm().0);
    }
    let reference = Reference::new(preset, novel)?;
    Ok(Some(Truth {
        preset,
        score: reference.score(&orphan, &decided)?,
        macro_f1_without_alarm: reference.macro_f1(&before_alarm)?,
    }))
}

/// The source that all cases of a dataset version carry, if it is one.
fn single_source(dataset: &DatasetVersion) -> Option<&str> {
    match dataset.totals.sources.iter().collect::<Vec<_>>().as_slice() {
        [(source, _)] => Some(source.as_str()),
        _ => None,
    }
}

/// The source name that `synth` writes.
pub fn reference_source_name(preset: Preset, novel: bool) -> String {
    let mut name = "reference".to_owned();
    if preset != Preset::Reference {
        name = format!("{name}-{preset}");
    }
    if novel { format!("{name}-novel") } else { name }
}

fn reference_source(source: &str) -> Option<(Preset, bool)> {
    let all = Preset::ALL.into_iter().flat_map(|preset| [(preset, false), (preset, true)]);
    all.into_iter().find(|&(preset, novel)| reference_source_name(preset, novel) == source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_reference_cohorts_round_trip_and_others_are_none() {
        for preset in Preset::ALL {
            for novel in [false, true] {
                assert_eq!(reference_source(&reference_source_name(preset, novel)), Some((preset, novel)));
            }
        }
        assert_eq!(reference_source("reference"), Some((Preset::Reference, false)));
        assert_eq!(reference_source("hospital"), None);
    }
}
