//! The option to answer "not sure: ask": selective prediction with a stated coverage.
//!
//! A model that may leave out the patients it knows least about is right more often about the others (Chow 1970;
//! El-Yaniv and Wiener 2010). What is stated is the coverage, the share of patients that get an answer; which
//! certainty that asks for follows from cases that the answers have not seen, by the same tolerance bound as the
//! alarm's threshold. An alarmed patient is always answered: an alarm already says that a doctor should look.

use serde::{Deserialize, Serialize};

use crate::Matrix;
use crate::alarm::Rule;
use crate::calibrate::Scored;
use crate::probability::highest;

/// What share of patients is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// 0..=1; 1: everybody is answered.
    pub share: f64,
    /// That the coverage is at least `share`.
    pub confidence: f64,
}

impl Default for Coverage {
    fn default() -> Self {
        Coverage { share: 1.0, confidence: 0.90 }
    }
}

/// From which certainty on a model answers, and what that gave on unseen cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Abstention {
    pub coverage: Coverage,
    /// Unseen cases that the threshold was chosen from.
    pub cases: u64,
    /// A patient without an alarm is answered when the most probable severity has at least this probability. None:
    /// everybody is answered, because the study wants it or because the cases are too few to keep the promise.
    pub threshold: Option<f64>,
    /// Share of the cases that are answered.
    pub answered: f64,
    /// Share of right severities among all cases and among the answered.
    pub accuracy: f64,
    pub accuracy_answered: f64,
}

impl Abstention {
    /// Whether the patient gets "not sure" for an answer; `severities` as shown.
    pub fn abstains(&self, severities: &[f64], alarmed: bool) -> bool {
        !alarmed && self.threshold.is_some_and(|threshold| certainty(severities) < threshold)
    }
}

/// Cases as answered by what has not seen them.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    scored: Scored,
    /// Certainty, cases whose severity is right, cases.
    cases: Vec<(f64, f64, f64)>,
}

impl Seen {
    /// Adds one fold: shown severities and alarm of each row, and its cases by severity, `n x severities`.
    pub(crate) fn add(&mut self, answers: &Matrix<f64>, alarmed: &[bool], severities: &Matrix<f64>) {
        for ((answer, &alarmed), cases) in answers.iter_rows().zip(alarmed).zip(severities.iter_rows()) {
            let all = cases.iter().sum::<f64>();
            if all > 0.0 {
                let shown = answer.get(..cases.len()).unwrap_or_default();
                let certainty = if alarmed { f64::INFINITY } else { certainty(shown) };
                let right = cases.get(highest(shown)).copied().unwrap_or_default();
                self.scored.entries.push((certainty, all, 0.0));
                self.cases.push((certainty, right, all));
            }
        }
    }

    pub(crate) fn choose(&self, coverage: Coverage) -> Abstention {
        let chosen = (coverage.share < 1.0).then(|| {
            Rule::Tolerance { recall: coverage.share, confidence: coverage.confidence }.choose(&self.scored)
        });
        let threshold = chosen.and_then(|chosen| chosen.threshold).filter(|threshold| threshold.is_finite());
        let sum = |from: f64| {
            let answered = self.cases.iter().filter(|(certainty, ..)| *certainty >= from);
            answered.fold((0.0, 0.0), |(right, cases), case| (right + case.1, cases + case.2))
        };
        let (all, answered) = (sum(0.0), sum(threshold.unwrap_or(0.0)));
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Abstention {
            coverage,
            cases: all.1 as u64,
            threshold,
            answered: share(answered.1, all.1),
            accuracy: share(all.0, all.1),
            accuracy_answered: share(answered.0, answered.1),
        }
    }
}

/// Probability of the severity that is shown.
fn certainty(severities: &[f64]) -> f64 {
    severities.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One case per row: certainty rises with the row, and the certain ones are right.
    fn seen(rows: usize) -> Seen {
        let (mut answers, mut cases) = (Matrix::zeros(rows, 3), Matrix::zeros(rows, 2));
        for row in 0..rows {
            let p = 0.5 + 0.5 * (row as f64 + 0.5) / rows as f64;
            answers.row_mut(row).copy_from_slice(&[p, 1.0 - p, 0.1]);
            cases.row_mut(row)[usize::from(row < rows / 10)] = 1.0;
        }
        let mut seen = Seen::default();
        seen.add(&answers, &vec![false; rows], &cases);
        seen
    }

    #[test]
    fn the_least_certain_are_left_out_and_the_others_are_right() {
        let seen = seen(1000);
        let found = seen.choose(Coverage { share: 0.90, confidence: 0.90 });
        // 88 of 1,000 leave a tenth out with 90 % confidence at most (scipy: binom.sf(87, 1000, 0.1) = 0.907).
        assert_eq!((found.cases, found.answered), (1000, 0.913));
        assert!(found.accuracy == 0.9 && found.accuracy_answered > 0.98);
        let threshold = found.threshold.unwrap();
        assert!(found.abstains(&[threshold - 1e-9, 0.3], false) && !found.abstains(&[threshold, 0.3], false));
        assert!(!found.abstains(&[0.4, 0.3], true), "an alarm is an answer");
    }

    #[test]
    fn full_coverage_and_too_few_cases_answer_everybody() {
        let all = seen(1000).choose(Coverage::default());
        assert_eq!((all.threshold, all.answered), (None, 1.0));
        assert_eq!(seen(5).choose(Coverage { share: 0.95, confidence: 0.90 }).threshold, None);
    }

    /// The promise: the coverage of new cases is kept in nine of ten draws.
    #[test]
    fn the_coverage_is_kept_in_nine_draws_of_ten() {
        let mut state = 7u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let kept = (0..400).filter(|_| {
            let mut seen = Seen::default();
            for _ in 0..200 {
                let p = 0.5 + 0.5 * uniform();
                let answer = Matrix::from_vec(1, 3, vec![p, 1.0 - p, 0.0]).unwrap();
                seen.add(&answer, &[false], &Matrix::from_vec(1, 2, vec![1.0, 0.0]).unwrap());
            }
            // Certainties are uniform over 0.5..1, so the coverage of new cases is known exactly.
            let threshold = seen.choose(Coverage { share: 0.80, confidence: 0.90 }).threshold.unwrap();
            2.0 * (1.0 - threshold) >= 0.80
        });
        assert!((350..=395).contains(&kept.count()));
    }
}
