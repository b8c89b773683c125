//! Batches of cases, drawn in proportion to their weights.

use rand_chacha::ChaCha8Rng;

use super::uniform;
use crate::Matrix;

/// The cases of distinct rows, in the order of the rows' numbers.
pub(super) struct Batches {
    x: Matrix<f32>,
    classes: usize,
    /// Row, class and sum of the weights up to here of everything that has a weight.
    cases: Vec<(u32, u32, f64)>,
    /// Cases of an epoch and of a batch.
    draws: usize,
    size: usize,
}

/// Distinct rows with the shares of each class among the batch's cases; all shares add up to 1.
pub(super) struct Batch {
    pub(super) x: Matrix<f32>,
    pub(super) shares: Matrix<f32>,
}

impl Batches {
    /// Of the rows of `x` with their cases of each class, `size` per batch, at most `largest` per epoch.
    pub(super) fn new(x: &Matrix<f32>, counts: &Matrix<f64>, size: usize, largest: usize) -> Self {
        let classes = counts.columns();
        let mut order: Vec<usize> =
            (0..x.rows()).filter(|&i| counts.row(i).iter().any(|count| *count > 0.0)).collect();
        let compare = |a: &usize, b: &usize| {
            let pairs = x.row(*a).iter().zip(x.row(*b));
            pairs
                .map(|(a, b)| a.total_cmp(b))
                .find(|order| order.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        };
        order.sort_by(compare);
        let mut first = Vec::new();
        let (mut cases, mut sum) = (Vec::new(), 0.0);
        for same in order.chunk_by(|a, b| compare(a, b).is_eq()) {
            for class in 0..classes {
                let weight: f64 = same.iter().map(|&i| counts.row(i)[class]).sum();
                if weight > 0.0 {
                    sum += weight;
                    cases.push((first.len() as u32, class as u32, sum));
                }
            }
            first.extend(same.first());
        }
        let draws = (sum.ceil() as usize).clamp(1, largest);
        Batches { x: x.select(&first), classes, cases, draws, size: size.min(draws) }
    }

    /// Batches of an epoch.
    pub(super) fn per_epoch(&self) -> usize {
        self.draws.div_ceil(self.size)
    }

    /// The batches of one epoch: one case from each of as many equal stretches of the weights as there
    /// are draws, shuffled.
    pub(super) fn epoch<'a>(&'a self, rng: &mut ChaCha8Rng) -> impl Iterator<Item = Batch> + use<'a> {
        let total = self.cases.last().map_or(0.0, |(_, _, sum)| *sum);
        let mut at = 0;
        let mut drawn: Vec<usize> = (0..self.draws)
            .map(|draw| {
                let weight = (draw as f64 + uniform(rng)) / self.draws as f64 * total;
                while at + 1 < self.cases.len() && self.cases[at].2 <= weight {
                    at += 1;
                }
                at
            })
            .collect();
        for i in (1..drawn.len()).rev() {
            drawn.swap(i, (uniform(rng) * (i + 1) as f64) as usize);
        }
        // Equal sizes: a small last batch would weigh its cases more than the others do.
        let batches = self.per_epoch();
        (0..batches).map(move |batch| {
            let part = batch * drawn.len() / batches..(batch + 1) * drawn.len() / batches;
            self.batch(&drawn[part])
        })
    }

    fn batch(&self, drawn: &[usize]) -> Batch {
        let mut drawn: Vec<(u32, u32)> =
            drawn.iter().map(|&case| (self.cases[case].0, self.cases[case].1)).collect();
        drawn.sort_unstable();
        let share = 1.0 / drawn.len() as f32;
        let mut rows = Vec::new();
        let mut shares = Vec::new();
        for same in drawn.chunk_by(|a, b| a.0 == b.0) {
            let begin = shares.len();
            shares.resize(begin + self.classes, 0.0);
            for (row, class) in same {
                shares[begin + *class as usize] += share;
                if rows.last() != Some(&(*row as usize)) {
                    rows.push(*row as usize);
                }
            }
        }
        let shares = Matrix::from_vec(rows.len(), self.classes, shares).unwrap_or_default();
        Batch { x: self.x.select(&rows), shares }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn counted(batches: &Batches) -> Vec<(Vec<f32>, Vec<f32>)> {
        let size = batches.draws as f32 / batches.per_epoch() as f32;
        let mut all = std::collections::BTreeMap::<Vec<u32>, Vec<f32>>::new();
        for batch in batches.epoch(&mut ChaCha8Rng::seed_from_u64(3)) {
            for (x, shares) in batch.x.iter_rows().zip(batch.shares.iter_rows()) {
                let sums = all.entry(x.iter().map(|x| x.to_bits()).collect()).or_insert_with(|| vec![0.0; 2]);
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share * size);
            }
        }
        let rows = all.into_iter().map(|(x, sums)| (x.into_iter().map(f32::from_bits).collect(), sums));
        rows.map(|(x, sums)| (x, sums.iter().map(|sum| sum.round()).collect())).collect()
    }

    #[test]
    fn an_epoch_sees_every_case_once() {
        let x = Matrix::from_vec(3, 1, vec![0.0, 1.0, 2.0]).unwrap();
        let counts = Matrix::from_vec(3, 2, vec![5.0, 2.0, 0.0, 0.0, 1.0, 8.0]).unwrap();
        let batches = Batches::new(&x, &counts, 4, 1000);
        assert_eq!((batches.draws, batches.per_epoch()), (16, 4));
        assert_eq!(counted(&batches), [(vec![0.0], vec![5.0, 2.0]), (vec![2.0], vec![1.0, 8.0])]);
    }

    #[test]
    fn repeated_rows_in_any_order_are_the_cell() {
        let cell = Batches::new(
            &Matrix::from_vec(2, 1, vec![3.0, 7.0]).unwrap(),
            &Matrix::from_vec(2, 2, vec![2.0, 1.0, 0.0, 3.0]).unwrap(),
            2,
            1000,
        );
        let rows = Batches::new(
            &Matrix::from_vec(6, 1, vec![7.0, 3.0, 7.0, 3.0, 7.0, 3.0]).unwrap(),
            &Matrix::from_vec(6, 2, vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
                .unwrap(),
            2,
            1000,
        );
        let all = |batches: &Batches| -> Vec<(Vec<f32>, Vec<f32>)> {
            let epoch = batches.epoch(&mut ChaCha8Rng::seed_from_u64(1));
            epoch.map(|batch| (batch.x.into_vec(), batch.shares.into_vec())).collect()
        };
        assert_eq!(all(&cell), all(&rows));
    }

    #[test]
    fn more_cases_than_an_epoch_holds_are_drawn_in_proportion() {
        let x = Matrix::from_vec(2, 1, vec![0.0, 1.0]).unwrap();
        let counts = Matrix::from_vec(2, 2, vec![7e6, 2e6, 0.0, 1e6]).unwrap();
        let batches = Batches::new(&x, &counts, 50, 100);
        assert_eq!(counted(&batches), [(vec![0.0], vec![70.0, 20.0]), (vec![1.0], vec![0.0, 10.0])]);
    }
}
