//! The exact score of a predictor over every possible patient: population values, no sample.

use serde::{Deserialize, Serialize};

use super::{Reference, SIZE};
use crate::{
    cells::require_length,
    error::{Error, Result},
    ranking::by_score,
};

/// The recall at which precision is compared.
const RECALL: f64 = 0.7;

/// A predictor's exact figures beside the best possible ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Share of orphan patients.
    pub orphan_prior: f64,
    pub macro_f1: f64,
    pub macro_f1_best: f64,
    /// Best minus reached.
    pub macro_f1_regret: f64,
    /// F1 of each severity.
    pub f1: [f64; 4],
    pub orphan_ap: f64,
    pub orphan_ap_best: f64,
    pub orphan_ap_regret: f64,
    /// Precision at the first threshold whose recall reaches 0.70.
    pub precision_at_recall_70: f64,
    pub precision_at_recall_70_best: f64,
    /// Share of the patients alarmed there.
    pub alert_rate_at_recall_70: f64,
}

impl Reference {
    /// Scores a predictor. `orphan`: its orphan score, `decided`: the index of the severity that it shows; both one per
    /// possible patient, in the order of cells.
    ///
    /// # Errors
    /// A length other than 154,880, a score that is not finite, a class above 3.
    pub fn score(&self, orphan: &[f64], decided: &[u8]) -> Result<Score> {
        require_length("the orphan scores", orphan, SIZE)?;
        if let Some(cell) = orphan.iter().position(|s| !s.is_finite()) {
            return Err(Error::NotAProbability { cell, what: "the orphan score" });
        }
        let f1 = self.f1(decided)?;
        let macro_f1 = mean(f1);
        let truth = self.population()?;
        let best = truth.best_macro_f1(truth.most_probable()).ok_or_else(damaged)?.0;
        let ranked = |score: &[f64]| {
            let order = by_score(score);
            let precision = truth.average_precision(score, &order)?;
            let (at_recall, alerts) = truth.at_recall(score, &order, RECALL)?;
            Some((precision, at_recall, alerts))
        };
        let (orphan_ap, precision_at_recall_70, alert_rate_at_recall_70) =
            ranked(orphan).ok_or_else(damaged)?;
        let (orphan_ap_best, precision_at_recall_70_best, _) = ranked(truth.orphan()).ok_or_else(damaged)?;
        Ok(Score {
            orphan_prior: truth.orphan_share(),
            macro_f1,
            macro_f1_best: best,
            macro_f1_regret: best - macro_f1,
            f1,
            orphan_ap,
            orphan_ap_best,
            orphan_ap_regret: orphan_ap_best - orphan_ap,
            precision_at_recall_70,
            precision_at_recall_70_best,
            alert_rate_at_recall_70,
        })
    }

    /// Exact macro F1 of a rule that calls each possible patient `decided`, in the order of cells.
    ///
    /// # Errors
    /// A length other than 154,880, a class above 3.
    pub fn macro_f1(&self, decided: &[u8]) -> Result<f64> {
        self.f1(decided).map(mean)
    }

    fn f1(&self, decided: &[u8]) -> Result<[f64; 4]> {
        require_length("the decided severities", decided, SIZE)?;
        if let Some(cell) = decided.iter().position(|&d| d > 3) {
            return Err(Error::NoSuchClass { cell, class: usize::from(decided[cell]) });
        }
        let mut f1 = [0.0; 4];
        for (slot, f) in f1.iter_mut().zip(self.population()?.f1(decided)) {
            *slot = f.ok_or_else(damaged)?;
        }
        Ok(f1)
    }
}

fn mean(f1: [f64; 4]) -> f64 {
    f1.iter().sum::<f64>() / 4.0
}

fn damaged() -> Error {
    Error::Parameters("a class never occurs".to_owned())
}
