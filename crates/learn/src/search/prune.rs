//! When a trial is given up: its held-out loss against that of complete trials at the same point.
//!
//! The median rule of Golovin et al. 2017 (Vizier, section 3.3) with a quantile of choice. Losses are
//! compared on the same fold, so no fold is easier for one of them. Within a fold two trials are
//! compared where they have come equally far, not after equally many rounds: half the learning rate
//! needs about twice the rounds, and comparing by rounds would give up every slow learner early.

use std::sync::Arc;

use clinical::study::Learner;
use clinical::study::search::Pruner;

use super::trial::{Pruned, Trial};

/// Judges one trial.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) pruner: &'a Pruner,
    /// Trials that may be compared with, each with its pace: how far one of its rounds takes.
    pub(super) others: Vec<(Arc<Trial>, f64)>,
    pub(super) learner: Learner,
    pub(super) pace: f64,
}

impl Judge<'_> {
    /// Whether a fold is judged after `round` rounds (from 1).
    pub(super) fn judged(pruner: &Pruner, round: usize) -> bool {
        round.is_multiple_of(pruner.every)
    }

    /// Judges the lowest loss so far after `round` rounds of `fold`.
    pub(super) fn within(&self, fold: usize, round: usize, loss: f64) -> Option<Pruned> {
        if !self.pruner.enabled || round < self.pruner.warmup_rounds || !Self::judged(self.pruner, round) {
            return None;
        }
        let losses = self.others.iter().filter(|(trial, _)| trial.point.learner == self.learner).filter_map(
            |(trial, pace)| {
                let fold = trial.folds.get(fold)?;
                let judgements = (round as f64 * self.pace / pace / self.pruner.every as f64) as usize;
                // A fold that was stopped before would not have come lower.
                let last = fold.curve.len().min(judgements).checked_sub(1)?;
                fold.curve.get(last).copied()
            },
        );
        self.judge(losses.collect(), loss).map(|(bound, of)| Pruned {
            fold,
            round: Some(round),
            loss,
            bound,
            of,
        })
    }

    /// Judges the mean loss of the first `folds` folds.
    pub(super) fn between(&self, folds: usize, loss: f64) -> Option<Pruned> {
        if !self.pruner.enabled {
            return None;
        }
        let losses = self.others.iter().filter_map(|(trial, _)| trial.loss_of(folds));
        let (bound, of) = self.judge(losses.collect(), loss)?;
        Some(Pruned { fold: folds.saturating_sub(1), round: None, loss, bound, of })
    }

    /// The bound that `loss` is above, and the number of losses that it comes from.
    fn judge(&self, mut losses: Vec<f64>, loss: f64) -> Option<(f64, usize)> {
        if losses.len() < self.pruner.warmup_trials {
            return None;
        }
        losses.sort_by(f64::total_cmp);
        let bound = quantile(&losses, self.pruner.quantile);
        // A loss that is no number has diverged.
        (loss > bound || loss.is_nan()).then_some((bound, losses.len()))
    }
}

/// By linear interpolation between the sorted values (type 7 of Hyndman and Fan 1996).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * sorted.len().saturating_sub(1) as f64;
    let value = |index: usize| sorted.get(index).copied().unwrap_or(f64::INFINITY);
    let (low, part) = (at.floor(), at.fract());
    if part == 0.0 {
        value(low as usize)
    } else {
        value(low as usize) * (1.0 - part) + value(low as usize + 1) * part
    }
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::fold;
    use super::super::space::Point;
    use super::super::trial::State;
    use super::*;

    /// A complete trial with one loss per fold and a curve that falls to it by tenths per judgement.
    fn trial(learner: Learner, losses: &[f64]) -> Arc<Trial> {
        let folds = losses.iter().map(|&loss| {
            let mut fold = fold(loss, [[1.0, 0.0], [0.0, 1.0]]);
            fold.curve = (0..5).rev().map(|left| loss + 0.1 * f64::from(left)).collect();
            fold
        });
        let point = Point { learner, settings: Default::default(), shared: Default::default() };
        Arc::new(Trial { number: 0, point, state: State::Complete, folds: folds.collect() })
    }

    const PRUNER: Pruner =
        Pruner { quantile: 0.5, warmup_trials: 3, warmup_rounds: 20, every: 10, enabled: true };

    fn judge<'a>(pruner: &'a Pruner, pace: f64) -> Judge<'a> {
        let others = [0.2, 0.3, 0.4, 0.5].map(|loss| (trial(Learner::Xgboost, &[loss, loss]), 0.1));
        Judge { pruner, others: others.into(), learner: Learner::Xgboost, pace }
    }

    #[test]
    fn a_loss_above_the_median_at_the_same_point_is_given_up() {
        let judge = judge(&PRUNER, 0.1);
        // After 20 rounds the others have 0.5, 0.6, 0.7, 0.8: the median is 0.65.
        assert_eq!(judge.within(1, 20, 0.649), None);
        let pruned = judge.within(1, 20, 0.651).unwrap();
        assert!((pruned.bound - 0.65).abs() < 1e-12);
        assert_eq!((pruned.fold, pruned.round, pruned.of), (1, Some(20), 4));
        assert_eq!(pruned.reason(), "fold 2, round 20: loss 0.65100 above 0.65000 of 4 complete trials");
        assert!(judge.within(1, 20, f64::NAN).is_some());
        // Stopped after 50 rounds: the final loss counts from there on.
        assert!((judge.within(0, 90, 0.9).unwrap().bound - 0.35).abs() < 1e-12);
    }

    #[test]
    fn slow_learners_are_compared_where_the_others_had_come_as_far() {
        // Half the pace: after 40 rounds as far as the others after 20.
        let slow = judge(&PRUNER, 0.05);
        assert_eq!(slow.within(0, 40, 0.649), None);
        assert!(slow.within(0, 40, 0.651).is_some());
        // Nobody was judged as early as that.
        let slower = judge(&PRUNER, 0.01);
        assert_eq!(slower.within(0, 50, 9.0), None);
    }

    #[test]
    fn warm_up_other_learners_and_other_rounds_are_left_alone() {
        let judge = judge(&PRUNER, 0.1);
        assert_eq!(judge.within(0, 10, 9.0), None, "warm-up");
        assert_eq!(judge.within(0, 25, 9.0), None, "not a judged round");
        assert_eq!(Judge { learner: Learner::Mlp, ..judge }.within(0, 20, 9.0), None, "another learner");
        let patient = Pruner { warmup_trials: 5, ..PRUNER };
        assert_eq!(self::judge(&patient, 0.1).within(0, 20, 9.0), None, "too few trials");
        let off = Pruner { enabled: false, ..PRUNER };
        assert_eq!(self::judge(&off, 0.1).within(0, 20, 9.0), None);
        assert_eq!(self::judge(&off, 0.1).between(1, 9.0), None);
    }

    #[test]
    fn whole_folds_are_compared_across_learners_by_their_mean() {
        let mut judge = judge(&PRUNER, 0.1);
        judge.learner = Learner::Mlp;
        assert_eq!(judge.between(1, 0.35), None);
        let pruned = judge.between(2, 0.36).unwrap();
        assert_eq!((pruned.fold, pruned.round), (1, None));
        assert!(pruned.reason().starts_with("after fold 2: loss 0.36000 above 0.35000"));
        let generous = Pruner { quantile: 1.0, ..PRUNER };
        assert_eq!(self::judge(&generous, 0.1).between(1, 0.5), None);
        assert!(self::judge(&generous, 0.1).between(1, 0.51).is_some());
    }
}
