//! What a term tells: how much oftener the notes that have it come from an outcome than the structured
//! model expected of the same patients.
//!
//! For a term and an outcome, the log of (observed + 1) / (expected + 1), where `expected` sums the
//! outcome's probability over the cases that have the term. It is the term's likelihood ratio beside what
//! the structured values say already: of a term that only repeats them it is near 0, one pseudo-case in
//! each count draws rare terms there, and a cap keeps any single term from deciding alone.

use std::collections::BTreeMap;

use clinical::note::Stance;
use serde::{Deserialize, Serialize};

/// Largest magnitude of one term's log ratio: a factor of 20.
pub(super) const CAP: f64 = 3.0;
/// A term of fewer cases tells nothing reliable, and naming it in a model would tell of a patient.
const FEWEST: f64 = 3.0;
/// Cases added to each count.
const PSEUDO: f64 = 1.0;

/// One term's log ratios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TermRatio {
    pub code: String,
    pub stance: Stance,
    /// Weighted cases that had it.
    pub cases: f64,
    /// One per outcome.
    pub log_ratios: Vec<f64>,
}

/// All terms that tell something, by code and stance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TermRatios {
    pub terms: Vec<TermRatio>,
}

/// Sums of one term while cases are counted.
#[derive(Debug, Clone)]
struct Sums {
    observed: Vec<f64>,
    expected: Vec<f64>,
}

/// Counts cases, then gives the ratios.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting {
    sums: BTreeMap<(u32, Stance), Sums>,
}

impl Counting {
    /// Adds one case with a weight: its terms, its outcome, and what was expected of it.
    pub(super) fn add<'a>(
        &mut self,
        terms: impl IntoIterator<Item = &'a (u32, Stance)>,
        outcome: usize,
        expected: &[f64],
        weight: f64,
    ) {
        for term in terms {
            let outcomes = expected.len();
            let sums = self
                .sums
                .entry(*term)
                .or_insert_with(|| Sums { observed: vec![0.0; outcomes], expected: vec![0.0; outcomes] });
            if let Some(observed) = sums.observed.get_mut(outcome) {
                *observed += weight;
            }
            sums.expected.iter_mut().zip(expected).for_each(|(sum, p)| *sum += weight * p);
        }
    }

    /// `codes` are the dictionary's.
    pub(super) fn ratios(&self, codes: &[String]) -> TermRatios {
        let mut terms: Vec<TermRatio> = Vec::new();
        for (&(term, stance), sums) in &self.sums {
            let cases: f64 = sums.observed.iter().sum();
            let Some(code) = codes.get(term as usize).filter(|_| cases >= FEWEST) else { continue };
            let ratio = |(observed, expected): (&f64, &f64)| {
                ((observed + PSEUDO) / (expected + PSEUDO)).ln().clamp(-CAP, CAP)
            };
            let log_ratios = sums.observed.iter().zip(&sums.expected).map(ratio).collect();
            terms.push(TermRatio { code: code.clone(), stance, cases, log_ratios });
        }
        terms.sort_by(|a, b| (&a.code, a.stance).cmp(&(&b.code, b.stance)));
        TermRatios { terms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_observed_over_expected_with_a_pseudo_case_and_a_cap() {
        let codes = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let mut counting = Counting::default();
        let (a, b, c) = ((0, Stance::Affirmed), (1, Stance::Negated), (2, Stance::Affirmed));
        for _ in 0..9 {
            counting.add(&[a], 1, &[0.9, 0.1], 1.0);
        }
        counting.add(&[b, c], 0, &[0.5, 0.5], 3.0);
        counting.add(&[c], 1, &[0.5, 0.5], 997.0);
        counting.add(&[c], 1, &[1.0, 0.0], 99_000.0);
        let ratios = counting.ratios(&codes).terms;
        let of = |code: &str| ratios.iter().find(|term| term.code == code).unwrap();
        assert_eq!(of("a").cases, 9.0);
        assert!((of("a").log_ratios[1] - (10.0f64 / 1.9).ln()).abs() < 1e-12);
        assert!((of("a").log_ratios[0] - (1.0f64 / 9.1).ln()).abs() < 1e-12);
        assert_eq!(of("b").stance, Stance::Negated);
        assert_eq!(of("c").log_ratios, [-CAP, CAP]);
        let mut rare = Counting::default();
        rare.add(&[a], 0, &[0.5, 0.5], 2.0);
        assert_eq!(rare.ratios(&codes), TermRatios::default());
    }
}
