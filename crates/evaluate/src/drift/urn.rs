//! Patients dealt anew to two samples: draws from the multivariate hypergeometric distribution.

use rand::Rng;
use rand_distr::{Binomial, Distribution};

use crate::{
    alias::Alias,
    error::{Error, Result},
};

/// Samples up to this many patients per level are drawn patient by patient.
const SINGLY_PER_LEVEL: u64 = 8;

/// The pooled patients by level.
#[derive(Debug)]
pub(super) struct Urn {
    pooled: Vec<u64>,
    /// Patients of the sample that is drawn: the smaller one.
    drawn: u64,
    /// Whether that is the first sample.
    first: bool,
    /// Chooses a patient's level, as the pool has them.
    level: Alias,
    /// Per level, how many of its patients come without looking at the others. Empty where patients are drawn one by one.
    bulk: Vec<Binomial>,
}

impl Urn {
    /// `first`: patients of the first sample; fewer than all.
    pub(super) fn new(pooled: Vec<u64>, first: u64) -> Result<Self> {
        let total: u64 = pooled.iter().sum();
        let drawn = first.min(total - first);
        let weights: Vec<f64> = pooled.iter().map(|&count| count as f64).collect();
        let level = Alias::new(&weights)?;
        let mut bulk = Vec::new();
        if drawn > SINGLY_PER_LEVEL * pooled.len() as u64 {
            // Every patient is taken by an independent coin, then more by lot until the number is right. Which number the
            // coins gave says nothing about which patients they took, so the result is a fair draw; the coin is one standard
            // deviation too low, so that there are rarely too many.
            let share = drawn as f64 / total as f64;
            let coin = (share - (share * (1.0 - share) / total as f64).sqrt()).max(0.0);
            for &count in &pooled {
                bulk.push(Binomial::new(count, coin).map_err(|_| Error::Weights)?);
            }
        }
        Ok(Self { pooled, drawn, first: drawn == first, level, bulk })
    }

    /// Deals all patients to the two samples.
    pub(super) fn deal(&self, rng: &mut impl Rng, out: &mut [(u64, u64)]) {
        let mut lacking = loop {
            let mut taken = 0;
            out.fill((0, 0));
            for (out, coins) in out.iter_mut().zip(&self.bulk) {
                out.0 = coins.sample(rng);
                taken += out.0;
            }
            if taken <= self.drawn {
                break self.drawn - taken;
            }
        };
        while lacking > 0 {
            let level = self.level.draw(rng);
            // A patient of this level by lot: taken before, or not?
            let patient = ((u128::from(rng.next_u64()) * u128::from(self.pooled[level])) >> 64) as u64;
            if patient >= out[level].0 {
                out[level].0 += 1;
                lacking -= 1;
            }
        }
        for (out, pooled) in out.iter_mut().zip(&self.pooled) {
            out.1 = pooled - out.0;
            if !self.first {
                *out = (out.1, out.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Mean and covariance against the multivariate hypergeometric's, drawn singly and in bulk, smaller sample first or second.
    #[test]
    fn deals_have_the_moments_of_the_distribution() {
        for (pooled, first) in [
            (vec![5, 20, 3], 9),
            (vec![5, 20, 3], 21),
            (vec![900, 7, 400, 1], 300),
            (vec![900, 7, 400, 1], 1000),
            (vec![1, 1], 1),
        ] {
            let urn = Urn::new(pooled.clone(), first).unwrap();
            let (total, n) = (pooled.iter().sum::<u64>() as f64, first as f64);
            let (mut rng, draws) = (ChaCha8Rng::seed_from_u64(5), 40_000);
            let mut dealt = vec![(0, 0); pooled.len()];
            let mut rows = Vec::new();
            for _ in 0..draws {
                urn.deal(&mut rng, &mut dealt);
                assert_eq!(dealt.iter().map(|level| level.0).sum::<u64>(), first);
                assert!(dealt.iter().zip(&pooled).all(|(level, pooled)| level.0 + level.1 == *pooled));
                rows.push(dealt.iter().map(|level| level.0 as f64).collect::<Vec<_>>());
            }
            let mean = |of: &dyn Fn(&Vec<f64>) -> f64| rows.iter().map(of).sum::<f64>() / f64::from(draws);
            let spread = n * (total - n) / (total * total * (total - 1.0).max(1.0));
            for (i, &a) in pooled.iter().enumerate() {
                let expected = n * a as f64 / total;
                let variance = spread * a as f64 * (total - a as f64);
                let found = mean(&|row| row[i]);
                assert!((found - expected).abs() <= 4.5 * (variance / f64::from(draws)).sqrt() + 1e-12);
                for (j, &b) in pooled.iter().enumerate().skip(i + 1) {
                    let covariance = -spread * a as f64 * b as f64;
                    let other = n * b as f64 / total;
                    let found = mean(&|row| (row[i] - expected) * (row[j] - other));
                    let bound =
                        8.0 * (variance * spread * b as f64 * (total - b as f64) / f64::from(draws)).sqrt();
                    assert!(
                        (found - covariance).abs() <= bound + 1e-12,
                        "{pooled:?} {i} {j}: {found} {covariance}"
                    );
                }
            }
        }
    }
}
