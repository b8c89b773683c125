//! Train: a pinned dataset version -> a registered candidate with its bundle, measured on validation.

mod continued;
mod fitting;
mod prepared;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clinical::Study;
use clinical::study::{Parameters, Resampling};
use learn::augment::Augmented;
use learn::bundle::Bundle;
use learn::learner::Trainer;
use learn::notes::NoteModel;
use learn::{crossfit, model};
use prepare::{Cohort, Set, SplitReport};
use registry::{Model, ModelVersion, NewModel, NewRun, RunState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use self::continued::Parent;
pub(super) use self::continued::order as continue_from;
use self::fitting::Fitting;
pub use self::fitting::few_shot;
use self::prepared::Prepared;
use super::asked::Asked;
use super::claim::Claim;
use super::evaluate::Evaluation;
use super::promote::act;
use super::score::Scorer;
use super::search::Found;
use super::{evaluate, imbalance, notes, promote, search};
use crate::deployment::Deployment;

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
    /// The search that found the settings, where one was asked for.
    pub search: Option<Found>,
}

/// What decides a model, besides the study. The bundle keeps it, so that the same model can be made again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub dataset_version: u64,
    pub seed: u64,
    /// The learner and its settings. Their numbers have at most fifteen digits, so that JSON gives them back.
    pub parameters: Parameters,
    /// How synthetic cases are made.
    pub resampling: Resampling,
    /// Codes of the orphan diseases that the model before watched: they keep an alarm of their own until the gate finds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<String>,
    /// The model that the training went on from; none of one that began at nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continued: Option<Continued>,
}

/// Where a continued training began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continued {
    pub parent: ModelVersion,
    /// The dataset version that the parent's members were trained on.
    pub known: u64,
    /// What a case of it counts.
    pub replay: f64,
}

/// What the run says of itself, kept with the run and in the bundle.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    #[serde(flatten)]
    pub order: Order,
    /// Digest of the counted cases: the same version of the same dataset always has the same.
    pub cohort: String,
    pub training_cases: u64,
    pub training_patients: usize,
    pub unconfirmed: u64,
    pub outside: u64,
    pub split: SplitReport,
    pub scales: Vec<prepare::Scale>,
    pub columns: Vec<String>,
    pub calibration: learn::crossfit::Calibration,
    pub alarm: learn::alarm::Alarm,
    /// None where the study wants everybody answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstention: Option<learn::abstain::Abstention>,
    pub rounds: Vec<usize>,
    /// What notes said beside the structured values, where the study asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<learn::notes::NoteReport>,
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
            let figures = json!({ "gates_hold": trained.gates_hold, "training": trained.record, "search": trained.search });
            deployment.registry.finish_run(&run, deployment.now(), &figures)?;
            Ok(trained)
        }
        Err(error) => {
            deployment.registry.fail_run(&run, deployment.now(), &format!("{error:#}"))?;
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
        deployment
            .progress
            .say(&format!("run {} makes this search: seeing whether its process lives", left.id));
        let Some(claim) = Claim::wait(deployment, &left.id)? else {
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
        started_at: deployment.now(),
        dataset_version: version,
        study_hash: &digest,
        seed: asked.seed,
        parameters: &parameters,
    })?;
    Ok((run, claim))
}

fn fit(deployment: &Deployment, asked: Asked, run: &str) -> Result<Trained> {
    let (made, search) = make_asked(deployment, asked, Some(run))?;
    let model = register(deployment, &deployment.study, &made, run)?;
    let (evaluation, report) = measure(deployment, &model, &made, run)?;
    let gates_hold = promote::judge(deployment, &model, &evaluation)?;
    let model = deployment.registry.model(model.version)?;
    Ok(Trained { model, report, gates_hold, record: made.record, search })
}

/// Counts the dataset version, searches for settings where trials are asked for, and fits by what it found. Registers no
/// model; `run` keeps the trials.
pub(super) fn make_asked(
    deployment: &Deployment,
    asked: Asked,
    run: Option<&str>,
) -> Result<(Made, Option<Found>)> {
    let study = deployment.study.as_ref();
    let prepared = Prepared::of(deployment, study, asked.dataset_version, None)?;
    let search = match asked.trials {
        0 => None,
        // A trial trains its folds one after the other, and trials run side by side.
        _ => {
            let resampled = choices(deployment, &prepared, asked.seed)?;
            let trainer = trainer(deployment)?;
            Some(search::search(deployment, &prepared.training, &resampled, asked, &trainer, run)?)
        }
    };
    let planned = || study.parameters(asked.learner.unwrap_or(study.training.learner));
    let parameters = search.as_ref().map_or_else(planned, |found| found.parameters.clone());
    let resampling = search.as_ref().map_or(study.imbalance.method, |found| found.resampling);
    let order = Order {
        dataset_version: asked.dataset_version,
        seed: asked.seed,
        parameters,
        resampling,
        watched: Vec::new(),
        continued: None,
    };
    Ok((fitted(deployment, study, prepared, &order, asked.workers, None)?, search))
}

/// The synthetic cases that a search chooses between.
fn choices(
    deployment: &Deployment,
    prepared: &Prepared,
    seed: u64,
) -> Result<BTreeMap<Resampling, Vec<Augmented>>> {
    let study = deployment.study.as_ref();
    let methods = match study.search.resampling.as_slice() {
        [] => std::slice::from_ref(&study.imbalance.method),
        chosen => chosen,
    };
    let mut made = BTreeMap::new();
    for &method in methods {
        if let Some(resampled) = fitting::resampled(deployment, study, prepared, method, seed)? {
            made.insert(method, resampled.members);
        }
    }
    Ok(made)
}

/// A fitted model, and all that its bundle is written from.
#[derive(Debug)]
pub struct Made {
    prepared: Prepared,
    fitted: crossfit::Fitted,
    notes: Option<NoteModel>,
    pub record: Record,
}

impl Made {
    /// The counted cases of all three sets.
    pub fn cohort(&self) -> &Cohort {
        &self.prepared.counted.cohort
    }

    pub fn into_cohort(self) -> Cohort {
        self.prepared.counted.cohort
    }
}

/// What a trained model's members were made by, as its bundle says. A revision has its parent's members.
pub fn order_of(bundle: &Bundle) -> Result<Order> {
    let report: Value = bundle.json(learn::bundle::files::REPORT)?;
    serde_json::from_value(report["training"].clone())
        .context("the bundle does not say what the model was made from")
}

/// Codes of the orphan diseases that a model watches: what a training in its place has to go on watching.
pub fn watched(bundle: &Bundle) -> Result<Vec<String>> {
    Ok(model::half(bundle)?.watched())
}

/// Counts the dataset version and fits: everything that decides a model's content. Registers nothing.
pub fn make(deployment: &Deployment, study: &Study, order: &Order) -> Result<Made> {
    let parent = order.continued.as_ref().map(|from| Parent::open(deployment, from)).transpose()?;
    let preprocessor = parent.as_ref().map(Parent::preprocessor).transpose()?;
    let prepared = Prepared::of(deployment, study, order.dataset_version, preprocessor)?;
    fitted(deployment, study, prepared, order, None, parent.as_ref())
}

fn fitted(
    deployment: &Deployment,
    study: &Study,
    prepared: Prepared,
    order: &Order,
    workers: Option<usize>,
    parent: Option<&Parent<'_>>,
) -> Result<Made> {
    let recipe = fitting::recipe(study, order);
    let trainer = trainer(deployment)?;
    let learner = order.parameters.learner();
    let trainer = match fitting::distributed(deployment, prepared.tabulated(), learner, workers)? {
        Some(plan) => trainer.distributed(plan),
        None => trainer,
    };
    let fitting = Fitting {
        deployment,
        study,
        prepared: &prepared,
        recipe: &recipe,
        resampling: order.resampling,
        trainer: &trainer,
    };
    let (fitted, imbalance) = match parent {
        Some(parent) => (parent.go_on(&fitting)?, None),
        None => fitting.balanced()?,
    };
    let Prepared { dataset, counted, preprocessor, weights, .. } = &prepared;
    let notes = notes::fit(&deployment.lake, study, dataset.version, &fitted, weights)?;
    let record = Record {
        order: order.clone(),
        cohort: counted.cohort.digest(),
        training_cases: weights.iter().map(|(_, cases)| *cases as u64).sum(),
        training_patients: weights.len(),
        unconfirmed: counted.unconfirmed,
        outside: counted.outside,
        split: counted.split.clone(),
        scales: preprocessor.scales().to_vec(),
        columns: preprocessor.encoding().names().into_iter().map(str::to_owned).collect(),
        calibration: fitted.calibration.clone(),
        alarm: fitted.combination.alarm.clone(),
        abstention: fitted.combination.abstention,
        rounds: fitted.members.iter().map(|member| member.rounds).collect(),
        notes: notes.as_ref().map(|notes| notes.report.clone()),
        imbalance,
    };
    Ok(Made { prepared, fitted, notes, record })
}

/// Training in processes of this program.
fn trainer(deployment: &Deployment) -> Result<Trainer> {
    let program = std::env::current_exe()
        .context("the program cannot find its own file to start training processes")?;
    Ok(Trainer::new(program, [WORKER], deployment.config.threads()))
}

/// What tells one making of a model from another; nothing else in a bundle depends on when or where it was made.
#[derive(Debug, Clone)]
pub struct Identity {
    pub version: String,
    /// RFC 3339.
    pub created_at: String,
    pub run: String,
}

/// Writes a bundle to `folder`, which must not exist; answers its digest.
pub fn write(folder: &Path, study: &Study, made: &Made, identity: &Identity) -> Result<String> {
    Ok(bundle(study, made, identity)?.write(folder)?)
}

/// A fitted model's bundle, in no folder yet.
pub fn bundle(study: &Study, made: &Made, identity: &Identity) -> Result<Bundle> {
    let order = &made.record.order;
    let mut lineage: BTreeMap<String, String> = [
        ("run", identity.run.clone()),
        ("seed", order.seed.to_string()),
        ("learner", made.fitted.members.first().map(|member| member.engine.clone()).unwrap_or_default()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if let Some(from) = &order.continued {
        let parent = [("mode", "incremental".to_owned()), ("parent", from.parent.to_string())];
        lineage.extend(parent.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(model::bundle(&model::Parts {
        version: identity.version.clone(),
        created_at: identity.created_at.clone(),
        dataset_version: order.dataset_version,
        lineage,
        study,
        preprocessor: &made.prepared.preprocessor,
        fitted: &made.fitted,
        notes: made.notes.as_ref(),
        weights: &made.prepared.weights,
        record: &serde_json::to_value(&made.record)?,
        seed: order.seed,
    })?)
}

/// Writes the bundle under the next version and registers the candidate.
fn register(deployment: &Deployment, study: &Study, made: &Made, run: &str) -> Result<Model> {
    let task = deployment.progress.task("tabulating every patient", None);
    let version = deployment.registry.take_version(run)?;
    // A run that was interrupted before may have come this far: its model is the same.
    match deployment.registry.model(version) {
        Ok(model) => return Ok(model),
        Err(registry::Error::UnknownModel(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let path = free_path(deployment, version);
    let identity = Identity {
        version: version.to_string(),
        created_at: deployment.now().format(&Rfc3339)?,
        run: run.to_owned(),
    };
    let digest = write(&deployment.data_dir.join(&path), study, made, &identity)?;
    drop(task);
    act(deployment, "trained", |act| {
        let new = NewModel { version, bundle_path: &path, bundle_digest: &digest };
        Ok(deployment.registry.register(&new, act)?)
    })
}

/// Where a model's bundle goes. A folder that is there already was left by the run's earlier process, which may not be as
/// dead as it seems: it stays.
fn free_path(deployment: &Deployment, version: ModelVersion) -> String {
    let mut path = format!("models/{version}");
    let mut others = 2..;
    while deployment.data_dir.join(&path).exists() {
        path = format!("models/{version}-{}", others.next().unwrap_or_default());
    }
    path
}

/// Measures on validation with the model as it was written, and keeps the report.
fn measure(deployment: &Deployment, model: &Model, made: &Made, run: &str) -> Result<(Evaluation, Value)> {
    let task = deployment.progress.task("evaluating on validation", None);
    let scorer = Scorer::open(deployment, model)?;
    let (judge, dataset) = (deployment.study_in_force(scorer.study())?, &made.prepared.dataset);
    let mut evaluation = evaluate::evaluate(&scorer, made.cohort(), Set::Validation, dataset, &judge)?;
    evaluation.notes = notes::measure(&deployment.lake, &scorer, dataset.version, Set::Validation)?;
    drop(task);
    let report = serde_json::to_value(&evaluation)?;
    act(deployment, &format!("run {run}"), |act| {
        Ok(deployment.registry.record_evaluation(model.version, &report, act)?)
    })?;
    Ok((evaluation, report))
}
