//! The proof that the three sets are alike: shares per stratum, and the distribution of every number.
//!
//! Everything is computed from counts, so it is exact whatever the number of rows.

use std::collections::BTreeMap;

use clinical::{Study, study::Accepts};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

use super::Set;
use crate::{Cohort, Stratum};

/// How many cases had each value of one number input, by set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    pub input: String,
    /// `(value, set) -> cases`.
    pub counts: BTreeMap<(i32, Set), u64>,
}

/// The verified split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// One per severity x rarity (diseases added up), each set's cases and share.
    pub strata: Vec<Proportion>,
    /// Pearson's chi-square of sets x strata against independence.
    pub chi_square: f64,
    pub degrees_of_freedom: usize,
    /// `None` with fewer than two strata.
    pub p_value: Option<f64>,
    /// Means and variances of every number input, validation and test against training.
    pub moments: Vec<MomentCheck>,
    /// No p-value below 0.05 after Holm's correction over all tests of the report.
    pub alike: bool,
}

/// Where the cases of one stratum went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    pub severity: String,
    pub rarity: Option<String>,
    /// Cases in training, validation and test.
    pub cases: [u64; 3],
    /// Their shares; they sum to 1.
    pub shares: [f64; 3],
}

/// One number input in one set against the training set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MomentCheck {
    pub input: String,
    pub set: Set,
    pub mean: f64,
    pub variance: f64,
    pub training_mean: f64,
    pub training_variance: f64,
    /// Welch's t-test of the means.
    pub mean_p: Option<f64>,
    /// Brown-Forsythe's test of the variances (Levene's around the median), two groups.
    pub variance_p: Option<f64>,
}

/// Counts of one number in one set.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    n: f64,
    mean: f64,
    variance: f64,
}

impl Comparison {
    /// Mean and unbiased variance of weighted values.
    fn of(values: &[(f64, f64)]) -> Comparison {
        let n: f64 = values.iter().map(|(_, weight)| weight).sum();
        let mean =
            if n > 0.0 { values.iter().map(|(value, weight)| value * weight).sum::<f64>() / n } else { 0.0 };
        let squares: f64 = values.iter().map(|(value, weight)| weight * (value - mean).powi(2)).sum();
        Comparison { n, mean, variance: if n > 1.0 { squares / (n - 1.0) } else { 0.0 } }
    }

    /// Welch's two-sided p-value; `None` when either sample is too small or constant.
    fn welch(&self, other: &Comparison) -> Option<f64> {
        let (a, b) = (self.variance / self.n, other.variance / other.n);
        let usable = self.n >= 2.0 && other.n >= 2.0 && a + b > 0.0;
        if !usable {
            return None;
        }
        let t = (self.mean - other.mean) / (a + b).sqrt();
        let freedom = (a + b).powi(2) / (a * a / (self.n - 1.0) + b * b / (other.n - 1.0));
        let distribution = StudentsT::new(0.0, 1.0, freedom).ok()?;
        Some((2.0 * distribution.sf(t.abs())).clamp(0.0, 1.0))
    }
}

/// Verifies the split of a cohort. `histograms` hold the study's number inputs (raw values, not categories).
pub fn verify(study: &Study, cohort: &Cohort, histograms: &[Histogram]) -> SplitReport {
    let strata = proportions(study, cohort);
    let (chi_square, degrees_of_freedom, p_value) = independence(&strata);
    let moments: Vec<MomentCheck> = histograms
        .iter()
        .filter(|histogram| {
            study.input(&histogram.input).is_some_and(|input| matches!(input.accepts, Accepts::Number { .. }))
        })
        .flat_map(compare)
        .collect();
    let p_values: Vec<f64> = p_value
        .into_iter()
        .chain(moments.iter().flat_map(|check| [check.mean_p, check.variance_p]).flatten())
        .collect();
    SplitReport {
        strata,
        chi_square,
        degrees_of_freedom,
        p_value,
        moments,
        alike: holm_all_hold(p_values, 0.05),
    }
}

fn proportions(study: &Study, cohort: &Cohort) -> Vec<Proportion> {
    let mut cases: BTreeMap<Stratum, [u64; 3]> = BTreeMap::new();
    for count in cohort.counts() {
        let stratum = Stratum { disease_code: None, ..cohort.strata()[count.stratum].clone() };
        cases.entry(stratum).or_default()[Set::of_slot(&study.split, count.slot) as usize] += count.count;
    }
    cases
        .into_iter()
        .map(|(stratum, cases)| {
            let total = cases.iter().sum::<u64>() as f64;
            Proportion {
                severity: study.severity(stratum.severity).code.clone(),
                rarity: stratum.rarity.map(|rarity| rarity.code().to_owned()),
                cases,
                shares: cases.map(|cases| cases as f64 / total),
            }
        })
        .collect()
}

fn independence(strata: &[Proportion]) -> (f64, usize, Option<f64>) {
    let mut columns = [0.0; 3];
    for stratum in strata {
        for (column, &cases) in columns.iter_mut().zip(&stratum.cases) {
            *column += cases as f64;
        }
    }
    let total: f64 = columns.iter().sum();
    let mut chi_square = 0.0;
    for stratum in strata {
        let row: f64 = stratum.cases.iter().sum::<u64>() as f64;
        for (column, &cases) in columns.iter().zip(&stratum.cases) {
            let expected = row * column / total;
            if expected > 0.0 {
                chi_square += (cases as f64 - expected).powi(2) / expected;
            }
        }
    }
    let freedom = strata.len().saturating_sub(1)
        * columns.iter().filter(|&&column| column > 0.0).count().saturating_sub(1);
    let p = ChiSquared::new(freedom as f64).ok().map(|distribution| distribution.sf(chi_square));
    (chi_square, freedom, p)
}

fn compare(histogram: &Histogram) -> Vec<MomentCheck> {
    let values = |set: Set| -> Vec<(f64, f64)> {
        let of_set = histogram.counts.iter().filter(|((_, counted), _)| *counted == set);
        of_set.map(|((value, _), &cases)| (f64::from(*value), cases as f64)).collect()
    };
    let training = values(Set::Train);
    let reference = Comparison::of(&training);
    [Set::Validation, Set::Test]
        .into_iter()
        .map(|set| {
            let own = values(set);
            let compared = Comparison::of(&own);
            MomentCheck {
                input: histogram.input.clone(),
                set,
                mean: compared.mean,
                variance: compared.variance,
                training_mean: reference.mean,
                training_variance: reference.variance,
                mean_p: compared.welch(&reference),
                variance_p: brown_forsythe(&own, &training),
            }
        })
        .collect()
}

/// Brown-Forsythe for two groups: a t-test (equal variances, so F with 1 degree) of the distances to the median.
fn brown_forsythe(a: &[(f64, f64)], b: &[(f64, f64)]) -> Option<f64> {
    let distances = |values: &[(f64, f64)]| {
        let middle = median(values);
        Comparison::of(
            &values.iter().map(|(value, weight)| ((value - middle).abs(), *weight)).collect::<Vec<_>>(),
        )
    };
    let (a, b) = (distances(a), distances(b));
    let freedom = a.n + b.n - 2.0;
    if freedom < 1.0 {
        return None;
    }
    let pooled = ((a.n - 1.0) * a.variance + (b.n - 1.0) * b.variance) / freedom;
    let error = (pooled * (1.0 / a.n + 1.0 / b.n)).sqrt();
    if !(error.is_finite() && error > 0.0) {
        return None;
    }
    let distribution = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some((2.0 * distribution.sf(((a.mean - b.mean) / error).abs())).clamp(0.0, 1.0))
}

/// The median of values sorted ascending with integer weights; the mean of the middle two for an even count.
fn median(values: &[(f64, f64)]) -> f64 {
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut seen = 0.0;
    for (position, (value, weight)) in values.iter().enumerate() {
        seen += weight;
        if seen > half {
            return *value;
        }
        if seen == half {
            return values.get(position + 1).map_or(*value, |next| (value + next.0) / 2.0);
        }
    }
    0.0
}

/// Holm's step-down: whether none of the hypotheses is rejected at `alpha` family-wise.
fn holm_all_hold(mut p_values: Vec<f64>, alpha: f64) -> bool {
    p_values.sort_unstable_by(f64::total_cmp);
    p_values.first().is_none_or(|smallest| *smallest > alpha / p_values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(values: &[i32]) -> Vec<(f64, f64)> {
        let mut counts: BTreeMap<i32, f64> = BTreeMap::new();
        for value in values {
            *counts.entry(*value).or_default() += 1.0;
        }
        counts.into_iter().map(|(value, weight)| (f64::from(value), weight)).collect()
    }

    /// scipy 1.17: `ttest_ind(a, b, equal_var=False)` and `levene(a, b, center="median")`.
    #[test]
    fn tests_agree_with_scipy() {
        let a = weighted(&[1, 2, 2, 3, 5, 8, 9, 9, 12, 20]);
        let b = weighted(&[4, 4, 5, 6, 7, 7, 8, 9]);
        let p = Comparison::of(&a).welch(&Comparison::of(&b)).unwrap();
        let q = brown_forsythe(&a, &b).unwrap();
        assert!((p - REFERENCE.0).abs() < 1e-10, "{p}");
        assert!((q - REFERENCE.1).abs() < 1e-10, "{q}");
    }
    const REFERENCE: (f64, f64) = (0.6732254751526748, 0.03200651702114709);

    #[test]
    fn a_shifted_set_is_not_alike_and_an_equal_one_is() {
        let study = Study::default_study();
        let stratum = Stratum { severity: study.healthy(), rarity: None, disease_code: None };
        let cohort = Cohort::new((0..20).map(|slot| (0, slot, stratum.clone(), 100)));
        let histogram = |shift: i32| {
            let mut counts = BTreeMap::new();
            for value in 20..80 {
                counts.insert((value, Set::Train), 30);
                counts.insert((value + shift, Set::Validation), 6);
                counts.insert((value, Set::Test), 6);
            }
            Histogram { input: "age_years".into(), counts }
        };
        assert!(verify(study, &cohort, &[histogram(0)]).alike);
        let shifted = verify(study, &cohort, &[histogram(10)]);
        assert!(!shifted.alike);
        assert_eq!(shifted.moments.len(), 2);
        assert_eq!(shifted.strata[0].cases, [1400, 300, 300]);
    }
}
