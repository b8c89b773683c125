//! Whether every answer is a proper distribution, and whom the model alarms.

use serde::{Deserialize, Serialize};

use crate::answers::{Answers, People, PossiblePatient};

/// How far the severities of one patient may be from summing to 1.
const SUM_TOLERANCE: f64 = 1e-9;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proper {
    /// Patients with a probability that is not a number between 0 and 1.
    pub not_probabilities: usize,
    /// Patients whose severities do not sum to 1 within 1e-9.
    pub not_summing: usize,
    /// Largest distance of such a sum from 1; a sum that is no number counts as 1.
    pub largest_sum_error: f64,
    /// The first patient with one of these faults.
    pub first_fault: Option<PossiblePatient>,
    /// Possible patients that are alarmed.
    pub alarmed: usize,
    /// People of the cohort that are alarmed.
    pub people_alarmed: u64,
}

impl Proper {
    /// Whether every possible patient gets a proper answer.
    pub fn holds(&self) -> bool {
        self.not_probabilities == 0 && self.not_summing == 0
    }
}

pub(super) fn check(answers: &Answers<'_>, people: &People) -> Proper {
    let severities = answers.study().severities().len();
    let mut found = Proper {
        not_probabilities: 0,
        not_summing: 0,
        largest_sum_error: 0.0,
        first_fault: None,
        alarmed: 0,
        people_alarmed: 0,
    };
    for cell in 0..answers.patients() {
        let shown = answers.shown(cell);
        let probabilities = shown.iter().all(|p| (0.0..=1.0).contains(p));
        let error = (shown.iter().take(severities).sum::<f64>() - 1.0).abs();
        let sums = error <= SUM_TOLERANCE;
        found.not_probabilities += usize::from(!probabilities);
        found.not_summing += usize::from(!sums);
        // Infinity and NaN have no place in a JSON report.
        found.largest_sum_error = found.largest_sum_error.max(if error.is_finite() { error } else { 1.0 });
        if !(probabilities && sums) && found.first_fault.is_none() {
            found.first_fault = Some(PossiblePatient::of(answers.study(), cell, people));
        }
        if answers.alarmed(cell) {
            found.alarmed += 1;
            found.people_alarmed += people.of(cell);
        }
    }
    found
}
