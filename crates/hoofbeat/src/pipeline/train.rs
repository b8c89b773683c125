//! Train: a pinned dataset version -> a registered candidate with its bundle, measured on validation.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clinical::study::Resampling;
use clinical::{Feature, Kind, Severity, Study};
use lake::DatasetVersion;
use learn::alarm::Rule;
use learn::augment::Augmented;
use learn::combine::{Classes, Disease, Group};
use learn::crossfit::{self, Fitted, Recipe, Training};
use learn::fewshot::{Episodes, FewShotPlan, NoveltyBudget};
use learn::gan::{judge, trials};
use learn::learner::{Distributed, Learner, Parameters, Progress, Trainer};
use learn::profile::Axis;
use learn::{Matrix, model};
use prepare::{Cohort, Folds, Groups, Preprocessor, Set, SplitReport, Stratum};
use registry::{Model, NewModel, NewRun, RunState};
use serde::Serialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::asked::Asked;
use super::claim::Claim;
use super::evaluate::Evaluation;
use super::promote::act;
use super::score::Scorer;
use super::search::Found;
use super::{cohort, evaluate, imbalance, promote, search};
use crate::deployment::{self, Deployment};

/// Training processes' command.
const WORKER: &str = "learn-worker";

/// A finished run.
#[derive(Debug)]
pub struct Trained {
    pub model: Model,
    /// The evaluation on validation.
    pub report: Value,
    pub gates_hold: bool,
    pub record: Record,
}

/// What the run says of itself, kept with the run and in the bundle.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub dataset_version: u64,
    pub seed: u64,
    /// The settings that every member was trained with.
    pub parameters: Parameters,
    /// The search that found them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Found>,
    pub training_cases: u64,
    pub training_patients: usize,
    pub unconfirmed: u64,
    pub outside: u64,
    pub split: SplitReport,
    pub scales: Vec<prepare::Scale>,
    pub columns: Vec<String>,
    pub calibration: learn::crossfit::Calibration,
    pub alarm: learn::alarm::Alarm,
    pub rounds: Vec<usize>,
    /// None where the study asks for no synthetic cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<imbalance::Record>,
}

/// Trains, packages, registers and measures one candidate. A failed run is recorded as failed; an
/// interrupted search goes on with the same request.
pub fn train(deployment: &Deployment, asked: Asked) -> Result<Trained> {
    let (run, _claim) = begin(deployment, asked)?;
    match fit(deployment, asked, &run) {
        Ok(trained) => {
            let figures = json!({ "gates_hold": trained.gates_hold, "training": trained.record });
            deployment.registry.finish_run(&run, deployment::now(), &figures)?;
            Ok(trained)
        }
        Err(error) => {
            deployment.registry.fail_run(&run, deployment::now(), &format!("{error:#}"))?;
            Err(error)
        }
    }
}

/// Starts a run, or takes up the interrupted one that was asked for the same search.
fn begin(deployment: &Deployment, asked: Asked) -> Result<(String, Option<Claim>)> {
    let (study, version) = (deployment.study.as_ref(), asked.dataset_version);
    let (registry, digest) = (&deployment.registry, study.digest());
    let parameters = match asked.trials {
        0 => {
            let learner = asked.learner.unwrap_or(study.training.learner);
            json!({ "parameters": study.parameters(learner), "alarm": study.alarm, "imbalance": study.imbalance })
        }
        _ => {
            json!({ "search": search::request(deployment, asked), "alarm": study.alarm, "imbalance": study.imbalance })
        }
    };
    if asked.trials > 0
        && let Some(left) = registry.unfinished_run(version, &digest, asked.seed, &parameters)?
    {
        let Some(claim) = Claim::take(deployment, &left.id)? else {
            bail!(
                "run {} makes this very search in another process: wait for it, or choose another --seed",
                left.id
            )
        };
        // It may have ended between the look and the claim.
        if registry.run(&left.id)?.state == RunState::Running {
            deployment.progress.say(&format!("going on with run {}, which was interrupted", left.id));
            return Ok((left.id, Some(claim)));
        }
    }
    let run = Uuid::now_v7().to_string();
    let claim = if asked.trials > 0 { Claim::take(deployment, &run)? } else { None };
    registry.start_run(&NewRun {
        id: &run,
        started_at: deployment::now(),
        dataset_version: version,
        study_hash: &digest,
        seed: asked.seed,
        parameters: &parameters,
    })?;
    Ok((run, claim))
}

fn fit(deployment: &Deployment, asked: Asked, run: &str) -> Result<Trained> {
    let study = deployment.study.as_ref();
    let version = asked.dataset_version;
    let dataset = deployment.lake.version(version)?;
    let threads = deployment.config.threads();
    let task = deployment.progress.task("counting the cohort", None);
    let counted = cohort::count(&deployment.lake, study, version, threads)?;
    drop(task);
    counted.cohort.require_trainable(study)?;
    let preprocessor = Preprocessor::fit(study, &counted.cohort);
    let groups = Groups::of(study, &counted.cohort);
    let prepared = prepare(study, &counted.cohort, &groups, &preprocessor)?;

    let program = std::env::current_exe()
        .context("the program cannot find its own file to start training processes")?;
    let trainer = Trainer::new(program, [WORKER], threads);
    let found = match asked.trials {
        0 => None,
        // A trial trains its folds one after the other, and trials run side by side.
        _ => Some(search::search(deployment, &prepared.training, asked, &trainer, run)?),
    };
    let recipe = recipe(study, asked, found.as_ref());
    let tabulated = prepared.training.score.rows() > 0;
    let trainer = match distributed(deployment, tabulated, recipe.parameters.learner(), asked.workers)? {
        Some(plan) => trainer.distributed(plan),
        None => trainer,
    };
    let fitting = Fitting { deployment, training: &prepared.training, recipe: &recipe, trainer: &trainer };
    let (fitted, imbalance) = fitting.balanced(&counted.cohort, &groups, &preprocessor)?;
    let record = Record {
        dataset_version: version,
        seed: asked.seed,
        parameters: recipe.parameters.clone(),
        search: found,
        training_cases: prepared.weights.iter().map(|(_, cases)| *cases as u64).sum(),
        training_patients: prepared.weights.len(),
        unconfirmed: counted.unconfirmed,
        outside: counted.outside,
        split: counted.split,
        scales: preprocessor.scales().to_vec(),
        columns: preprocessor.encoding().names().into_iter().map(str::to_owned).collect(),
        calibration: fitted.calibration.clone(),
        alarm: fitted.combination.alarm.clone(),
        rounds: fitted.members.iter().map(|member| member.rounds).collect(),
        imbalance,
    };

    let task = deployment.progress.task("tabulating every patient", None);
    let model = package(
        deployment,
        &Parts { preprocessor, fitted, weights: prepared.weights, record: &record, run, seed: asked.seed },
    )?;
    drop(task);
    let (evaluation, report) = measure(deployment, &model, &counted.cohort, &dataset, run)?;
    let gates_hold = promote::judge(deployment, &model, &evaluation)?;
    let model = deployment.registry.model(model.version)?;
    Ok(Trained { model, report, gates_hold, record })
}

/// The training counts in the learner's form.
struct Prepared {
    training: Training,
    /// Training cases per possible patient.
    weights: Vec<(usize, f64)>,
}

fn prepare(study: &Study, cohort: &Cohort, groups: &Groups, preprocessor: &Preprocessor) -> Result<Prepared> {
    let folds = Folds::new(&study.split, study.training.folds);
    let classes = classes(study, groups);
    let disease = |(index, stratum)| disease(groups.of_stratum(index), stratum);
    let diseases = cohort.strata().iter().enumerate().map(disease).collect::<Vec<_>>();
    // Only diseases that the training set has: a profile of nobody would say nothing.
    let mut trained = vec![false; diseases.len()];
    cohort.of_set(study, Set::Train).for_each(|count| trained[count.stratum] = true);
    let mut column_of = vec![0; diseases.len()];
    let mut kept = Vec::new();
    for ((disease, trained), column) in diseases.into_iter().zip(trained).zip(&mut column_of) {
        *column = kept.len();
        kept.extend(disease.filter(|_| trained));
    }
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    for count in cohort.of_set(study, Set::Train) {
        let next = rows.len();
        rows.entry(count.cell).or_insert(next);
    }
    let mut weights: Vec<(usize, f64)> = vec![(0, 0.0); rows.len()];
    let mut counts = vec![Matrix::zeros(rows.len(), kept.len()); folds.count()];
    for count in cohort.of_set(study, Set::Train) {
        let (Some(&row), Some(fold)) = (rows.get(&count.cell), folds.of_slot(count.slot)) else { continue };
        counts[fold].row_mut(row)[column_of[count.stratum]] += count.count as f64;
        weights[row].0 = count.cell;
        weights[row].1 += count.count as f64;
    }
    let seen = || weights.iter().map(|(cell, _)| *cell);
    let possible = 0..tabulated(study, classes.outputs()).unwrap_or(0);
    let training = Training {
        x: encode(study, preprocessor, seen())?,
        levels: levels(study, seen())?,
        axes: study.features().iter().map(axis).collect(),
        folds: counts,
        diseases: kept,
        score: encode(study, preprocessor, possible.clone())?,
        score_levels: levels(study, possible)?,
        classes,
    };
    Ok(Prepared { training, weights })
}

/// How a feature's levels are described in a disease's profile.
fn axis(feature: &Feature) -> Axis {
    match feature.kind {
        Kind::Number { .. } => Axis::Number { levels: feature.dim() },
        Kind::Code(_) | Kind::Category(_) => Axis::Code { levels: feature.dim() },
    }
}

/// A stratum among the model's classes; none when the training set has no case of its group.
fn disease(group: Option<usize>, stratum: &Stratum) -> Option<Disease> {
    Some(Disease { group: group?, orphan: stratum.is_orphan(), code: stratum.disease_code.clone() })
}

fn levels(study: &Study, cells: impl ExactSizeIterator<Item = usize>) -> Result<Matrix<u32>> {
    let (n, features) = (cells.len(), study.features().len());
    let mut data = Vec::with_capacity(n * features);
    for cell in cells {
        data.extend(study.domain().levels(cell).into_iter().map(|level| level as u32));
    }
    Ok(Matrix::from_vec(n, features, data)?)
}

/// How many possible patients a table of this study would hold, where it may have one.
fn tabulated(study: &Study, outputs: usize) -> Option<usize> {
    learn::predict::Table::possible(study.domain().dims(), outputs, study.predictor.table_limit)
}

fn encode(
    study: &Study,
    preprocessor: &Preprocessor,
    cells: impl ExactSizeIterator<Item = usize>,
) -> Result<Matrix<f32>> {
    let (n, width) = (cells.len(), preprocessor.width());
    let mut data = Vec::with_capacity(n * width);
    for cell in cells {
        preprocessor.encode_into(&study.domain().levels(cell), &mut data);
    }
    Ok(Matrix::from_vec(n, width, data)?)
}

/// The groups as the model's classes, in the same order.
fn classes(study: &Study, groups: &Groups) -> Classes {
    let group = |&(severity, orphan): &(Severity, bool)| Group { severity: severity.index(), orphan };
    Classes {
        severities: study.severities().len(),
        healthy: Some(study.healthy().index()),
        groups: groups.pairs().iter().map(group).collect(),
    }
}

/// What a search found, else what the study plans.
fn recipe(study: &Study, asked: Asked, found: Option<&Found>) -> Recipe {
    let plan = || study.parameters(asked.learner.unwrap_or(study.training.learner));
    Recipe {
        parameters: found.map_or_else(plan, |found| found.parameters.clone()),
        few_shot: few_shot(study),
        seed: asked.seed,
        alarm: Rule::Promise {
            recall: study.alarm.recall,
            confidence: study.alarm.confidence,
            aim: study.alarm.aim,
        },
    }
}

/// The few-shot half's plan.
pub fn few_shot(study: &Study) -> FewShotPlan {
    let plan = &study.few_shot;
    let episodes = Episodes {
        ways: plan.ways,
        shots: plan.shots,
        queries: plan.queries,
        episodes: plan.episodes,
        learning_rate: plan.learning_rate,
        seed: 0,
    };
    FewShotPlan {
        episodes: (plan.episodes > 0).then_some(episodes),
        budget: NoveltyBudget { each: plan.false_alarms_each, total: plan.false_alarms, alerts: None },
    }
}

/// What a cross-fit is made of.
struct Fitting<'a> {
    deployment: &'a Deployment,
    training: &'a Training,
    recipe: &'a Recipe,
    trainer: &'a Trainer,
}

impl Fitting<'_> {
    /// Fits with the synthetic cases that the study asks for. Those of the generative network have to prove themselves
    /// against a fit without them.
    fn balanced(
        &self,
        cohort: &Cohort,
        groups: &Groups,
        preprocessor: &Preprocessor,
    ) -> Result<(Fitted, Option<imbalance::Record>)> {
        let study = self.deployment.study.as_ref();
        let folds = Folds::new(&study.split, study.training.folds);
        let resampled = {
            let steps = imbalance::steps(study, folds);
            let task =
                (steps > 0).then(|| self.deployment.progress.task("making synthetic cases", Some(steps)));
            let mut progress = |done| {
                if let Some(task) = &task {
                    task.at(done);
                }
            };
            imbalance::resample(study, cohort, groups, preprocessor, folds, self.recipe.seed, &mut progress)?
        };
        let Some(imbalance::Resampled { members, mut record }) = resampled else {
            return Ok((self.follow(&[])?, None));
        };
        let fitted = self.follow(&members)?;
        record.inflation = fitted.inflation;
        if record.method != Resampling::Gan {
            return Ok((fitted, Some(record)));
        }
        let plain = self.follow(&[])?;
        let precision = |fitted: &Fitted| fitted.unseen_precision(self.training);
        let verdict = judge(trials(&precision(&plain), &precision(&fitted)));
        record.used = verdict.allowed;
        record.guard = Some(verdict);
        Ok((if record.used { fitted } else { plain }, Some(record)))
    }

    /// Fits with the progress of all folds shown as one.
    fn follow(&self, augmented: &[Augmented]) -> Result<Fitted> {
        let folds = self.training.folds.len();
        let total = (folds * self.recipe.parameters.rounds()) as u64;
        let task = self.deployment.progress.task("training", Some(total));
        let mut done = vec![0; folds];
        let mut progress = |progress: Progress| {
            if let Some(fold) = done.get_mut(progress.job) {
                // A fold that stopped early is done with all its rounds.
                *fold = if progress.done { progress.rounds } else { progress.round };
            }
            task.at(done.iter().sum::<usize>() as u64);
            if let Some(loss) = progress.held_out_loss {
                task.note(&format!("(loss {loss:.4})"));
            }
        };
        Ok(crossfit::fit_augmented(self.training, augmented, self.recipe, self.trainer, &mut progress)?)
    }
}

/// How several processes share the rows of one model, where they do: asked for, or configured for
/// studies without a table.
fn distributed(
    deployment: &Deployment,
    tabulated: bool,
    learner: Learner,
    workers: Option<usize>,
) -> Result<Option<Distributed>> {
    if workers.is_some_and(|workers| workers > 1) && learner != Learner::Xgboost {
        bail!(
            "only xgboost trains one model in several processes: leave out --workers, or choose --learner xgboost"
        );
    }
    let plan = &deployment.config.distributed;
    let workers = workers.unwrap_or(if tabulated { 1 } else { plan.workers });
    let plan = Distributed { workers, host: plan.host.clone(), launch: plan.launch.clone() };
    Ok((workers > 1).then_some(plan))
}

struct Parts<'a> {
    preprocessor: Preprocessor,
    fitted: crossfit::Fitted,
    weights: Vec<(usize, f64)>,
    record: &'a Record,
    run: &'a str,
    seed: u64,
}

/// Writes the bundle and registers the candidate.
fn package(deployment: &Deployment, parts: &Parts<'_>) -> Result<Model> {
    let study = deployment.study.as_ref();
    let version = deployment.registry.take_version(parts.run)?;
    let path = format!("models/{version}");
    // A run that was interrupted before may have come this far: its model is the same.
    match deployment.registry.model(version) {
        Ok(model) => return Ok(model),
        Err(registry::Error::UnknownModel(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let folder = deployment.data_dir.join(&path);
    if folder.exists() {
        // Nobody knows of it: the registry learns of a bundle after it is written.
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    let lineage = [
        ("run", parts.run.to_owned()),
        ("seed", parts.seed.to_string()),
        ("learner", parts.fitted.members.first().map(|member| member.engine.clone()).unwrap_or_default()),
    ];
    let digest = model::write(
        &folder,
        &model::Parts {
            version: version.to_string(),
            created_at: deployment::now().format(&Rfc3339)?,
            dataset_version: parts.record.dataset_version,
            lineage: lineage.map(|(name, value)| (name.to_owned(), value)).into(),
            study,
            preprocessor: &parts.preprocessor,
            fitted: &parts.fitted,
            weights: &parts.weights,
            record: &serde_json::to_value(parts.record)?,
            seed: parts.seed,
        },
    )?;
    act(deployment, "trained", |act| {
        let new = NewModel { version, bundle_path: &path, bundle_digest: &digest };
        Ok(deployment.registry.register(&new, act)?)
    })
}

/// Measures on validation with the model as it was written, and keeps the report.
fn measure(
    deployment: &Deployment,
    model: &Model,
    cohort: &Cohort,
    dataset: &DatasetVersion,
    run: &str,
) -> Result<(Evaluation, Value)> {
    let task = deployment.progress.task("evaluating on validation", None);
    let scorer = Scorer::open(deployment, model)?;
    let evaluation = evaluate::evaluate(&scorer, cohort, Set::Validation, dataset)?;
    drop(task);
    let report = serde_json::to_value(&evaluation)?;
    act(deployment, &format!("run {run}"), |act| {
        Ok(deployment.registry.record_evaluation(model.version, &report, act)?)
    })?;
    Ok((evaluation, report))
}
