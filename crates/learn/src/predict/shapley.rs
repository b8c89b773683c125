//! Shapley values from the worth of every coalition.

use serde::{Deserialize, Serialize};

/// Why a probability differs from the cohort's mean: `base + sum of contributions` is the probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The mean of the displayed probability over the training cohort.
    pub base: f64,
    /// One contribution per clinical feature, in the study's order.
    pub contributions: Vec<f64>,
}

/// The Shapley values (Shapley 1953) of `worth`, the worths of all 2^n coalitions; bit i of the
/// position stands for feature i.
pub(super) fn shapley(features: usize, worth: &[f64]) -> Explanation {
    // |S|! (n - |S| - 1)! / n! for a coalition of |S| features that another one joins:
    // 1 / (n * binomial(n - 1, |S|)), without factorials that overflow.
    let by_size: Vec<f64> = (0..features)
        .map(|size| {
            let binomial = (0..size).fold(1.0, |b, i| b * (features - 1 - i) as f64 / (i + 1) as f64);
            1.0 / (features as f64 * binomial)
        })
        .collect();
    let by_size =
        |coalition: usize| by_size.get(coalition.count_ones() as usize).copied().unwrap_or_default();
    let weights: Vec<f64> = (0..worth.len()).map(by_size).collect();
    let contribution = |feature: usize| {
        // Half of a run are coalitions without the feature, the other half the same ones with it.
        let (half, run) = (1 << feature, 2 << feature);
        let mut sum = 0.0;
        for (worth, weights) in worth.chunks_exact(run).zip(weights.chunks_exact(run)) {
            let (without, with) = worth.split_at(half);
            for ((without, with), weight) in without.iter().zip(with).zip(weights) {
                sum += weight * (with - without);
            }
        }
        sum
    };
    let contributions = (0..features).map(contribution).collect();
    Explanation { base: worth.first().copied().unwrap_or_default(), contributions }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The glove game: two left gloves (features 0, 1), one right glove (feature 2), a pair is worth 1.
    #[test]
    fn the_glove_game_has_its_known_values() {
        let worth: Vec<f64> = (0..8).map(|s: usize| f64::from(u8::from(s & 4 != 0 && s & 3 != 0))).collect();
        let explanation = shapley(3, &worth);
        for (got, expected) in explanation.contributions.iter().zip([1.0 / 6.0, 1.0 / 6.0, 4.0 / 6.0]) {
            assert!((got - expected).abs() < 1e-15);
        }
        assert_eq!(explanation.base, 0.0);
    }
}
