//! The limit of the inputs: what the best rule could reach, if a calibrated table of probabilities is the truth.
//!
//! Patients with the same inputs get the same answer whatever the model, so where their true outcomes differ some error
//! stays. A calibrated table says how much. The limit is as good as that calibration: a table that is surer than it
//! should be shows a limit that is too high.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::{Bootstrap, percentile_interval},
    cells::require_length,
    error::{Error, Result},
    figure::{Estimate, Figure},
    population::Population,
};

/// Iterations towards the best rule of a resampled cohort: it starts from the whole cohort's best rule, which is near.
const ROUNDS: usize = 8;

/// The best figures that the inputs allow on a cohort, with 95 % intervals over the drawing of that cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputLimit {
    /// Macro F1 of the best possible rule.
    pub macro_f1: Figure,
    /// Average precision of the best possible orphan score.
    pub orphan_average_precision: Figure,
    /// Share of orphan patients: the average precision without any knowledge.
    pub orphan_base_rate: f64,
    /// The recall that the next two figures are for.
    pub recall: f64,
    /// Best precision of an alarm that finds this share of the orphan patients.
    pub precision_at_recall: Option<f64>,
    pub alerts_per_1000_at_recall: Option<f64>,
}

/// Whether a target can be reached with these inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "inputs", rename_all = "snake_case")]
pub enum Sufficiency {
    /// Even the lower end of the limit's interval reaches the target.
    Sufficient,
    /// The target lies inside the interval, or there is no limit to compare with.
    Unclear { because: String },
    /// The limit, its uncertainty included, lies below the target: no model can reach it on these inputs.
    Insufficient { because: String },
}

impl InputLimit {
    /// Computes the limit of a table over a cohort.
    ///
    /// `counts`: patients of the cohort, one per cell; `severity` (`classes` per cell) and `orphan` (one per cell): the
    /// table's calibrated probabilities, before any alarm changes them. `recall`: the promised orphan recall. Takes a
    /// quarter of the bootstrap's replicates, because each searches for a best rule.
    ///
    /// # Errors
    /// Lengths that do not fit, a cohort without patients, values that are no probabilities.
    pub fn of_table(
        classes: usize,
        counts: &[u64],
        severity: &[f64],
        orphan: &[f64],
        recall: f64,
        bootstrap: &Bootstrap,
    ) -> Result<Self> {
        require_length("the orphan probabilities", orphan, counts.len())?;
        require_length("the severity probabilities", severity, classes * counts.len())?;
        // Cells that nobody has cost time and change nothing.
        let seen: Vec<usize> = (0..counts.len()).filter(|&i| counts[i] > 0).collect();
        let counts: Vec<u64> = seen.iter().map(|&i| counts[i]).collect();
        let severity: Vec<f64> =
            seen.iter().flat_map(|&i| &severity[classes * i..classes * (i + 1)]).copied().collect();
        let orphan: Vec<f64> = seen.iter().map(|&i| orphan[i]).collect();
        let patients = counts.iter().try_fold(0_u64, |sum, &c| sum.checked_add(c)).ok_or(Error::TooMany)?;

        let weight: Vec<f64> = counts.iter().map(|&c| c as f64).collect();
        let cohort = Population::new(classes, &weight, &severity, &orphan)?;
        let order = cohort.best_order();
        let best = cohort.best_macro_f1(cohort.most_probable());
        let precision = cohort.average_precision(&orphan, &order);
        let start = best.as_ref().map_or_else(|| cohort.most_probable(), |b| b.1.clone());
        let fewer = Bootstrap { replicates: bootstrap.replicates.div_ceil(4), ..*bootstrap };
        let drawn = fewer.replicate(&counts, |weight| {
            let cohort = cohort.reweighted(weight);
            let f1 = cohort.best_macro_f1_within(start.clone(), ROUNDS).map(|b| b.0);
            (f1, cohort.average_precision(&orphan, &order))
        })?;
        let figure = |value: Option<f64>, replicates: Vec<Option<f64>>, because: &str| match value {
            None => Figure::undefined(because),
            Some(value) => {
                let (low, high) = percentile_interval(value, &replicates, (0.0, 1.0));
                Figure::Measured(Estimate { value, low, high, n: patients })
            }
        };
        let at_recall = cohort.at_recall(&orphan, &order, recall);
        Ok(Self {
            macro_f1: figure(
                best.map(|b| b.0),
                drawn.iter().map(|d| d.0).collect(),
                "a severity never occurs",
            ),
            orphan_average_precision: figure(
                precision,
                drawn.iter().map(|d| d.1).collect(),
                "no orphan disease occurs",
            ),
            orphan_base_rate: cohort.orphan_share(),
            recall,
            precision_at_recall: at_recall.map(|a| a.0),
            alerts_per_1000_at_recall: at_recall.map(|a| 1000.0 * a.1),
        })
    }

    /// Whether a macro F1 of `target` is within reach.
    #[must_use]
    pub fn macro_f1_within_reach(&self, target: f64) -> Sufficiency {
        match &self.macro_f1 {
            Figure::Undefined { because } => Sufficiency::Unclear { because: because.clone() },
            Figure::Measured(limit) => {
                let Estimate { value, low, high, .. } = limit;
                let because = |verb| {
                    format!(
                        "the best macro F1 that these inputs allow is {value:.3} ({low:.3} to {high:.3}), {verb} the target of {target}"
                    )
                };
                if *low >= target {
                    Sufficiency::Sufficient
                } else if *high < target {
                    Sufficiency::Insufficient { because: because("below") }
                } else {
                    Sufficiency::Unclear { because: because("too close to") }
                }
            }
        }
    }
}
