//! Sums over counted cases that every learner needs.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Binomial, Distribution};

use crate::probability::softmax_into;
use crate::{Error, Matrix, Result};

/// Rows whose draws share a stretch of the random stream.
pub(super) const BLOCK: usize = 256;

/// The rows that have cases, and their counts; the first row where none has, so that a part of a job
/// without cases takes part all the same.
#[derive(Debug)]
pub(super) struct Cases {
    /// Positions among the rows, ascending.
    pub(super) rows: Vec<usize>,
    pub(super) counts: Matrix<f64>,
    /// Position of the first row in the whole.
    first: usize,
}

impl Cases {
    /// Of the rows with these counts, the first of which is number `first` of the whole.
    pub(super) fn of(counts: &Matrix<f64>, first: usize) -> Self {
        let has_cases = |row: &[f64]| row.iter().any(|&count| count > 0.0);
        let mut rows: Vec<usize> =
            counts.iter_rows().enumerate().filter(|(_, row)| has_cases(row)).map(|(i, _)| i).collect();
        if rows.is_empty() {
            rows.push(0);
        }
        Cases { counts: counts.select(&rows), rows, first }
    }

    /// Draws each case with probability `share`: the distribution of subsampling the rows. What a
    /// block of rows draws depends on the seed, the round and its position alone, so that parts of the
    /// rows draw what the whole draws.
    pub(super) fn thinned(&self, share: f64, seed: u64, round: usize) -> Result<Matrix<f64>> {
        let mut drawn = Matrix::zeros(self.counts.rows(), self.counts.columns());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut at = None;
        for (i, (&row, counts)) in self.rows.iter().zip(self.counts.iter_rows()).enumerate() {
            let block = ((self.first + row) / BLOCK) as u64;
            if at != Some(block) {
                at = Some(block);
                rng.set_stream(block);
                // No block of rows draws 2^32 words in one round.
                rng.set_word_pos((round as u128) << 32);
            }
            for (drawn, &count) in drawn.row_mut(i).iter_mut().zip(counts).filter(|(_, count)| **count > 0.0)
            {
                let binomial =
                    Binomial::new(count as u64, share).map_err(|error| Error::Invalid(error.to_string()))?;
                *drawn = binomial.sample(&mut rng) as f64;
            }
        }
        Ok(drawn)
    }
}

/// Cases of each class.
pub(super) fn totals(counts: &Matrix<f64>) -> Vec<f64> {
    let mut totals = vec![0.0; counts.columns()];
    for row in counts.iter_rows() {
        row.iter().zip(&mut totals).for_each(|(count, total)| *total += count);
    }
    totals
}

/// Every class's counts times its weight.
pub(super) fn weighted(counts: &Matrix<f64>, weights: &[f64]) -> Matrix<f64> {
    let mut weighted = counts.clone();
    for i in 0..weighted.rows() {
        weighted.row_mut(i).iter_mut().zip(weights).for_each(|(count, weight)| *count *= weight);
    }
    weighted
}

/// Log of the classes' shares, centred: the margins of a model that knows nothing else. A class
/// without a case counts half of one.
pub(super) fn log_shares(totals: &[f64]) -> Vec<f64> {
    let logs: Vec<f64> =
        totals.iter().map(|total| if *total > 0.0 { total.ln() } else { 0.5f64.ln() }).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.iter().map(|log| log - mean).collect()
}

/// Sum of the log losses of counted cases, and their number.
pub(super) fn log_loss(margins: &Matrix<f32>, counts: &Matrix<f64>) -> [f64; 2] {
    let mut p = vec![0.0; counts.columns()];
    let (mut loss, mut cases) = (0.0, 0.0);
    for (i, row) in counts.iter_rows().enumerate() {
        softmax_into(margins.row(i).iter().map(|&margin| f64::from(margin)), &mut p);
        for (&count, &p) in row.iter().zip(&p).filter(|(count, _)| **count > 0.0) {
            loss -= count * p.max(f64::MIN_POSITIVE).ln();
            cases += count;
        }
    }
    [loss, cases]
}

/// Mean of [`log_loss`].
pub(super) fn mean_log_loss(margins: &Matrix<f32>, counts: &Matrix<f64>) -> f64 {
    let [loss, cases] = log_loss(margins, counts);
    loss / cases
}
