//! Alarms of new orphan diseases, each with a budget of false alarms.
//!
//! The gate does not know a disease that was first seen after training, and one case is no positive to
//! choose a threshold from. Negatives are plenty: the alarm of a new disease j stands where a share of
//! the common and healthy cases has a margin r_j that high, whatever the disease looks like.

use serde::{Deserialize, Serialize};

use crate::{Error, Matrix, Result};

/// How many false alarms the alarms of new diseases may raise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoveltyBudget {
    /// Share of the common and healthy patients that one new disease may alarm.
    pub each: f64,
    /// Share of them that all together may alarm.
    pub total: f64,
    /// Share of all patients that may be alarmed by anything, what alarms already included; new diseases get what
    /// the others leave. None: no such limit.
    pub alerts: Option<f64>,
}

impl Default for NoveltyBudget {
    fn default() -> Self {
        NoveltyBudget { each: 0.005, total: 0.02, alerts: None }
    }
}

/// Patients by whom a budget is measured, one entry per row of the margins: the training cohort's counts.
#[derive(Debug, Clone, Copy)]
pub struct Population<'a> {
    /// Common and healthy cases.
    pub negatives: &'a [f64],
    /// All cases.
    pub everyone: &'a [f64],
    /// Whether something alarms the patient already: the gate, the open set.
    pub alarmed: &'a [bool],
}

/// The alarms of the new diseases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoveltyAlarm {
    /// Of each new disease: a patient is alarmed when its margin is at least this. None: the budget allows no alarm.
    pub thresholds: Vec<Option<f64>>,
    /// Share of the common and healthy patients that each may alarm, after all limits.
    pub each: f64,
    /// Share of them that any of them alarms.
    pub false_alarms: f64,
}

impl NoveltyBudget {
    /// # Errors
    /// When a share is not between 0 and 1.
    pub fn check(&self) -> Result<()> {
        let share = |share: f64| (0.0..=1.0).contains(&share);
        match share(self.each) && share(self.total) && self.alerts.is_none_or(share) {
            true => Ok(()),
            false => Err(Error::Invalid("the shares of a budget of false alarms lie between 0 and 1".into())),
        }
    }

    /// The alarms for the margins of the new diseases (`n x new diseases`): one share of false alarms for all, the
    /// largest that keeps every limit. A threshold is a negative's own margin, so that a new
    /// negative reaches it with at most that probability (a conformal rank).
    ///
    /// # Errors
    /// When a share is out of range or the shapes do not fit.
    pub fn fit(&self, novelty: &Matrix<f64>, population: &Population<'_>) -> Result<NoveltyAlarm> {
        self.check()?;
        let n = novelty.rows();
        let lengths = [population.negatives.len(), population.everyone.len(), population.alarmed.len()];
        if lengths != [n; 3] {
            return Err(Error::shape("patients of a budget", n, format!("{lengths:?}")));
        }
        let mut tails = Vec::with_capacity(novelty.columns());
        for disease in 0..novelty.columns() {
            tails.push(Tail::of(novelty, disease, population.negatives));
        }
        // The share at which a row is first alarmed by any disease.
        let mut first: Vec<(f64, usize)> = Vec::new();
        for row in (0..n).filter(|&row| population.everyone[row] > 0.0) {
            let shares = tails.iter().zip(novelty.row(row)).map(|(tail, &margin)| tail.share(margin));
            first.push((shares.fold(f64::INFINITY, f64::min), row));
        }
        first.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (each, false_alarms) = self.largest_share(&first, population);
        let thresholds = tails.iter().map(|tail| tail.threshold(each)).collect();
        Ok(NoveltyAlarm { thresholds, each, false_alarms })
    }

    /// The largest share within the limits, and the share of the negatives that it alarms in all.
    fn largest_share(&self, first: &[(f64, usize)], population: &Population<'_>) -> (f64, f64) {
        let negatives: f64 = population.negatives.iter().sum();
        let everyone: f64 = population.everyone.iter().sum();
        let already = population.everyone.iter().zip(population.alarmed).filter(|(_, alarmed)| **alarmed);
        let mut alarmed: f64 = already.map(|(count, _)| count).sum();
        let mut false_alarms = 0.0;
        let (mut share, mut reached) = (0.0, 0.0);
        for together in first.chunk_by(|a, b| a.0 == b.0) {
            for &(_, row) in together {
                false_alarms += population.negatives[row];
                if !population.alarmed[row] {
                    alarmed += population.everyone[row];
                }
            }
            let within = together.first().is_some_and(|(share, _)| *share <= self.each)
                && false_alarms <= self.total * negatives
                && self.alerts.is_none_or(|alerts| alarmed <= alerts * everyone);
            if !within {
                // The next row is too much: all shares short of it are not.
                let next = together.first().map_or(self.each, |(share, _)| share.next_down());
                return (next.clamp(share, self.each.max(share)), reached);
            }
            share = together.first().map_or(share, |(share, _)| *share);
            reached = if negatives > 0.0 { false_alarms / negatives } else { 0.0 };
        }
        (self.each.max(share), reached)
    }
}

impl NoveltyAlarm {
    /// Without a new disease there is nothing to alarm.
    pub fn none() -> NoveltyAlarm {
        NoveltyAlarm { thresholds: Vec::new(), each: 0.0, false_alarms: 0.0 }
    }

    /// Whether any new disease alarms a patient with these margins (a row of the matrix).
    pub fn raised(&self, margins: &[f64]) -> bool {
        let mut pairs = margins.iter().zip(&self.thresholds);
        pairs.any(|(margin, threshold)| threshold.is_some_and(|threshold| *margin >= threshold))
    }
}

/// The negatives' margins of one disease.
struct Tail {
    /// (margin, negatives at least that high), descending by margin.
    steps: Vec<(f64, f64)>,
    negatives: f64,
}

impl Tail {
    fn of(novelty: &Matrix<f64>, disease: usize, negatives: &[f64]) -> Tail {
        let margins = novelty.iter_rows().zip(negatives).filter(|(_, count)| **count > 0.0);
        let mut steps: Vec<(f64, f64)> = margins.map(|(row, &count)| (row[disease], count)).collect();
        steps.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut sum = 0.0;
        for (_, count) in &mut steps {
            sum += *count;
            *count = sum;
        }
        // Equal margins are alarmed together: the last of them has counted all.
        steps.reverse();
        steps.dedup_by_key(|step| step.0);
        steps.reverse();
        Tail { steps, negatives: sum }
    }

    /// Probability, at most, that a new negative reaches the highest threshold that alarms `margin`.
    fn share(&self, margin: f64) -> f64 {
        // The first negative's margin that is not higher is that threshold.
        let at = self.steps.partition_point(|&(step, _)| step > margin);
        self.steps.get(at).map_or(1.0, |&(_, beyond)| beyond / (self.negatives + 1.0))
    }

    /// The lowest threshold that a new negative reaches with at most probability `share`.
    fn threshold(&self, share: f64) -> Option<f64> {
        let within = self.steps.partition_point(|&(_, beyond)| beyond / (self.negatives + 1.0) <= share);
        within.checked_sub(1).and_then(|last| self.steps.get(last)).map(|&(margin, _)| margin)
    }
}
