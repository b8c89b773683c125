//! Calibration in the large: how many patients of each class there were, beside how many the probabilities had promised.
//!
//! The coarsest and steadiest question to ask of probabilities, and one that a few dozen outcomes can answer, where
//! a calibration curve needs thousands.

use serde::{Deserialize, Serialize};
use statrs::function::erf::erfc;

use crate::cells::Cells;

/// One class: promised and observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InTheLarge {
    /// Code of a severity, or `orphan`.
    pub class: String,
    pub patients: u64,
    pub observed: u64,
    /// Sum of the probabilities.
    pub expected: f64,
    /// Two-sided p-value of the difference: each patient an independent draw with the stated probability, normal approximation
    /// with continuity correction.
    pub p: f64,
}

/// Every severity, then the orphan diseases.
#[must_use]
pub fn in_the_large(cells: &Cells) -> Vec<InTheLarge> {
    let classes = cells.classes().len();
    let one = |class: String, probability: &dyn Fn(usize) -> f64, counts: &dyn Fn(&[u64]) -> u64| {
        let (mut patients, mut observed, mut expected, mut variance) = (0, 0, 0.0, 0.0);
        for (cell, of_cell) in cells.counts.chunks(2 * classes).enumerate() {
            let n: u64 = of_cell.iter().sum();
            let p = probability(cell);
            patients += n;
            observed += counts(of_cell);
            expected += n as f64 * p;
            variance += n as f64 * p * (1.0 - p);
        }
        InTheLarge { class, patients, observed, expected, p: two_sided(observed as f64 - expected, variance) }
    };
    let severities = cells.classes().iter().enumerate().map(|(k, code)| {
        one(code.clone(), &|cell| cells.probabilities[cell * classes + k], &|counts| {
            counts[2 * k] + counts[2 * k + 1]
        })
    });
    let mut all: Vec<InTheLarge> = severities.collect();
    all.push(one("orphan".to_owned(), &|cell| cells.orphan[cell], &|counts| {
        counts.chunks(2).map(|pair| pair[1]).sum()
    }));
    all
}

fn two_sided(difference: f64, variance: f64) -> f64 {
    let apart = (difference.abs() - 0.5).max(0.0);
    if apart == 0.0 {
        return 1.0;
    }
    if variance <= 0.0 { 0.0 } else { erfc(apart / (2.0 * variance).sqrt()) }
}

#[cfg(test)]
mod tests {
    use clinical::Severity;

    use super::*;
    use crate::Answer;

    #[test]
    fn promised_and_observed_by_hand() {
        let mut cells = Cells::new(&["healthy", "ill"]).unwrap();
        let answer = Answer { probabilities: &[0.8, 0.2], orphan: 0.1, decided: Severity(0), alarm: false };
        cells.push(&answer, &[60, 0, 10, 30]).unwrap();
        let found = in_the_large(&cells);
        assert_eq!(
            found.iter().map(|one| one.class.as_str()).collect::<Vec<_>>(),
            ["healthy", "ill", "orphan"]
        );
        assert_eq!(found.iter().map(|one| one.observed).collect::<Vec<_>>(), [60, 40, 30]);
        assert!((found[0].expected - 80.0).abs() < 1e-12 && (found[2].expected - 10.0).abs() < 1e-12);
        // 19.5 / 4 standard deviations: scipy.stats.norm.sf(4.875) * 2.
        assert!((found[0].p - 1.088_084_551e-6).abs() < 1e-11, "{}", found[0].p);
        assert!(found[2].p < 1e-9);
        let mut right = Cells::new(&["healthy", "ill"]).unwrap();
        right.push(&answer, &[80, 0, 10, 10]).unwrap();
        assert!(in_the_large(&right).iter().all(|one| one.p == 1.0));
    }
}
