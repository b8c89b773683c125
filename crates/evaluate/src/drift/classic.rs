//! The textbook p-values, for comparison with the permutation's.

use statrs::function::gamma::checked_gamma_ur;

/// Upper tail of the chi-square distribution; 1 without degrees of freedom.
#[must_use]
pub fn chi_square_p(statistic: f64, degrees: u64) -> f64 {
    if degrees == 0 || statistic <= 0.0 {
        return 1.0;
    }
    checked_gamma_ur(degrees as f64 / 2.0, statistic / 2.0).map_or(0.0, |p| p.clamp(0.0, 1.0))
}

/// P(D >= d) for two samples of continuous features, from Kolmogorov's limiting distribution at the effective size n m / (n + m).
#[must_use]
pub fn ks_asymptotic_p(d: f64, n: u64, m: u64) -> f64 {
    let (n, m) = (n as f64, m as f64);
    kolmogorov((n * m / (n + m)).sqrt() * d)
}

/// Upper tail of Kolmogorov's distribution; two series, each where it converges at once.
fn kolmogorov(x: f64) -> f64 {
    use std::f64::consts::PI;
    if x < 0.04 {
        return 1.0;
    }
    if x < 1.18 {
        let below: f64 =
            (1..=4).map(|k| (-f64::from(2 * k - 1).powi(2) * PI * PI / (8.0 * x * x)).exp()).sum();
        return 1.0 - (2.0 * PI).sqrt() / x * below;
    }
    let term = |k: i32| f64::from(1 - 2 * ((k + 1) % 2)) * (-2.0 * f64::from(k * k) * x * x).exp();
    2.0 * (1..=6).map(term).sum::<f64>()
}

/// P(D >= d) for two samples of a continuous feature, exact: of all orders in which `n` and `m` patients can come, the
/// share whose distribution functions are at some place `gap / (n m)` or more apart. `n m` steps.
#[must_use]
pub fn ks_exact_p(gap: u128, n: u64, m: u64) -> f64 {
    if gap == 0 {
        return 1.0;
    }
    // Orders are paths from (0, 0) to (n, m); `reached[j]` is the chance to come to (i, j) without having been so far
    // apart. What leaves the strip is added up where it leaves, so that a small p-value keeps its digits.
    let mut reached = vec![0.0; m as usize + 1];
    let mut left = 0.0;
    for i in 0..=n {
        for j in 0..=m {
            let before = (n + m - i - j + 1) as f64;
            let from_i = if i > 0 { reached[j as usize] * (n - i + 1) as f64 / before } else { 0.0 };
            let from_j = if j > 0 { reached[j as usize - 1] * (m - j + 1) as f64 / before } else { 0.0 };
            let here = if i == 0 && j == 0 { 1.0 } else { from_i + from_j };
            let outside = (u128::from(i) * u128::from(m)).abs_diff(u128::from(j) * u128::from(n)) >= gap;
            left += if outside { here } else { 0.0 };
            reached[j as usize] = if outside { 0.0 } else { here };
        }
    }
    f64::min(left, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_series_of_kolmogorov_meet() {
        for x in [0.9f64, 1.0, 1.18] {
            let below = kolmogorov(x - 1e-12);
            let above = 2.0
                * (1..=50)
                    .map(|k| f64::from(1 - 2 * ((k + 1) % 2)) * (-2.0 * f64::from(k * k) * x * x).exp())
                    .sum::<f64>();
            assert!((below - above).abs() < 1e-10, "{x}: {below} {above}");
        }
        assert_eq!((kolmogorov(0.0), kolmogorov(0.03)), (1.0, 1.0));
        assert!(kolmogorov(40.0) < 1e-300);
    }

    #[test]
    fn two_samples_that_do_not_overlap_are_two_of_all_orders() {
        // 3 and 4: the first all before the second or all after, 2 of C(7,3) = 35.
        assert!((ks_exact_p(12, 3, 4) - 2.0 / 35.0).abs() < 1e-15);
        assert_eq!(ks_exact_p(0, 3, 4), 1.0);
    }
}
