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
        let (pairs, weights) = weighed(category, parameters);
        Ok(Self { draw: Alias::new(&weights)?, pairs })
    }
}

/// The pairs of one category with their unnormalised probabilities.
fn weighed(category: usize, parameters: &Pressure) -> (Vec<(i32, i32)>, Vec<f64>) {
    let (mut pairs, mut weights) = (Vec::new(), Vec::new());
    for systolic in SYSTOLIC {
        let p = rounded_normal(systolic, parameters.systolic);
        for diastolic in DIASTOLIC.filter(|&d| d < systolic && aha_category(systolic, d) == category) {
            pairs.push((systolic, diastolic));
            weights.push(p * rounded_normal(diastolic, parameters.diastolic));
        }
    }
    (pairs, weights)
}

/// A pair of pressures (systolic, diastolic) after a rise of so many mmHg, within the accepted ranges.
#[must_use]
pub fn risen([systolic, diastolic]: [i32; 2], rise: [i32; 2]) -> [i32; 2] {
    let within =
        |value: i32, range: &std::ops::RangeInclusive<i32>| value.clamp(*range.start(), *range.end());
    [within(systolic + rise[0], &SYSTOLIC), within(diastolic + rise[1], &DIASTOLIC)]
}

/// Where the patients of each category are after a rise: `[category before][category after]`, rows add up to 1.
pub(super) fn moves(parameters: &[Pressure; 5], rise: [i32; 2]) -> [[f64; 5]; 5] {
    let mut moves = [[0.0; 5]; 5];
    for (category, (row, parameters)) in moves.iter_mut().zip(parameters).enumerate() {
        let (pairs, weights) = weighed(category, parameters);
        let total: f64 = weights.iter().sum();
        for ((systolic, diastolic), weight) in pairs.into_iter().zip(weights) {
            let [systolic, diastolic] = risen([systolic, diastolic], rise);
            row[aha_category(systolic, diastolic)] += weight / total;
        }
    }
    moves
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
