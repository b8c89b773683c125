//! How frequent orphan diseases are beside each other: their weights w_j.
//!
//! A hospital's few cases of each say little of that, and chosen ones (reviews, referrals) may mislead; a registry's point
//! prevalence says what is to be expected among everybody. Orphan diseases together always keep the weight of their counted
//! cases, so only the choice between them changes.

use std::collections::BTreeMap;

use clinical::orphanet;
use clinical::study;
use serde::{Deserialize, Serialize};

/// Where the weights come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// From the counted cases.
    #[default]
    Cases,
    /// From people with the disease among 100,000, by code: kept with a model, so that it does not change with the
    /// dictionary that it was looked up in.
    Prevalence(BTreeMap<String, f64>),
}

/// A disease as it is weighed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weighed<'a> {
    /// Severities of one disease share its code; what has none is one disease.
    pub(crate) code: Option<&'a str>,
    pub(crate) orphan: bool,
    pub(crate) cases: f64,
}

impl Prior {
    /// As a study wishes.
    pub fn of(wish: study::Prior) -> Prior {
        match wish {
            study::Prior::Cases => Prior::Cases,
            study::Prior::Prevalence => Prior::Prevalence(BTreeMap::new()),
        }
    }

    pub(crate) fn is_cases(&self) -> bool {
        *self == Prior::Cases
    }

    /// Looks up what is not known yet of a disease.
    pub(crate) fn learn(&mut self, code: &str) {
        if let Prior::Prevalence(known) = self
            && !known.contains_key(code)
            && let Some(among) = orphanet::prevalence(code)
        {
            known.insert(code.to_owned(), among);
        }
    }

    /// The weight of each disease, in cases: its own, or, of an orphan one by prevalence, its share of the orphan cases. The
    /// severities of a disease share its weight as their cases do. A disease whose prevalence nobody knows is taken to be as
    /// frequent as the median of the orphan diseases that have one; where none has, cases decide.
    pub(crate) fn weights(&self, diseases: &[Weighed<'_>]) -> Vec<f64> {
        let counted = || diseases.iter().map(|disease| disease.cases).collect();
        let Prior::Prevalence(known) = self else { return counted() };
        let mut cases: BTreeMap<&str, f64> = BTreeMap::new();
        let mut all = 0.0;
        for disease in diseases.iter().filter(|disease| disease.orphan && disease.cases > 0.0) {
            *cases.entry(disease.code.unwrap_or_default()).or_default() += disease.cases;
            all += disease.cases;
        }
        let mut found: Vec<f64> = cases.keys().filter_map(|code| known.get(*code).copied()).collect();
        found.sort_by(f64::total_cmp);
        let Some(&typical) = found.get(found.len() / 2) else { return counted() };
        let among = |code: &str| known.get(code).copied().unwrap_or(typical);
        let total: f64 = cases.keys().map(|code| among(code)).sum();
        let weight = |disease: &Weighed<'_>| {
            let code = disease.code.unwrap_or_default();
            match cases.get(code).filter(|_| disease.orphan) {
                Some(of_code) => all * (among(code) / total) * (disease.cases / of_code),
                None => disease.cases,
            }
        };
        diseases.iter().map(weight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &'static str, orphan: bool, cases: f64) -> Weighed<'static> {
        Weighed { code: Some(code), orphan, cases }
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn prevalence_shares_out_the_orphan_cases_and_nothing_else() {
        let known = [("b".to_owned(), 1.0), ("c".to_owned(), 3.0), ("d".to_owned(), 6.0)].into();
        let prior = Prior::Prevalence(known);
        // b has two severities, e no prevalence: the median of 1, 3 and 6.
        let diseases = [
            of("a", false, 100.0),
            of("b", true, 6.0),
            of("b", true, 2.0),
            of("c", true, 9.0),
            of("d", true, 1.0),
            of("e", true, 8.0),
        ];
        let weights = prior.weights(&diseases);
        close(&weights, &[100.0, 1.5, 0.5, 6.0, 12.0, 6.0]);
        close(&[weights.iter().sum()], &[126.0]);
        close(&Prior::Cases.weights(&diseases), &[100.0, 6.0, 2.0, 9.0, 1.0, 8.0]);
    }

    #[test]
    fn where_no_prevalence_is_known_cases_decide() {
        let prior = Prior::of(study::Prior::Prevalence);
        let diseases = [of("a", false, 10.0), of("b", true, 3.0), of("c", true, 0.0)];
        close(&prior.weights(&diseases), &[10.0, 3.0, 0.0]);
        // A disease of which all cases were taken back has no share.
        let mut prior = prior;
        prior.learn("ORPHA:586");
        let diseases = [of("ORPHA:586", true, 2.0), of("c", true, 0.0)];
        close(&prior.weights(&diseases), &[2.0, 0.0]);
        let Prior::Prevalence(known) = prior else { panic!() };
        assert_eq!(known, [("ORPHA:586".to_owned(), 11.1319)].into());
    }
}
