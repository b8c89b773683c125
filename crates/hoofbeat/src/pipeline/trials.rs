//! Trials of a search as they are listed: in a table for people, as JSON, best first.

use std::collections::BTreeMap;

use anyhow::Result;
use clinical::study::Learner;
use clinical::study::search::Value;
use learn::search::standard_error;
use registry::TrialState;
use serde::Serialize;

use super::search::{Found, Kept, point_text};
use crate::deployment::Deployment;
use crate::output;

/// A trial that was kept.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    pub number: u64,
    pub state: TrialState,
    pub learner: Learner,
    pub settings: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shared: BTreeMap<String, Value>,
    /// Higher is better; a log loss has its sign turned.
    pub metric: Option<f64>,
    /// Of the metric, over the folds.
    pub standard_error: Option<f64>,
    pub log_loss: Option<f64>,
    /// Of the finished folds together.
    pub rounds: u64,
    pub seconds: f64,
    /// Why it was given up or failed.
    pub reason: Option<String>,
    #[serde(skip)]
    text: String,
}

/// The kept trials of a run, in the order in which they were chosen; none of a run without a search.
pub fn trials(deployment: &Deployment, run: &str) -> Result<Vec<Listed>> {
    let list = |trial: registry::Trial| {
        let kept = Kept::read(&trial, run)?;
        let point = kept.trial.point;
        Ok(Listed {
            text: point_text(&point),
            number: trial.number,
            state: trial.state,
            learner: point.learner,
            settings: point.settings,
            shared: point.shared,
            standard_error: trial.metric.map(|_| standard_error(&kept.fold_metrics)),
            metric: trial.metric,
            log_loss: trial.log_loss,
            rounds: trial.rounds,
            seconds: trial.seconds,
            reason: trial.reason,
        })
    };
    deployment.registry.trials(run)?.into_iter().map(list).collect()
}

/// The complete trials, highest metric first.
pub fn best(trials: Vec<Listed>) -> Vec<Listed> {
    let mut complete: Vec<Listed> =
        trials.into_iter().filter(|trial| trial.state == TrialState::Complete).collect();
    let metric = |trial: &Listed| trial.metric.unwrap_or(f64::NEG_INFINITY);
    complete.sort_by(|a, b| metric(b).total_cmp(&metric(a)));
    complete
}

/// One line per trial.
pub fn table(trials: &[Listed]) -> String {
    let head = ["trial", "state", "metric", "+-", "log loss", "rounds", "s", "settings"].map(str::to_owned);
    let digits = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
    let rows = trials.iter().map(|trial| {
        let state = match trial.state {
            TrialState::Complete => "complete",
            TrialState::Pruned => "given up",
            TrialState::Failed => "failed",
        };
        let why = trial.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        vec![
            trial.number.to_string(),
            state.to_owned(),
            digits(trial.metric.map(f64::abs)),
            digits(trial.standard_error),
            digits(trial.log_loss),
            trial.rounds.to_string(),
            format!("{:.1}", trial.seconds),
            format!("{}{why}", trial.text),
        ]
    });
    output::table(&std::iter::once(head.to_vec()).chain(rows).collect::<Vec<_>>())
}

/// What a search found, in a few lines.
pub fn found_text(found: &Found) -> String {
    let winner = &found.winner;
    let plans: Vec<String> =
        found.plans.iter().map(|(learner, metric)| format!("{learner} {:.4}", metric.abs())).collect();
    let plans = match plans.is_empty() {
        true => String::new(),
        false => format!("\n  the study's own settings: {}", plans.join(", ")),
    };
    format!(
        "searched {} trials: {} complete, {} given up, {} failed{}\n  winner: trial {}, {} {:.4} +- {:.4}, log loss {:.5}{}{plans}\n",
        found.trials,
        found.complete,
        found.given_up,
        found.failed,
        match found.resumed {
            0 => String::new(),
            resumed => format!("; {resumed} of them were there from an interrupted run"),
        },
        winner.number,
        found.metric.name(),
        winner.metric.abs(),
        found.standard_error,
        winner.log_loss,
        match winner.tied.len() {
            1 => String::new(),
            tied => format!(" (the steadiest of {tied} that cannot be told from the best)"),
        },
    )
}
