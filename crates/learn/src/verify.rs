//! Checking every possible patient of a finished model.

use serde::{Deserialize, Serialize};

use crate::predict::Table;

/// How far the severities of one patient may be from summing to 1.
const SUM_TOLERANCE: f64 = 1e-9;

/// What was found. Patients are named by their cell and levels: all of them are possible ones, none
/// is a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Possible patients checked.
    pub patients: usize,
    /// Patients with a probability that is not a number between 0 and 1, and the first of them.
    pub not_probabilities: usize,
    /// Patients whose severities do not sum to 1 within 1e-9.
    pub not_summing: usize,
    /// Largest distance of such a sum from 1.
    pub largest_sum_error: f64,
    /// The first patient with one of these faults.
    pub first_fault: Option<Vec<usize>>,
    /// Possible patients that raise the alarm.
    pub alarmed: usize,
    /// The two neighbours whose answers differ most; none for a single possible patient.
    pub largest_jump: Option<Jump>,
}

impl Verification {
    /// Whether every possible patient gets a proper answer.
    pub fn holds(&self) -> bool {
        self.not_probabilities == 0 && self.not_summing == 0
    }
}

/// Two patients that differ by one level of one ordered feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Jump {
    /// Levels of the patient below.
    pub levels: Vec<usize>,
    /// The feature that is one level higher in the other patient.
    pub feature: usize,
    /// The output that differs most: a severity's position, or their number for the orphan probability.
    pub output: usize,
    /// The difference, other patient minus this one.
    pub difference: f64,
    /// Whether one of the two raises the alarm and the other does not: then the severities differ
    /// because an alarm excludes `healthy`.
    pub crosses_alarm: bool,
}

/// Checks every possible patient. `ordered` says for each feature whether its levels are ordered
/// (numbers, blood-pressure categories), so that neighbours should be alike; `threshold` is the
/// alarm's. The last output is the orphan probability, those before it the severities.
pub fn verify(table: &Table, ordered: &[bool], threshold: Option<f64>) -> Verification {
    let dims = table.dims();
    let mut found = Verification {
        patients: table.patients(),
        not_probabilities: 0,
        not_summing: 0,
        largest_sum_error: 0.0,
        first_fault: None,
        alarmed: 0,
        largest_jump: None,
    };
    let severities = table.outputs().saturating_sub(1);
    let alarmed = |answer: &[f64]| threshold.is_some_and(|t| answer.get(severities).is_some_and(|&h| h >= t));
    let mut levels = vec![0; dims.len()];
    for cell in 0..table.patients() {
        let answer = table.predict_cell(cell);
        levels_of(dims, cell, &mut levels);
        let proper = answer.iter().all(|p| (0.0..=1.0).contains(p));
        let error = (answer.iter().take(severities).sum::<f64>() - 1.0).abs();
        let sums = error <= SUM_TOLERANCE;
        found.not_probabilities += usize::from(!proper);
        found.not_summing += usize::from(!sums);
        // A sum that is no number is the largest error there is.
        found.largest_sum_error =
            found.largest_sum_error.max(if error.is_nan() { f64::INFINITY } else { error });
        if !(proper && sums) && found.first_fault.is_none() {
            found.first_fault = Some(levels.clone());
        }
        found.alarmed += usize::from(alarmed(answer));
        let mut radix = 1;
        for feature in (0..dims.len()).rev() {
            if ordered.get(feature) == Some(&true) && levels[feature] + 1 < dims[feature] {
                let other = table.predict_cell(cell + radix);
                for (output, (a, b)) in answer.iter().zip(other).enumerate() {
                    let difference = b - a;
                    if found.largest_jump.as_ref().is_none_or(|jump| difference.abs() > jump.difference.abs())
                    {
                        found.largest_jump = Some(Jump {
                            levels: levels.clone(),
                            feature,
                            output,
                            difference,
                            crosses_alarm: alarmed(answer) != alarmed(other),
                        });
                    }
                }
            }
            radix *= dims[feature];
        }
    }
    found
}

fn levels_of(dims: &[usize], mut cell: usize, levels: &mut [usize]) {
    for (level, dim) in levels.iter_mut().zip(dims).rev() {
        *level = cell % dim;
        cell /= dim;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    fn table(change: impl Fn(usize, &mut [f64])) -> Table {
        let mut f = Matrix::zeros(12, 3);
        for cell in 0..12 {
            let row = f.row_mut(cell);
            row.copy_from_slice(&[0.7, 0.3, 0.05]);
            change(cell, row);
        }
        Table::build(&[3, 4], &f, &[(0, 1.0), (11, 3.0)]).unwrap()
    }

    #[test]
    fn a_constant_model_holds_without_a_jump() {
        let found = verify(&table(|_, _| {}), &[true, true], Some(0.2));
        assert!(found.holds() && found.alarmed == 0 && found.patients == 12);
        assert_eq!(found.largest_jump.unwrap().difference, 0.0);
    }

    #[test]
    fn faults_are_counted_and_the_first_is_named() {
        let found = verify(
            &table(|cell, row| {
                if cell >= 9 {
                    row[0] = f64::NAN
                }
            }),
            &[true, true],
            None,
        );
        assert_eq!((found.not_probabilities, found.not_summing), (3, 3));
        assert_eq!(found.first_fault, Some(vec![2, 1]));
        assert!(!found.holds() && found.largest_sum_error.is_infinite());
        let found = verify(
            &table(|cell, row| {
                if cell == 5 {
                    row[1] = 0.31
                }
            }),
            &[true, true],
            None,
        );
        assert_eq!((found.not_probabilities, found.not_summing), (0, 1));
        assert!((found.largest_sum_error - 0.01).abs() < 1e-12);
    }

    #[test]
    fn the_largest_jump_between_ordered_neighbours_is_named() {
        let jump = |cell: usize, row: &mut [f64]| {
            if cell == 6 {
                row.copy_from_slice(&[0.0, 1.0, 0.4])
            }
        };
        let found = verify(&table(jump), &[true, true], Some(0.3));
        let named = found.largest_jump.unwrap();
        assert_eq!((named.levels, named.feature, named.output), (vec![0, 2], 0, 0));
        assert!(named.crosses_alarm && found.alarmed == 1 && (named.difference + 0.7).abs() < 1e-12);
        assert!(verify(&table(jump), &[false, false], None).largest_jump.is_none());
    }
}
