//! Whether synthetic cases helped: trained on synthetic, tested on real.

use serde::{Deserialize, Serialize};

/// One fold's real cases, which neither of two members was trained on: average precision of the orphan probability by
/// the member trained on real cases alone, and by the one trained on real and synthetic cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    pub real_alone: f64,
    pub with_synthetic: f64,
}

/// The guard's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub trials: Vec<Trial>,
    /// Mean difference of the average precisions.
    pub gain: f64,
    /// Of that mean, over the folds.
    pub standard_error: f64,
    /// Whether the synthetic cases may be used.
    pub allowed: bool,
}

/// The trials of two cross-fits of the same folds: average precisions on each fold's unseen cases
/// ([`crate::crossfit::Fitted::unseen_precision`]). Folds without an orphan case say nothing.
pub fn trials(real_alone: &[Option<f64>], with_synthetic: &[Option<f64>]) -> Vec<Trial> {
    let pairs = real_alone.iter().zip(with_synthetic);
    pairs.filter_map(|(real, with)| Some(Trial { real_alone: (*real)?, with_synthetic: (*with)? })).collect()
}

/// Synthetic cases are used only where the average precision on unseen real cases rises by more than one standard
/// error. Fewer than two folds prove nothing: then they are blocked.
pub fn judge(trials: Vec<Trial>) -> Verdict {
    let n = trials.len() as f64;
    let gains: Vec<f64> = trials.iter().map(|trial| trial.with_synthetic - trial.real_alone).collect();
    let gain = if trials.is_empty() { 0.0 } else { gains.iter().sum::<f64>() / n };
    let squares = gains.iter().map(|one| (one - gain).powi(2)).sum::<f64>();
    let standard_error = if n < 2.0 { 0.0 } else { (squares / (n - 1.0) / n).sqrt() };
    let allowed = n >= 2.0 && gain > standard_error;
    Verdict { trials, gain, standard_error, allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(pairs: &[(f64, f64)]) -> Vec<Trial> {
        let trial = |&(real_alone, with_synthetic): &(f64, f64)| Trial { real_alone, with_synthetic };
        pairs.iter().map(trial).collect()
    }

    #[test]
    fn folds_without_an_orphan_case_are_left_out() {
        let found = super::trials(&[Some(0.1), None, Some(0.3)], &[Some(0.2), Some(0.5), None]);
        assert_eq!(found, [Trial { real_alone: 0.1, with_synthetic: 0.2 }]);
    }

    #[test]
    fn only_a_gain_above_its_standard_error_is_allowed() {
        let clear = judge(trials(&[(0.50, 0.54), (0.52, 0.55), (0.48, 0.53)]));
        assert!(clear.allowed && (clear.gain - 0.04).abs() < 1e-12, "{clear:?}");
        assert!((clear.standard_error - 0.01 / 3f64.sqrt()).abs() < 1e-12);
        // One fold gains much, the others lose: noise.
        assert!(!judge(trials(&[(0.50, 0.62), (0.52, 0.48), (0.48, 0.46)])).allowed);
        assert!(!judge(trials(&[(0.50, 0.49), (0.52, 0.51), (0.48, 0.47)])).allowed);
        assert!(!judge(trials(&[(0.5, 0.5), (0.5, 0.5)])).allowed);
        assert!(!judge(trials(&[(0.5, 0.9)])).allowed, "one fold proves nothing");
        let none = judge(Vec::new());
        assert!(!none.allowed && none.gain == 0.0 && none.standard_error == 0.0);
    }
}
