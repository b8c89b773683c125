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
    // |S|! (n - |S| - 1)! / n! for a coalition of |S| features that feature i joins.
    let mut weights = vec![0.0; features];
    for (size, weight) in weights.iter_mut().enumerate() {
        // 1 / (n * binomial(n - 1, |S|)), without factorials that overflow.
        let binomial = (0..size).fold(1.0, |b, i| b * (features - 1 - i) as f64 / (i + 1) as f64);
        *weight = 1.0 / (features as f64 * binomial);
    }
    let mut contributions = vec![0.0; features];
    for (coalition, &without) in worth.iter().enumerate() {
        let weight = weights.get(coalition.count_ones() as usize).copied().unwrap_or_default();
        for (i, contribution) in contributions.iter_mut().enumerate().filter(|(i, _)| coalition >> i & 1 == 0)
        {
            if let Some(with) = worth.get(coalition | 1 << i) {
                *contribution += weight * (with - without);
            }
        }
    }
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
