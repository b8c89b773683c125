//! Draws from a finite distribution in constant time (Walker 1977, tables after Vose 1991).

use rand::RngCore;

use crate::error::{Error, Result};

/// Tables for one distribution over `0..n`.
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    /// Share of the column that belongs to its own index, in units of 2^-64.
    own: Vec<u64>,
    other: Vec<u32>,
}

impl Alias {
    /// `weights` need not add up to 1.
    ///
    /// # Errors
    /// [`Error::Weights`] where one is negative or not finite, or all are 0.
    pub(crate) fn new(weights: &[f64]) -> Result<Self> {
        let (n, sum) = (weights.len(), weights.iter().sum::<f64>());
        if !(sum > 0.0 && sum.is_finite()) || weights.iter().any(|w| !w.is_finite() || *w < 0.0) {
            return Err(Error::Weights);
        }
        let mut share: Vec<f64> = weights.iter().map(|w| w / sum * n as f64).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| share[i] < 1.0);
        let (mut own, mut other) = (vec![u64::MAX; n], (0..n as u32).collect::<Vec<_>>());
        while let (Some(&s), Some(&l)) = (small.last(), large.last()) {
            small.pop();
            own[s] = (share[s] * 2.0_f64.powi(64)) as u64;
            other[s] = l as u32;
            share[l] -= 1.0 - share[s];
            if share[l] < 1.0 {
                large.pop();
                small.push(l);
            }
        }
        // What is left differs from a full column by rounding only; but an impossible index stays impossible.
        if let Some(likely) = (0..n).max_by(|&a, &b| weights[a].total_cmp(&weights[b])) {
            for i in small.into_iter().filter(|&i| weights[i] == 0.0) {
                (own[i], other[i]) = (0, likely as u32);
            }
        }
        Ok(Self { own, other })
    }

    #[inline]
    pub(crate) fn draw(&self, rng: &mut impl RngCore) -> usize {
        // The high half of the product chooses a column, the low half a place in it.
        let place = u128::from(rng.next_u64()) * self.own.len() as u128;
        let column = (place >> 64) as usize;
        if (place as u64) < self.own[column] { column } else { self.other[column] as usize }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The distribution that the tables stand for, read from the tables themselves.
    fn implied(alias: &Alias) -> Vec<f64> {
        let n = alias.own.len();
        let mut p = vec![0.0; n];
        for i in 0..n {
            let own = alias.own[i] as f64 / 2.0_f64.powi(64);
            p[i] += own / n as f64;
            p[alias.other[i] as usize] += (1.0 - own) / n as f64;
        }
        p
    }

    #[test]
    fn the_tables_hold_the_distribution_exactly() {
        for weights in [vec![1.0], vec![0.0, 3.0, 1.0, 0.0], vec![1e-12, 1.0, 7.0, 0.3, 0.3], vec![0.1; 77]] {
            let sum: f64 = weights.iter().sum();
            for (p, w) in implied(&Alias::new(&weights).unwrap()).into_iter().zip(&weights) {
                assert!((p - w / sum).abs() < 1e-12, "{p} {w}");
            }
        }
    }

    #[test]
    fn an_impossible_index_is_never_drawn() {
        let alias = Alias::new(&[0.0, 0.1, 0.0, 0.7, 0.2, 0.0]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert!((0..100_000).all(|_| ![0, 2, 5].contains(&alias.draw(&mut rng))));
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        for weights in [vec![], vec![0.0], vec![1.0, -1.0], vec![f64::NAN], vec![f64::INFINITY]] {
            assert_eq!(Alias::new(&weights).unwrap_err(), Error::Weights);
        }
    }
}
