//! The winner among complete trials.
//!
//! A metric of held-out cases is itself a draw: of fifty trials that are equally good, one looks best.
//! So trials that cannot be told from the best count as good as it (the one-standard-error rule of
//! Breiman et al. 1984, section 3.4.3, here of the *difference*, because both trials were measured on the
//! same folds), and a steadier figure decides between them: the log loss, which uses the whole
//! probability of every case and, unlike the F1 of the common, also sees the orphan diseases; or the
//! size of the models. The folds' models share training cases, so their spread is a little too small
//! (Bengio and Grandvalet 2004); the rule needs an order of magnitude, not an exact level.

use clinical::study::search::{Search, SearchMetric, TieBreak};
use serde::{Deserialize, Serialize};

use super::trial::Trial;

/// Which trial won, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Winner {
    pub number: usize,
    /// The metric of all its held-out cases together, higher is better.
    pub metric: f64,
    pub log_loss: f64,
    /// The trial with the highest metric.
    pub best: usize,
    pub best_metric: f64,
    /// Trials that cannot be told from the best, itself included, in order.
    pub tied: Vec<usize>,
}

/// The winner; none without a complete trial.
pub fn winner(trials: &[Trial], search: &Search) -> Option<Winner> {
    let complete: Vec<(&Trial, f64)> =
        trials.iter().filter_map(|trial| Some((trial, trial.metric(search.metric)?))).collect();
    // On equal figures the earlier trial stays.
    let (best, best_metric) =
        complete.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    let tied: Vec<&Trial> = complete
        .iter()
        .filter(|(trial, metric)| {
            trial.number == best.number
                || best_metric - metric
                    <= search.ties.standard_errors * paired_error(best, trial, search.metric)
        })
        .map(|(trial, _)| *trial)
        .collect();
    let price = |trial: &Trial| match search.ties.by {
        TieBreak::LogLoss => trial.log_loss().unwrap_or(f64::INFINITY),
        TieBreak::Size => trial.bytes() as f64,
    };
    let chosen =
        tied.iter().copied().reduce(|best, next| if price(next) < price(best) { next } else { best })?;
    Some(Winner {
        number: chosen.number,
        metric: chosen.metric(search.metric)?,
        log_loss: chosen.log_loss()?,
        best: best.number,
        best_metric,
        tied: tied.iter().map(|trial| trial.number).collect(),
    })
}

/// Standard error of the mean difference of two trials' folds.
fn paired_error(a: &Trial, b: &Trial, metric: SearchMetric) -> f64 {
    let differences: Vec<f64> =
        a.fold_metrics(metric).iter().zip(b.fold_metrics(metric)).map(|(a, b)| a - b).collect();
    standard_error(&differences)
}

/// Standard error of the mean of some numbers; 0 of fewer than two.
pub fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

#[cfg(test)]
mod tests {
    use clinical::study::Learner;
    use clinical::study::search::Ties;

    use super::super::score::tests::fold;
    use super::super::space::Point;
    use super::super::trial::State;
    use super::*;

    /// A trial whose folds have these hits among 100 cases of either class.
    fn trial(number: usize, hits: [f64; 3], log_loss: f64, bytes: usize) -> Trial {
        let folds = hits.map(|hits| {
            let mut fold = fold(log_loss, [[hits, 100.0 - hits], [100.0 - hits, hits]]);
            fold.bytes = bytes;
            fold
        });
        let point =
            Point { learner: Learner::Xgboost, settings: Default::default(), shared: Default::default() };
        Trial { number, point, state: State::Complete, folds: folds.into() }
    }

    fn search(standard_errors: f64, by: TieBreak) -> Search {
        Search { ties: Ties { standard_errors, by }, ..Search::default() }
    }

    #[test]
    fn a_tie_goes_to_the_lower_loss_or_the_smaller_model() {
        let trials = [
            trial(0, [80.0, 82.0, 84.0], 0.5, 300),
            // Best by a hair, better on one fold and worse on another.
            trial(1, [84.0, 79.0, 84.0], 0.6, 500),
            // Worse than the best by the same on every fold: that is no noise.
            trial(2, [80.0, 75.0, 80.0], 0.4, 50),
            trial(3, [81.0, 82.0, 83.0], 0.55, 100),
        ];
        let won = winner(&trials, &search(1.0, TieBreak::LogLoss)).unwrap();
        assert_eq!((won.number, won.best, won.tied), (0, 1, vec![0, 1, 3]));
        assert_eq!(winner(&trials, &search(1.0, TieBreak::Size)).unwrap().number, 3);
    }

    #[test]
    fn a_consistent_difference_is_no_tie() {
        let trials = [trial(0, [80.0, 82.0, 84.0], 0.5, 300), trial(1, [79.0, 81.0, 83.0], 0.4, 100)];
        for by in [TieBreak::LogLoss, TieBreak::Size] {
            assert_eq!(winner(&trials, &search(1.0, by)).unwrap().tied, [0]);
        }
        let trials = [trial(0, [80.0, 82.0, 84.0], 0.5, 300), trial(1, [85.0, 80.0, 80.0], 0.6, 100)];
        assert_eq!(winner(&trials, &search(1.0, TieBreak::LogLoss)).unwrap().number, 0);
        assert_eq!(winner(&trials, &search(1.0, TieBreak::Size)).unwrap().number, 1);
        assert_eq!(winner(&trials, &search(0.0, TieBreak::Size)).unwrap().number, 0);
    }

    #[test]
    fn only_complete_trials_win_and_the_earlier_of_equals() {
        let failed = Trial { state: State::Failed { reason: String::new() }, ..trial(0, [99.0; 3], 0.1, 1) };
        assert_eq!(winner(std::slice::from_ref(&failed), &Search::default()), None);
        let trials = [failed, trial(1, [80.0; 3], 0.5, 1), trial(2, [80.0; 3], 0.5, 1)];
        let won = winner(&trials, &Search::default()).unwrap();
        assert_eq!((won.number, won.best), (1, 1));
        assert_eq!(
            winner(&trials, &Search { metric: SearchMetric::LogLoss, ..Search::default() }).unwrap().number,
            1
        );
    }

    #[test]
    fn standard_errors_of_known_numbers() {
        assert_eq!(standard_error(&[1.0]), 0.0);
        assert!((standard_error(&[1.0, 2.0, 3.0, 4.0]) - (5.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }
}
