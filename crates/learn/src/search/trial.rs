//! A trial's record: everything that later trials, the winner's choice and a resumed search need.

use clinical::study::search::{Guide, Search, SearchMetric};
use serde::{Deserialize, Serialize};

use super::score::{self, FoldScore};
use super::space::Point;
use super::tpe::Known;
use crate::{Error, Result};

/// A trial that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// From 0, in the order in which the trials were chosen.
    pub number: usize,
    pub point: Point,
    pub state: State,
    /// The folds that were finished, in order.
    pub folds: Vec<FoldScore>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Every fold was finished.
    Complete,
    /// Given up.
    Pruned(Pruned),
    /// The training failed; the text says why.
    Failed { reason: String },
}

/// Where and why a trial was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pruned {
    /// From 0.
    pub fold: usize,
    /// The round at which it was judged; none after a whole fold.
    pub round: Option<usize>,
    /// Its loss there (the mean of its folds after a whole one).
    pub loss: f64,
    /// What it had to be at most.
    pub bound: f64,
    /// Complete trials that the bound comes from.
    pub of: usize,
}

impl Trial {
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// The metric of all held-out cases together, higher is better (log loss with its sign turned);
    /// none of a trial that is not complete.
    pub fn metric(&self, metric: SearchMetric) -> Option<f64> {
        self.is_complete().then(|| score::metric(metric, self.folds.iter()))
    }

    /// The metric of each finished fold by itself.
    pub fn fold_metrics(&self, metric: SearchMetric) -> Vec<f64> {
        self.folds.iter().map(|fold| score::metric(metric, std::iter::once(fold))).collect()
    }

    /// Mean log loss of all held-out cases; none of a trial that is not complete.
    pub fn log_loss(&self) -> Option<f64> {
        self.is_complete().then(|| score::log_loss(self.folds.iter()))
    }

    /// Rounds of all finished folds.
    pub fn rounds(&self) -> usize {
        self.folds.iter().map(|fold| fold.rounds).sum()
    }

    /// Bytes of all saved models.
    pub fn bytes(&self) -> usize {
        self.folds.iter().map(|fold| fold.bytes).sum()
    }

    /// Mean loss of the first `folds` folds, where it has them.
    pub(super) fn loss_of(&self, folds: usize) -> Option<f64> {
        self.folds.get(..folds).map(|folds| score::log_loss(folds.iter()))
    }

    /// The trial as a resumed search reads it: JSON may give a number back with another last bit, and
    /// a search that goes on must decide as the uninterrupted one did.
    pub(super) fn read_back(&self) -> Result<Trial> {
        let text = serde_json::to_string(self);
        text.and_then(|text| serde_json::from_str(&text)).map_err(|error| Error::malformed("a trial", error))
    }

    /// What the sampler learns of it.
    pub(super) fn known(&self, search: &Search) -> Known {
        let metric = match search.guide {
            Guide::LogLoss => SearchMetric::LogLoss,
            Guide::Metric => search.metric,
        };
        match (&self.state, self.metric(metric)) {
            (State::Pruned(pruned), _) => Known::Pruned { folds: pruned.fold, loss: pruned.loss },
            (_, Some(value)) => Known::Complete(-value),
            _ => Known::Nothing,
        }
    }
}

impl Pruned {
    /// Why, in words.
    pub fn reason(&self) -> String {
        let place = match self.round {
            Some(round) => format!("fold {}, round {round}", self.fold + 1),
            None => format!("after fold {}", self.fold + 1),
        };
        format!("{place}: loss {:.5} above {:.5} of {} complete trials", self.loss, self.bound, self.of)
    }
}
