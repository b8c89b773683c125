//! How common each class has become, while nothing is confirmed yet.
//!
//! Expectation-maximisation on a calibrated model's posteriors (Saerens, Latinne and Decaestecker, Neural Computation 14,
//! 2002). It supposes label shift: the classes' shares may have changed, the patients within a class have not.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const MOST_ROUNDS: u32 = 10_000;
/// Largest change of a share at which the shares count as settled.
const SETTLED: f64 = 1e-9;

/// Shares of the classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelShift {
    /// Where the model was calibrated.
    pub reference: Vec<f64>,
    /// In the window, by the model's own probabilities under label shift.
    pub window: Vec<f64>,
    /// False where the shares had not settled.
    pub settled: bool,
}

/// `reference`: shares of the classes where the model was calibrated; `posteriors`: one row of calibrated probabilities per
/// kind of patient; `patients`: how many there are of each.
///
/// # Errors
/// Lengths that do not fit, no patient, or rows that are no probabilities.
pub fn label_shift(reference: &[f64], posteriors: &[f64], patients: &[u64]) -> Result<LabelShift> {
    let classes = reference.len();
    if posteriors.len() != classes * patients.len() {
        let (found, needed) = (posteriors.len(), classes * patients.len());
        return Err(Error::Length { what: "the posteriors", found, needed });
    }
    if let Some(at) = posteriors.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(Error::NotAProbability { cell: at / classes.max(1), what: "a posterior" });
    }
    let total = patients.iter().map(|&n| n as f64).sum::<f64>();
    if total <= 0.0 || reference.iter().any(|share| !(0.0..=1.0).contains(share)) {
        return Err(Error::Weights);
    }
    let mut shares = reference.to_vec();
    let mut settled = false;
    let mut rounds = 0;
    while !settled && rounds < MOST_ROUNDS {
        let mut next = vec![0.0; classes];
        for (row, &n) in posteriors.chunks(classes.max(1)).zip(patients) {
            let weighed = |class: usize| match reference[class] {
                0.0 => 0.0,
                share => row[class] * shares[class] / share,
            };
            let sum: f64 = (0..classes).map(weighed).sum();
            // A row that only knows classes of share 0 keeps its own probabilities.
            for (class, next) in next.iter_mut().enumerate() {
                *next += n as f64 / total * if sum > 0.0 { weighed(class) / sum } else { row[class] };
            }
        }
        let moved = shares.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        (shares, rounds, settled) = (next, rounds + 1, moved < SETTLED);
    }
    Ok(LabelShift { reference: reference.to_vec(), window: shares, settled })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two overlapping classes on five values: the posteriors at 50:50, the window drawn (exactly) at 20:80.
    #[test]
    fn the_shares_of_a_shifted_window_are_found() {
        let (a, b) = ([0.4, 0.3, 0.15, 0.1, 0.05], [0.05, 0.1, 0.15, 0.3, 0.4]);
        let posteriors: Vec<f64> = a.iter().zip(&b).flat_map(|(a, b)| [a / (a + b), b / (a + b)]).collect();
        let patients: Vec<u64> =
            a.iter().zip(&b).map(|(a, b)| ((0.2 * a + 0.8 * b) * 1e6_f64).round() as u64).collect();
        let found = label_shift(&[0.5, 0.5], &posteriors, &patients).unwrap();
        assert!(found.settled && (found.window[0] - 0.2).abs() < 1e-4, "{found:?}");
        // Counting the decisions alone would have said 0.29.
        let unchanged: Vec<u64> = a.iter().zip(&b).map(|(a, b)| ((a + b) * 5e5_f64).round() as u64).collect();
        let found = label_shift(&[0.5, 0.5], &posteriors, &unchanged).unwrap();
        assert!((found.window[0] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_posterior_is_refused_and_an_absent_class_stays_absent() {
        assert!(matches!(label_shift(&[1.0], &[0.5, 0.5], &[1]), Err(Error::Length { .. })));
        assert!(matches!(label_shift(&[0.5, 0.5], &[1.5, -0.5], &[1]), Err(Error::NotAProbability { .. })));
        assert_eq!(label_shift(&[0.5, 0.5], &[], &[]), Err(Error::Weights));
        let found = label_shift(&[1.0, 0.0], &[0.9, 0.1], &[10]).unwrap();
        assert_eq!(found.window, [1.0, 0.0]);
    }
}
