//! Proportions of counts: the exact interval.

use statrs::function::beta::checked_beta_reg;
use statrs::function::erf::erf_inv;

use crate::figure::{Estimate, Figure};

/// Share of the two tails outside a 95 % interval, each.
const TAIL: f64 = 0.025;

/// From this many hits and misses on the score interval stands in for the exact one, which the continued fraction no
/// longer reaches; they differ by less than a quarter of a hit.
const MANY: u64 = 200_000;

/// The exact 95 % interval of a proportion, `hits` of `n` (Clopper and Pearson, Biometrika 26, 1934): both ends
/// are quantiles of beta distributions. `None` when `n` is 0 or `hits` exceeds it.
#[must_use]
pub fn clopper_pearson(hits: u64, n: u64) -> Option<(f64, f64)> {
    interval(hits, n, TAIL)
}

/// The same with `tail` outside on either side.
pub(crate) fn interval(hits: u64, n: u64, tail: f64) -> Option<(f64, f64)> {
    if n == 0 || hits > n {
        return None;
    }
    if hits.min(n - hits) >= MANY {
        return Some(score_interval(
            hits as f64,
            n as f64,
            std::f64::consts::SQRT_2 * erf_inv(1.0 - 2.0 * tail),
        ));
    }
    let (k, n) = (hits as f64, n as f64);
    let low = if k == 0.0 { 0.0 } else { beta_quantile(k, n - k + 1.0, tail) };
    let high = if k == n { 1.0 } else { beta_quantile(k + 1.0, n - k, 1.0 - tail) };
    Some((low, high))
}

/// `hits` of `n` as a figure.
pub(crate) fn proportion(hits: u64, n: u64, because_of_none: &str) -> Figure {
    match clopper_pearson(hits, n) {
        Some((low, high)) => Figure::Measured(Estimate { value: hits as f64 / n as f64, low, high, n }),
        None => Figure::undefined(because_of_none),
    }
}

/// Wilson's score interval with continuity correction (Newcombe, Statistics in Medicine 17, 1998, method 4).
fn score_interval(hits: f64, n: f64, z: f64) -> (f64, f64) {
    let (z2, p, centre) = (z * z, hits / n, 2.0 * hits + z * z);
    let low = centre - 1.0 - z * (z2 - 2.0 - 1.0 / n + 4.0 * p * (n - hits + 1.0)).sqrt();
    let high = centre + 1.0 + z * (z2 + 2.0 - 1.0 / n + 4.0 * p * (n - hits - 1.0)).sqrt();
    (low / (2.0 * (n + z2)), high / (2.0 * (n + z2)))
}

/// By bisection on the distribution function: slower than a Newton scheme and right at both ends, where those fail.
fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    while high - low > f64::EPSILON * high {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        // a and b are at least 1 and `middle` lies inside 0..1, so the function is defined.
        match checked_beta_reg(a, b, middle) {
            Ok(share) if share >= p => high = middle,
            _ => low = middle,
        }
    }
    f64::midpoint(low, high)
}
