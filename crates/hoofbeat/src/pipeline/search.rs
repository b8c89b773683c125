//! Search: trials of learners and settings inside the training set, each kept in the registry as it ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clinical::study::{Learner, Parameters, Resampling};
use learn::augment::Augmented;
use learn::crossfit::Training;
use learn::learner::Trainer;
use learn::search::{self, CrossValidation, Event, Plan, Point, Space, State, Trial, Winner, standard_error};
use registry::{NewTrial, TrialState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asked::Asked;
use crate::deployment::Deployment;
use crate::progress::Task;

/// A finished search, kept with its run.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    pub metric: clinical::study::search::SearchMetric,
    pub trials: usize,
    pub complete: usize,
    pub given_up: usize,
    pub failed: usize,
    /// Trials that an interrupted run had left.
    pub resumed: usize,
    pub winner: Winner,
    /// Standard error of the winner's metric over its folds.
    pub standard_error: f64,
    pub parameters: Parameters,
    pub resampling: Resampling,
    /// The metric of the study's own settings of each learner, where their trial was complete.
    pub plans: BTreeMap<&'static str, f64>,
}

/// Searches; goes on where an interrupted search of the same run stopped. Without a run nothing is kept.
pub fn search(
    deployment: &Deployment,
    training: &Training,
    resampled: &BTreeMap<Resampling, Vec<Augmented>>,
    asked: Asked,
    trainer: &Trainer,
    run: Option<&str>,
) -> Result<Found> {
    let study = deployment.study.as_ref();
    let space = Space::of_study(study, asked.learner)?;
    let plans = space.plans(study);
    let past = run.map(|run| past(deployment, run)).transpose()?.unwrap_or_default();
    let resumed = past.len();
    let (started, budget) = (Instant::now(), study.search.time_budget_s.map(Duration::from_secs));
    let go_on = || budget.is_none_or(|budget| started.elapsed() < budget);
    let mut show = Show::new(deployment, asked.trials, &past);
    let trials = {
        let plan = Plan {
            space: &space,
            search: &study.search,
            first: plans.clone(),
            trials: asked.trials,
            seed: asked.seed,
            workers: deployment.config.threads(),
        };
        let objective = CrossValidation::new(study, training, resampled, asked.seed, trainer);
        search::run::<anyhow::Error>(&plan, &objective, past, &go_on, &mut |event| {
            let seconds = show.event(event);
            match (event, run) {
                (Event::Ended(trial), Some(run)) => keep(deployment, run, trial, seconds),
                _ => Ok(()),
            }
        })?
    };
    drop(show);
    let Some(winner) = search::winner(&trials, &study.search) else { bail!("{}", nothing_complete(&trials)) };
    let chosen =
        trials.iter().find(|trial| trial.number == winner.number).context("the winner is missing")?;
    let count = |is: fn(&State) -> bool| trials.iter().filter(|trial| is(&trial.state)).count();
    let planned = plans.iter().zip(&trials);
    Ok(Found {
        metric: study.search.metric,
        trials: trials.len(),
        complete: count(|state| matches!(state, State::Complete)),
        given_up: count(|state| matches!(state, State::Pruned(_))),
        failed: count(|state| matches!(state, State::Failed { .. })),
        resumed,
        standard_error: standard_error(&chosen.fold_metrics(study.search.metric)),
        parameters: CrossValidation::parameters(study, &chosen.point)?,
        resampling: chosen.point.resampling(study),
        plans: planned
            .filter_map(|(plan, trial)| Some((plan.learner.name(), trial.metric(study.search.metric)?)))
            .collect(),
        winner,
    })
}

/// What the registry keeps of a trial beyond its result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The metric of each finished fold by itself.
    pub(super) fold_metrics: Vec<f64>,
    pub(super) trial: Trial,
}

impl Kept {
    pub(super) fn read(kept: &registry::Trial, run: &str) -> Result<Kept> {
        serde_json::from_value(kept.record.clone())
            .with_context(|| format!("trial {} of run {run} cannot be read", kept.number))
    }
}

/// The trials that an interrupted search has left.
fn past(deployment: &Deployment, run: &str) -> Result<Vec<Trial>> {
    deployment.registry.trials(run)?.iter().map(|kept| Ok(Kept::read(kept, run)?.trial)).collect()
}

fn keep(deployment: &Deployment, run: &str, trial: &Trial, seconds: f64) -> Result<()> {
    let (state, reason) = match &trial.state {
        State::Complete => (TrialState::Complete, None),
        State::Pruned(pruned) => (TrialState::Pruned, Some(pruned.reason())),
        State::Failed { reason } => (TrialState::Failed, Some(reason.clone())),
    };
    let metric = deployment.study.search.metric;
    let kept = Kept { fold_metrics: trial.fold_metrics(metric), trial: trial.clone() };
    let new = NewTrial {
        run,
        number: trial.number as u64,
        state,
        parameters: &serde_json::to_value(&trial.point)?,
        metric: trial.metric(metric),
        log_loss: trial.log_loss(),
        rounds: trial.rounds() as u64,
        seconds,
        reason: reason.as_deref(),
        record: &serde_json::to_value(kept)?,
    };
    Ok(deployment.registry.record_trial(&new, deployment.now())?)
}

/// Why there is no winner.
fn nothing_complete(trials: &[Trial]) -> String {
    let failed = trials.iter().rev().find_map(|trial| match &trial.state {
        State::Failed { reason } => Some(format!("trial {} failed: {reason}", trial.number)),
        _ => None,
    });
    format!("no trial of the search was complete{}", failed.map(|why| format!("; {why}")).unwrap_or_default())
}

/// What is shown while the search goes on.
struct Show<'a> {
    deployment: &'a Deployment,
    task: Task,
    trials: usize,
    ended: u64,
    /// The highest metric so far and its trial.
    best: Option<(f64, usize)>,
    started: BTreeMap<usize, Instant>,
}

impl<'a> Show<'a> {
    fn new(deployment: &'a Deployment, trials: usize, past: &[Trial]) -> Show<'a> {
        let task = deployment.progress.task("searching", Some(trials as u64));
        let mut show = Show { deployment, task, trials, ended: 0, best: None, started: BTreeMap::new() };
        past.iter().for_each(|trial| show.count(trial));
        if !past.is_empty() {
            show.task.say(&format!("{} of {trials} trials are there already", past.len()));
        }
        show
    }

    /// Shows an event; answers the seconds that a trial took which ended.
    fn event(&mut self, event: Event<'_>) -> f64 {
        match event {
            Event::Started { number, .. } => {
                self.started.insert(number, Instant::now());
                0.0
            }
            Event::Round { .. } => {
                self.task.at(self.ended);
                0.0
            }
            Event::Ended(trial) => {
                let seconds =
                    self.started.remove(&trial.number).map_or(0.0, |start| start.elapsed().as_secs_f64());
                self.count(trial);
                self.task.say(&format!("{} ({seconds:.1} s){}", self.line(trial), self.best_text()));
                seconds
            }
        }
    }

    fn count(&mut self, trial: &Trial) {
        self.ended += 1;
        self.task.at(self.ended);
        if let Some(metric) = trial.metric(self.deployment.study.search.metric)
            && self.best.is_none_or(|(best, _)| metric > best)
        {
            self.best = Some((metric, trial.number));
        }
        self.task.note(&self.best_text());
    }

    fn best_text(&self) -> String {
        self.best
            .map(|(metric, number)| format!(" best {:.4} (trial {number})", metric.abs()))
            .unwrap_or_default()
    }

    fn line(&self, trial: &Trial) -> String {
        let metric = self.deployment.study.search.metric;
        let result = match (&trial.state, trial.metric(metric), trial.log_loss()) {
            (State::Pruned(pruned), ..) => format!("given up, {}", pruned.reason()),
            (State::Failed { reason }, ..) => format!("failed, {reason}"),
            (_, Some(value), Some(loss)) => {
                let error = standard_error(&trial.fold_metrics(metric));
                format!("{:.4} +- {error:.4}, log loss {loss:.5}, {} rounds", value.abs(), trial.rounds())
            }
            _ => String::new(),
        };
        format!("trial {} of {}: {}: {result}", trial.number, self.trials, point_text(&trial.point))
    }
}

/// A point in one line.
pub fn point_text(point: &Point) -> String {
    let values = point.settings.iter().chain(&point.shared).map(|(name, value)| format!("{name} {value}"));
    std::iter::once(point.learner.name().to_owned()).chain(values).collect::<Vec<_>>().join(" ")
}

/// What decides a search, as the run records it: the same request finds its interrupted run by it.
pub fn request(deployment: &Deployment, asked: Asked) -> Value {
    let study = deployment.study.as_ref();
    json!({
        "learner": asked.learner.map_or("auto", Learner::name),
        "trials": asked.trials,
        "search": study.search,
        "program": env!("CARGO_PKG_VERSION"),
    })
}
