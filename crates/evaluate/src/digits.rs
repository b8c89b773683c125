//! Digit preference: whether a measured number ends in some digits more often than chance allows, as readings
//! that were rounded by eye do.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::checked_gamma_ur;

/// Pearson's chi-square of ten last digits against the uniform distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DigitPreference {
    pub n: u64,
    pub chi_square: f64,
    /// With 9 degrees of freedom. Of many rows any small difference is significant: the effect says what it means.
    pub p: f64,
    /// Cohen's w, the square root of chi-square over n: 0 uniform, 0.1 small, 0.3 medium, 0.5 large, 3 all alike.
    pub effect: f64,
    /// Share of numbers that end in 0 or 5; 0.2 by chance.
    pub share_0_5: f64,
}

impl DigitPreference {
    /// Fewer numbers than this say nothing: the test wants five expected in each digit.
    pub const FEWEST: u64 = 50;

    /// `None` of fewer than [`DigitPreference::FEWEST`] numbers.
    pub fn of(digits: &[u64; 10]) -> Option<DigitPreference> {
        let n: u64 = digits.iter().sum();
        if n < Self::FEWEST {
            return None;
        }
        let expected = n as f64 / 10.0;
        let chi_square: f64 = digits.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
        Some(DigitPreference {
            n,
            chi_square,
            p: checked_gamma_ur(4.5, chi_square / 2.0).unwrap_or(if chi_square > 0.0 { 0.0 } else { 1.0 }),
            effect: (chi_square / n as f64).sqrt(),
            share_0_5: (digits[0] + digits[5]) as f64 / n as f64,
        })
    }

    /// Whether it is worth a word: beyond chance, and not small.
    pub fn is_marked(&self) -> bool {
        self.p < 0.001 && self.effect >= 0.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_digits_are_silent_and_rounded_ones_are_not() {
        let even = DigitPreference::of(&[100; 10]).unwrap();
        assert_eq!((even.chi_square, even.effect, even.share_0_5), (0.0, 0.0, 0.2));
        assert!((even.p - 1.0).abs() < 1e-12 && !even.is_marked());
        // p by the closed form of the survival function with an odd number of degrees of freedom.
        let point = DigitPreference::of(&[120, 100, 80, 100, 112, 88, 110, 90, 105, 95]).unwrap();
        assert!((point.chi_square - 13.38).abs() < 1e-9, "{point:?}");
        assert!((point.p - 0.1462).abs() < 5e-4, "{point:?}");
        let mut rounded = [50; 10];
        rounded[0] = 300;
        rounded[5] = 150;
        let found = DigitPreference::of(&rounded).unwrap();
        assert!(found.is_marked() && (found.share_0_5 - 450.0 / 850.0).abs() < 1e-12, "{found:?}");
        let mut all = [0; 10];
        all[0] = 1000;
        assert!((DigitPreference::of(&all).unwrap().effect - 3.0).abs() < 1e-12);
        assert_eq!(DigitPreference::of(&[4; 10]), None);
    }
}
