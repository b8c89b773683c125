//! How a number is scaled, decided by a test and recorded.
//!
//! A feature whose training distribution passes D'Agostino and Pearson's omnibus test of normality
//! (Biometrika 1973;60:613) is standardised; any other is normalised to 0..1 over the range that the
//! study accepts, so that no possible patient falls outside.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Smallest sample for which the test's approximations hold.
const SMALLEST_SAMPLE: f64 = 20.0;

/// The test's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normality {
    pub test: String,
    /// K squared; `None` when the sample is too small or constant.
    pub statistic: Option<f64>,
    pub p_value: Option<f64>,
    /// Training cases.
    pub n: u64,
}

/// `scaled = (value - offset) / factor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    pub feature: String,
    pub kind: ScaleKind,
    pub offset: f64,
    pub factor: f64,
    pub normality: Normality,
}

/// Which of the two scalings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleKind {
    /// Mean 0, standard deviation 1 over the training cases.
    Standardised,
    /// 0..1 over the accepted range.
    Normalised,
}

impl Scale {
    /// Decides for one feature. `counts[i]` training cases have the value `min + i`.
    pub fn fit(feature: &str, min: i32, counts: &[u64], alpha: f64) -> Scale {
        let values =
            || counts.iter().enumerate().map(|(i, &count)| (f64::from(min) + i as f64, count as f64));
        let n: f64 = values().map(|(_, count)| count).sum();
        let mean = values().map(|(value, count)| value * count).sum::<f64>() / n.max(1.0);
        let moment = |power: i32| {
            values().map(|(value, count)| count * (value - mean).powi(power)).sum::<f64>() / n.max(1.0)
        };
        let (second, third, fourth) = (moment(2), moment(3), moment(4));
        let tested = (n >= SMALLEST_SAMPLE && second > 0.0).then(|| omnibus(n, second, third, fourth));
        let normality = Normality {
            test: "D'Agostino-Pearson K2".to_owned(),
            statistic: tested.map(|(statistic, _)| statistic),
            p_value: tested.map(|(_, p)| p),
            n: counts.iter().sum(),
        };
        let gaussian = tested.is_some_and(|(_, p)| p >= alpha);
        let (kind, offset, factor) = if gaussian {
            (ScaleKind::Standardised, mean, second.sqrt())
        } else {
            (ScaleKind::Normalised, f64::from(min), (counts.len().max(2) - 1) as f64)
        };
        Scale { feature: feature.to_owned(), kind, offset, factor, normality }
    }

    pub fn apply(&self, value: f64) -> f64 {
        (value - self.offset) / self.factor
    }
}

/// K squared and its p-value from the sample size and the central moments 2 to 4: the squares of the
/// normal approximations to skewness (D'Agostino 1970) and kurtosis (Anscombe and Glynn 1983).
fn omnibus(n: f64, second: f64, third: f64, fourth: f64) -> (f64, f64) {
    let statistic =
        skewness_z(n, third / second.powf(1.5)).powi(2) + kurtosis_z(n, fourth / second.powi(2)).powi(2);
    let p = ChiSquared::new(2.0).map_or(0.0, |distribution| distribution.sf(statistic));
    (statistic, p)
}

fn skewness_z(n: f64, skewness: f64) -> f64 {
    let y = skewness * ((n + 1.0) * (n + 3.0) / (6.0 * (n - 2.0))).sqrt();
    let beta2 = 3.0 * (n * n + 27.0 * n - 70.0) * (n + 1.0) * (n + 3.0)
        / ((n - 2.0) * (n + 5.0) * (n + 7.0) * (n + 9.0));
    let w2 = (2.0 * (beta2 - 1.0)).sqrt() - 1.0;
    let delta = 1.0 / (0.5 * w2.ln()).sqrt();
    let alpha = (2.0 / (w2 - 1.0)).sqrt();
    delta * ((y / alpha) + ((y / alpha).powi(2) + 1.0).sqrt()).ln()
}

fn kurtosis_z(n: f64, kurtosis: f64) -> f64 {
    let expected = 3.0 * (n - 1.0) / (n + 1.0);
    let variance = 24.0 * n * (n - 2.0) * (n - 3.0) / ((n + 1.0).powi(2) * (n + 3.0) * (n + 5.0));
    let x = (kurtosis - expected) / variance.sqrt();
    let root_beta1 = 6.0 * (n * n - 5.0 * n + 2.0) / ((n + 7.0) * (n + 9.0))
        * (6.0 * (n + 3.0) * (n + 5.0) / (n * (n - 2.0) * (n - 3.0))).sqrt();
    let a = 6.0 + 8.0 / root_beta1 * (2.0 / root_beta1 + (1.0 + 4.0 / root_beta1.powi(2)).sqrt());
    let inner = (1.0 - 2.0 / a) / (1.0 + x * (2.0 / (a - 4.0)).sqrt());
    let correction = 1.0 - 2.0 / (9.0 * a);
    // A negative ratio (an extreme sample) has no cube root in scipy's form; its sign is kept here.
    (correction - inner.cbrt()) / (2.0 / (9.0 * a)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(min: i32, max: i32, values: impl IntoIterator<Item = i32>) -> Vec<u64> {
        let mut counts = vec![0; (max - min + 1) as usize];
        for value in values {
            counts[(value - min) as usize] += 1;
        }
        counts
    }

    /// scipy 1.17: `stats.normaltest`.
    #[test]
    fn the_omnibus_test_agrees_with_scipy() {
        let bell = [52, 55, 60, 61, 58, 57, 63, 49, 50, 56, 58, 59, 62, 54, 53, 57, 58, 60, 61, 47];
        let scale = Scale::fit("x", 0, &counts(0, 120, bell), 0.05);
        assert!((scale.normality.statistic.unwrap() - 1.6725821738668445).abs() < 1e-10);
        assert!((scale.normality.p_value.unwrap() - 0.4333146732175659).abs() < 1e-10);
        assert_eq!(scale.kind, ScaleKind::Standardised);
        assert!((scale.apply(scale.offset)).abs() < 1e-12);

        let flat = Scale::fit("x", 0, &counts(0, 31, (0..32).chain(0..32).chain(0..32).chain([31; 5])), 0.05);
        assert!((flat.normality.statistic.unwrap() - 40.518550087140575).abs() < 1e-9);
        assert_eq!(flat.kind, ScaleKind::Normalised);
        assert_eq!((flat.apply(0.0), flat.apply(31.0)), (0.0, 1.0));
    }

    #[test]
    fn a_constant_or_tiny_sample_is_normalised_and_says_why_not_tested() {
        for values in [vec![5; 100], vec![1, 2, 3]] {
            let scale = Scale::fit("x", 0, &counts(0, 10, values), 0.05);
            assert_eq!(scale.kind, ScaleKind::Normalised);
            assert_eq!(scale.normality.statistic, None);
        }
    }
}
