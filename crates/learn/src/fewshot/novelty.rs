//! Alarms of new orphan diseases, each with a budget of false alarms.
//!
//! The gate does not know a disease that was first seen after training, and one case is no positive to
//! choose a threshold from. Negatives are plenty: the alarm of a new disease j stands where a share of
//! the common and healthy cases has a margin r_j that high, whatever the disease looks like. Those whom the gate alarms are
//! not counted: nobody is called twice.

use serde::{Deserialize, Serialize};

use crate::probability::limit;
use crate::{Error, Matrix, Result};

/// How many false alarms the alarms of new diseases may raise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoveltyBudget {
    /// Share of the common and healthy patients whom nothing alarms yet that one new disease may alarm.
    pub each: f64,
    /// Share of them that all together may alarm.
    pub total: f64,
    /// Share of all patients that may be alarmed by anything, what alarms already included; new diseases get what
    /// the others leave. None: no such limit.
    pub alerts: Option<f64>,
}

impl Default for NoveltyBudget {
    fn default() -> Self {
        NoveltyBudget { each: 0.0045, total: 0.02, alerts: None }
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
    /// Share of the common and healthy patients whom nothing else alarms that each may alarm, after all limits.
    pub each: f64,
    /// Share of them that any of the diseases alarms.
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
        // Who is alarmed already costs nothing more.
        let pairs = population.negatives.iter().zip(population.alarmed);
        let negatives: Vec<f64> = pairs.map(|(&count, &alarmed)| if alarmed { 0.0 } else { count }).collect();
        let population = Population { negatives: &negatives, ..*population };
        let tails: Vec<Tail> =
            (0..novelty.columns()).map(|disease| Tail::of(novelty, disease, &negatives)).collect();
        // The share at which a row is first alarmed by any disease.
        let mut first: Vec<(f64, usize)> = Vec::new();
        for row in (0..n).filter(|&row| population.everyone[row] > 0.0) {
            let shares = tails.iter().zip(novelty.row(row)).map(|(tail, &margin)| tail.share(margin));
            first.push((shares.fold(f64::INFINITY, f64::min), row));
        }
        first.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (each, false_alarms) = self.largest_share(&first, &population);
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

    /// By how much a patient with these margins (a row of the matrix) falls short of the nearest alarm, in log odds; at most 0
    /// of whom one alarms, none where the budget allows no alarm.
    pub fn short_of_alarm(&self, margins: &[f64]) -> Option<f64> {
        let pairs = margins.iter().zip(&self.thresholds);
        pairs.filter_map(|(margin, threshold)| Some((*threshold)? - margin)).min_by(f64::total_cmp)
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
        within.checked_sub(1).and_then(|last| self.steps.get(last)).map(|&(margin, _)| limit(margin))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    use super::*;

    fn uniform(rng: &mut ChaCha8Rng) -> f64 {
        f64::from(rng.next_u32()) / f64::from(u32::MAX)
    }

    /// Margins of `n` patients under `m` diseases, the first of which go together.
    fn margins(n: usize, m: usize, seed: u64) -> Matrix<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut data = Vec::new();
        for _ in 0..n {
            let shared = uniform(&mut rng);
            data.extend(
                (0..m).map(|j| if j < 2 { shared + 0.1 * uniform(&mut rng) } else { uniform(&mut rng) }),
            );
        }
        Matrix::from_vec(n, m, data).unwrap()
    }

    fn rate(alarm: &NoveltyAlarm, novelty: &Matrix<f64>) -> f64 {
        novelty.iter_rows().filter(|row| alarm.raised(row)).count() as f64 / novelty.rows() as f64
    }

    #[test]
    fn the_conformal_position_of_known_sizes() {
        let fit = |n: usize, each: f64| {
            let novelty = Matrix::from_vec(n, 1, (0..n).map(|i| i as f64).collect()).unwrap();
            let ones = vec![1.0; n];
            let population = Population { negatives: &ones, everyone: &ones, alarmed: &vec![false; n] };
            NoveltyBudget { each, total: 1.0, alerts: None }.fit(&novelty, &population).unwrap().thresholds[0]
        };
        // floor(each (n + 1)) negatives may be alarmed: 0.5 % of 198 is not yet one.
        assert_eq!([fit(198, 0.005), fit(199, 0.005), fit(999, 0.005)], [None, Some(198.0), Some(994.0)]);
        assert_eq!(fit(10, 1.0), Some(0.0));
    }

    #[test]
    fn a_new_negative_is_alarmed_within_the_budget_on_average() {
        let trials = 400;
        let mut sum = 0.0;
        for seed in 0..trials {
            let ones = [1.0; 300];
            let population = Population { negatives: &ones, everyone: &ones, alarmed: &[false; 300] };
            let budget = NoveltyBudget { each: 0.02, total: 1.0, alerts: None };
            let alarm = budget.fit(&margins(300, 1, seed), &population).unwrap();
            sum += rate(&alarm, &margins(2_000, 1, 10_000 + seed)) / trials as f64;
        }
        // Six of 301; the standard error of the mean is 0.0004.
        assert!((sum - 6.0 / 301.0).abs() < 0.0016, "{sum}");
    }

    #[test]
    fn all_together_stay_within_the_total_and_use_it() {
        let novelty = margins(20_000, 8, 1);
        let ones = vec![1.0; 20_000];
        let population = Population { negatives: &ones, everyone: &ones, alarmed: &vec![false; 20_000] };
        let alarm = NoveltyBudget::default().fit(&novelty, &population).unwrap();
        let union = rate(&alarm, &novelty);
        assert!(union <= 0.02 && union > 0.0199, "{union}");
        assert_eq!(union, alarm.false_alarms);
        // Two diseases that go together cost less than their sum, so each gets more than an eighth.
        assert!(alarm.each > 0.02 / 8.0 && alarm.each < NoveltyBudget::default().each, "{}", alarm.each);
    }

    #[test]
    fn what_alarms_already_leaves_the_rest() {
        let novelty = margins(20_000, 3, 2);
        // One in ten is no negative; the first 3 % are alarmed already.
        let negatives: Vec<f64> = (0..20_000).map(|i| f64::from(u8::from(i % 10 > 0))).collect();
        let alarmed: Vec<bool> = (0..20_000).map(|i| i < 600).collect();
        let ones = vec![1.0; 20_000];
        let population = Population { negatives: &negatives, everyone: &ones, alarmed: &alarmed };
        let all = |alerts: f64| {
            let budget = NoveltyBudget { alerts: Some(alerts), ..NoveltyBudget::default() };
            let alarm = budget.fit(&novelty, &population).unwrap();
            let raised = |i: usize| alarmed[i] || alarm.raised(novelty.row(i));
            ((0..20_000).filter(|&i| raised(i)).count() as f64 / 20_000.0, alarm)
        };
        let (share, alarm) = all(0.035);
        assert!(share <= 0.035 && share > 0.0349, "{share}");
        assert!(alarm.each < NoveltyBudget::default().each);
        let (share, alarm) = all(0.03);
        assert!(share == 0.03 && alarm.false_alarms <= 0.001, "nothing is left: {share}");
        let (share, alarm) = all(0.9);
        assert!(share > 0.04 && alarm.each == NoveltyBudget::default().each);
    }

    #[test]
    fn a_rare_margin_that_many_share_is_alarmed_whole_or_not() {
        let novelty =
            Matrix::from_vec(1_000, 1, (0..1_000).map(|i| f64::from(u8::from(i < 40))).collect()).unwrap();
        let ones = vec![1.0; 1_000];
        let population = Population { negatives: &ones, everyone: &ones, alarmed: &vec![false; 1_000] };
        let fit = |each| NoveltyBudget { each, total: 1.0, alerts: None }.fit(&novelty, &population).unwrap();
        assert_eq!(fit(0.03).thresholds, [None]);
        assert_eq!((fit(0.05).thresholds, fit(0.05).false_alarms), (vec![Some(1.0)], 0.04));
    }
}
