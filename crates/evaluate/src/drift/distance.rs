//! How far apart two counted samples are.

use super::Pair;

/// Largest difference of the distribution functions, 0 to 1.
#[must_use]
pub fn ks_statistic(pair: &Pair<'_>) -> f64 {
    let (n, m) = pair.sizes();
    ks_gap(pair) as f64 / (n as f64 * m as f64)
}

/// Kolmogorov-Smirnov's D times both sample sizes: a whole number, so that equal statistics compare as equal.
pub(super) fn ks_gap(pair: &Pair<'_>) -> u128 {
    gap(&pair.occupied())
}

pub(super) fn gap(levels: &[(u64, u64)]) -> u128 {
    let (n, m) = levels.iter().fold((0u64, 0u64), |sum, level| (sum.0 + level.0, sum.1 + level.1));
    // Small products stay in machine words, which the permutations' speed depends on.
    if n.checked_mul(m).is_some() {
        let (mut a, mut b, mut largest) = (0u64, 0u64, 0u64);
        for (x, y) in levels {
            (a, b) = (a + x, b + y);
            largest = largest.max((a * m).abs_diff(b * n));
        }
        return largest.into();
    }
    let (mut a, mut b, mut largest) = (0u128, 0u128, 0u128);
    for (x, y) in levels {
        (a, b) = (a + u128::from(*x), b + u128::from(*y));
        largest = largest.max((a * u128::from(m)).abs_diff(b * u128::from(n)));
    }
    largest
}

/// Half the summed difference of the shares, 0 to 1.
#[must_use]
pub fn total_variation(pair: &Pair<'_>) -> f64 {
    let (n, m) = pair.sizes();
    let apart: f64 = pair.levels().map(|(a, b)| (a as f64 / n as f64 - b as f64 / m as f64).abs()).sum();
    apart / 2.0
}

/// Pearson's chi-square of the 2 x k table without continuity correction, its degrees of freedom over the occupied levels, and the smallest expected count.
#[must_use]
pub fn chi_square(pair: &Pair<'_>) -> (f64, u64, f64) {
    chi_square_of(&pair.occupied())
}

pub(super) fn chi_square_of(levels: &[(u64, u64)]) -> (f64, u64, f64) {
    cells(levels, |observed, expected| (observed - expected).powi(2) / expected)
}

/// The likelihood-ratio statistic G of the same table, its degrees of freedom, and the smallest expected count.
#[must_use]
pub fn g_statistic(pair: &Pair<'_>) -> (f64, u64, f64) {
    let term = |observed: f64, expected: f64| match observed {
        0.0 => 0.0,
        _ => 2.0 * observed * (observed / expected).ln(),
    };
    cells(&pair.occupied(), term)
}

/// A sum over the table's cells of what is observed and, with these margins, expected.
fn cells(levels: &[(u64, u64)], term: impl Fn(f64, f64) -> f64) -> (f64, u64, f64) {
    let (n, m) = levels.iter().fold((0u64, 0u64), |sum, level| (sum.0 + level.0, sum.1 + level.1));
    let (n, m) = (n as f64, m as f64);
    let (mut sum, mut least) = (0.0, f64::INFINITY);
    for (a, b) in levels {
        let both = (a + b) as f64;
        for (observed, size) in [(*a, n), (*b, m)] {
            let expected = both * size / (n + m);
            sum += term(observed as f64, expected);
            least = least.min(expected);
        }
    }
    (sum.max(0.0), (levels.len() as u64).saturating_sub(1), least)
}

/// The bin of every level: `bins` of about equal mass of the reference, each level in the one that its middle falls into.
/// Equal values are never parted, so there may be fewer bins.
#[must_use]
pub fn quantile_bins(pair: &Pair<'_>, bins: usize) -> Vec<usize> {
    let total = pair.sizes().0 as f64;
    let mut below = 0;
    let bin = |count: &u64| {
        let middle = below as f64 + *count as f64 / 2.0;
        below += count;
        ((middle / total * bins as f64) as usize).min(bins.saturating_sub(1))
    };
    pair.reference.iter().map(bin).collect()
}

/// Population stability index: sum of (w - r) ln(w / r) over the shares of bins. Half a patient is added to every bin of
/// both samples, so that an empty one has a finite weight. `bin_of` gives every level's bin; a number may be left out.
#[must_use]
pub fn psi(pair: &Pair<'_>, bin_of: &[usize]) -> f64 {
    let count = bin_of.iter().max().map_or(0, |last| last + 1);
    let mut bins = vec![(0u64, 0u64); count];
    for ((a, b), &bin) in pair.levels().zip(bin_of) {
        bins[bin] = (bins[bin].0 + a, bins[bin].1 + b);
    }
    bins.retain(|(a, b)| a + b > 0);
    let (n, m) = pair.sizes();
    let share = |count: u64, size: u64| (count as f64 + 0.5) / (size as f64 + 0.5 * bins.len() as f64);
    bins.iter()
        .map(|&(a, b)| {
            let (reference, window) = (share(a, n), share(b, m));
            (window - reference) * (window / reference).ln()
        })
        .sum()
}

/// Wasserstein's first distance: how far patients have moved on average, in the feature's unit. `values` ascend, one per level.
#[must_use]
pub fn wasserstein(pair: &Pair<'_>, values: &[f64]) -> f64 {
    let (n, m) = pair.sizes();
    let (mut a, mut b, mut moved) = (0u64, 0u64, 0.0);
    for ((x, y), step) in pair.levels().zip(values.windows(2)) {
        (a, b) = (a + x, b + y);
        moved += (a as f64 / n as f64 - b as f64 / m as f64).abs() * (step[1] - step[0]);
    }
    moved
}
