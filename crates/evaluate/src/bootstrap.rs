//! Bootstrap intervals (Efron 1979, percentile): patients drawn anew with replacement, which on counts is one
//! multinomial draw.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};
use serde::{Deserialize, Serialize};

use crate::{alias::Alias, error::Result};

/// Below this many patients every one of them is drawn singly.
const SINGLY: f64 = 1000.0;

/// Counts up to this one get a table of their Poisson distribution.
const TABULATED: u64 = 256;

/// How intervals are drawn. The same seed gives the same intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Number of resampled cohorts. 500 puts each end of a 95 % interval between the 13th and the 14th outermost.
    pub replicates: usize,
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { replicates: 500, seed: 0 }
    }
}

impl Bootstrap {
    /// Statistics of every resampled set of counts, one row per replicate.
    pub(crate) fn replicate<T>(
        &self,
        counts: &[u64],
        mut statistic: impl FnMut(&[f64]) -> T,
    ) -> Result<Vec<T>> {
        let resampler = Resampler::new(counts)?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut weights = vec![0.0; counts.len()];
        let mut out = Vec::with_capacity(self.replicates);
        for _ in 0..self.replicates {
            resampler.draw(&mut rng, &mut weights);
            out.push(statistic(&weights));
        }
        Ok(out)
    }
}

/// The 2.5 % and 97.5 % points of replicates, widened to hold `value`: a statistic that resampling shifts (a calibration
/// error grows with noise) must not lie outside its own interval. A replicate without the statistic counts as the
/// worst on the low side and as the best on the high side, so that missing ones widen the interval.
pub(crate) fn percentile_interval(value: f64, replicates: &[Option<f64>], range: (f64, f64)) -> (f64, f64) {
    if replicates.is_empty() {
        return range;
    }
    let quantile = |missing: f64, p: f64| {
        let mut sorted: Vec<f64> = replicates.iter().map(|r| r.unwrap_or(missing)).collect();
        sorted.sort_by(f64::total_cmp);
        let place = p * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        if below == above { below } else { below + (above - below) * place.fract() }
    };
    (quantile(range.0, 0.025).min(value), quantile(range.1, 0.975).max(value))
}

/// Exact multinomial draws of N patients over the counts' shares.
///
/// Independent Poisson draws, given their sum T, are multinomial; with means a little below the counts T seldom
/// exceeds N (then the draw is repeated, which depends on T alone), and the N - T patients that lack are drawn
/// singly. So a replicate costs the number of counts and some multiples of the root of N, not N.
struct Resampler {
    total: f64,
    /// Draws one patient.
    singly: Alias,
    /// One per count where patients are drawn in bulk, else none.
    bulk: Vec<Bulk>,
    tables: Vec<Alias>,
}

enum Bulk {
    Table(usize),
    Direct(Poisson<f64>),
    Never,
}

impl Resampler {
    fn new(counts: &[u64]) -> Result<Self> {
        let shares: Vec<f64> = counts.iter().map(|&c| c as f64).collect();
        let total: f64 = shares.iter().sum();
        let singly = Alias::new(&shares)?;
        let (mut bulk, mut tables) = (Vec::new(), Vec::new());
        if total >= SINGLY {
            let shrink = 1.0 - 4.0 / total.sqrt();
            let mut table_of = vec![None; TABULATED as usize + 1];
            for &count in counts {
                let mean = count as f64 * shrink;
                let known = usize::try_from(count).ok().filter(|&c| c < table_of.len());
                bulk.push(match known {
                    Some(0) => Bulk::Never,
                    Some(c) => {
                        if table_of[c].is_none() {
                            table_of[c] = Some(tables.len());
                            tables.push(Alias::new(&poisson(mean))?);
                        }
                        table_of[c].map_or(Bulk::Never, Bulk::Table)
                    }
                    None => Poisson::new(mean).map_or(Bulk::Never, Bulk::Direct),
                });
            }
        }
        Ok(Self { total, singly, bulk, tables })
    }

    fn draw(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) {
        let mut lacking = loop {
            let mut drawn = 0.0;
            if self.bulk.is_empty() {
                out.fill(0.0);
            }
            for (out, bulk) in out.iter_mut().zip(&self.bulk) {
                *out = match bulk {
                    Bulk::Table(t) => self.tables[*t].draw(rng) as f64,
                    Bulk::Direct(poisson) => poisson.sample(rng),
                    Bulk::Never => 0.0,
                };
                drawn += *out;
            }
            if drawn <= self.total {
                break self.total - drawn;
            }
        };
        while lacking >= 1.0 {
            out[self.singly.draw(rng)] += 1.0;
            lacking -= 1.0;
        }
    }
}

/// Probabilities of 0, 1, 2 … for a mean up to [`TABULATED`], up to where they vanish.
fn poisson(mean: f64) -> Vec<f64> {
    let longest = (mean + 12.0 * mean.sqrt() + 24.0) as usize;
    let mut p = vec![(-mean).exp()];
    for k in 1..longest {
        p.push(p[k - 1] * mean / k as f64);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and covariance of draws against the multinomial's, on both paths.
    #[test]
    fn draws_have_the_moments_of_a_multinomial() {
        for counts in [vec![5, 0, 20, 3], vec![1000, 7, 0, 400, 90_000, 1]] {
            let total: f64 = counts.iter().map(|&c| c as f64).sum();
            let b = 20_000;
            let draws = Bootstrap { replicates: b, seed: 7 }.replicate(&counts, <[f64]>::to_vec).unwrap();
            assert!(draws.iter().all(|d| d.iter().sum::<f64>() == total));
            for (i, &c) in counts.iter().enumerate() {
                let (share, values) = (c as f64 / total, draws.iter().map(|d| d[i]));
                let mean = values.clone().sum::<f64>() / b as f64;
                let variance = values.map(|v| (v - mean).powi(2)).sum::<f64>() / b as f64;
                let expected = total * share * (1.0 - share);
                assert!(
                    (mean - c as f64).abs() <= 4.5 * (expected / b as f64).sqrt(),
                    "{counts:?} {i}: {mean}"
                );
                // The variance of a variance estimate: 2 sigma^4 / b, and more for a rare count.
                let error = ((2.0 * expected.powi(2) + expected) / b as f64).sqrt();
                assert!((variance - expected).abs() <= 4.5 * error, "{counts:?} {i}: {variance} {expected}");
            }
            let (a, z) = (0, counts.len() - 2);
            let covariance =
                draws.iter().map(|d| (d[a] - counts[a] as f64) * (d[z] - counts[z] as f64)).sum::<f64>();
            let expected = -(counts[a] as f64) * counts[z] as f64 / total;
            let error = ((counts[a] * counts[z]) as f64 / b as f64).sqrt();
            assert!((covariance / b as f64 - expected).abs() < 4.5 * error);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_draws_and_another_seed_others() {
        let draw =
            |seed| Bootstrap { replicates: 3, seed }.replicate(&[900, 800, 3], <[f64]>::to_vec).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn missing_replicates_widen_the_interval_and_the_value_stays_inside() {
        let mut replicates = vec![Some(0.5); 90];
        assert_eq!(percentile_interval(0.5, &replicates, (0.0, 1.0)), (0.5, 0.5));
        replicates.extend([None; 10]);
        assert_eq!(percentile_interval(0.5, &replicates, (0.0, 1.0)), (0.0, 1.0));
        assert_eq!(percentile_interval(0.2, &[Some(0.4)], (0.0, 1.0)), (0.2, 0.4));
    }
}
