//! Pairs of whole-mmHg pressures within an AHA category: rounded normal draws, conditioned on lying in the category and
//! in the accepted ranges.

use statrs::function::erf::erfc;

use super::parameters::Pressure;
use crate::{alias::Alias, error::Result};

const SYSTOLIC: std::ops::RangeInclusive<i32> = 50..=280;
const DIASTOLIC: std::ops::RangeInclusive<i32> = 30..=180;

/// The pairs of one category with their exact conditional distribution.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    /// Systolic, diastolic.
    pub(super) pairs: Vec<(i32, i32)>,
    pub(super) draw: Alias,
}

impl Pairs {
    pub(super) fn new(category: usize, parameters: &Pressure) -> Result<Self> {
        let (mut pairs, mut weights) = (Vec::new(), Vec::new());
        for systolic in SYSTOLIC {
            let p = rounded_normal(systolic, parameters.systolic);
            for diastolic in DIASTOLIC.filter(|&d| d < systolic && aha_category(systolic, d) == category) {
                pairs.push((systolic, diastolic));
                weights.push(p * rounded_normal(diastolic, parameters.diastolic));
            }
        }
        Ok(Self { draw: Alias::new(&weights)?, pairs })
    }
}

/// Probability that a normal draw rounds to `x`.
fn rounded_normal(x: i32, [mean, sd]: [f64; 2]) -> f64 {
    let from_mean = |edge: f64| (f64::from(x) + edge - mean) / (sd * std::f64::consts::SQRT_2);
    let (low, high) = (from_mean(-0.5), from_mean(0.5));
    // Differences are taken in the tail that is small, where they keep their digits.
    if low > 0.0 { 0.5 * (erfc(low) - erfc(high)) } else { 0.5 * (erfc(-high) - erfc(-low)) }
}

/// 2017 ACC/AHA categories, normal to crisis.
pub(super) fn aha_category(systolic: i32, diastolic: i32) -> usize {
    match (systolic, diastolic) {
        (s, d) if s > 180 || d > 120 => 4,
        (s, d) if s >= 140 || d >= 90 => 3,
        (s, d) if s >= 130 || d >= 80 => 2,
        (s, _) if s >= 120 => 1,
        _ => 0,
    }
}
