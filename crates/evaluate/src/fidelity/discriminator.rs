//! Can a small learner tell synthetic from real cases? Boosted trees of depth 2 on counted cells.

use clinical::{Kind, Study};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Both;
use crate::{
    figure::{Estimate, Figure},
    ranking::{Sweep, by_score},
};

const FOLDS: usize = 5;
const ROUNDS: usize = 60;
const RATE: f64 = 0.2;
const DEPTH: usize = 2;
/// L2 penalty on a leaf, in cases of the rarer kind.
const PENALTY: f64 = 1.0;
/// Fewer cases of a kind than this say nothing.
const FEWEST: u64 = 20;
/// Most classes that a number is cut into.
const CLASSES: usize = 32;

/// The cross-validated ROC area, with Hanley and McNeil's interval (1982).
pub(super) fn auc(study: &Study, both: &Both, seed: u64) -> Figure {
    let (real, synthetic) = (both.real.iter().sum::<u64>(), both.synthetic.iter().sum::<u64>());
    if real.min(synthetic) < FEWEST {
        return Figure::undefined(format!(
            "fewer than {FEWEST} real or synthetic cases cannot be told apart"
        ));
    }
    let table = Table::of(study, both);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let real_folds = deal(&both.real, &mut rng);
    let synthetic_folds = deal(&both.synthetic, &mut rng);
    // Both kinds weigh as much as the rarer one has cases.
    let least = real.min(synthetic) as f64;
    let scale = [least / real as f64, least / synthetic as f64];
    let (mut scores, mut weights) = (Vec::new(), Vec::new());
    for fold in 0..FOLDS {
        let train = |all: &[u64], folds: &[[u64; FOLDS]], scale: f64| -> Vec<f64> {
            all.iter().zip(folds).map(|(&all, of)| (all - of[fold]) as f64 * scale).collect()
        };
        let margins = table.boost(
            &train(&both.real, &real_folds, scale[0]),
            &train(&both.synthetic, &synthetic_folds, scale[1]),
        );
        for (row, margin) in margins.into_iter().enumerate() {
            let cases = (synthetic_folds[row][fold] as f64, real_folds[row][fold] as f64);
            if cases.0 + cases.1 > 0.0 {
                scores.push(margin);
                weights.push(cases);
            }
        }
    }
    figure(&scores, &weights, real, synthetic)
}

fn figure(scores: &[f64], weights: &[(f64, f64)], real: u64, synthetic: u64) -> Figure {
    let order = by_score(scores);
    let mut sweep = Sweep::default();
    for (at, &i) in order.iter().enumerate() {
        let last = order.get(at + 1).is_none_or(|&next| scores[next as usize] < scores[i as usize]);
        let (hits, misses) = weights[i as usize];
        sweep.step(hits, misses, last);
    }
    let Some(a) = sweep.roc_auc() else { return Figure::undefined("there is no real case to compare with") };
    let (q1, q2, square) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a), a * a);
    let (m, n) = (synthetic as f64, real as f64);
    let variance = (a * (1.0 - a) + (m - 1.0) * (q1 - square) + (n - 1.0) * (q2 - square)) / (m * n);
    let half = 1.96 * variance.max(0.0).sqrt();
    let (low, high) = ((a - half).max(0.0), (a + half).min(1.0));
    Figure::Measured(Estimate { value: a, low, high, n: real + synthetic })
}

/// Deals the cases of every row to the folds: evenly, the rest to folds drawn without repetition.
fn deal(counts: &[u64], rng: &mut ChaCha8Rng) -> Vec<[u64; FOLDS]> {
    let one = |&count: &u64| {
        let mut folds = [count / FOLDS as u64; FOLDS];
        let mut order: [usize; FOLDS] = std::array::from_fn(|fold| fold);
        for place in 0..(count % FOLDS as u64) as usize {
            let other = place + (rng.next_u64() % (FOLDS - place) as u64) as usize;
            order.swap(place, other);
            folds[order[place]] += 1;
        }
        folds
    };
    counts.iter().map(one).collect()
}

/// The rows' features as small whole numbers.
struct Table {
    /// Per feature: whether it is ordered, its number of classes, and the class of every row.
    features: Vec<(bool, usize, Vec<u32>)>,
    rows: usize,
}

/// Rows that go left.
#[derive(Clone, Copy)]
struct Split {
    feature: usize,
    /// Up to this class (ordered), or exactly this one.
    class: u32,
    gain: f64,
}

impl Table {
    fn of(study: &Study, both: &Both) -> Table {
        let feature = |(i, feature): (usize, &clinical::Feature)| {
            let ordered = matches!(feature.kind, Kind::Number { .. });
            let levels: Vec<usize> = both.levels.iter().map(|levels| levels[i]).collect();
            if !ordered {
                return (false, feature.dim(), levels.iter().map(|&level| level as u32).collect());
            }
            let mut distinct = levels.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let rank = |level: &usize| distinct.binary_search(level).unwrap_or_default();
            let class = |level: &usize| (rank(level) * CLASSES / distinct.len().max(CLASSES)) as u32;
            (true, CLASSES, levels.iter().map(class).collect())
        };
        Table {
            features: study.features().iter().enumerate().map(feature).collect(),
            rows: both.levels.len(),
        }
    }

    /// Log odds of synthetic against real for every row, fitted to weighted cases.
    fn boost(&self, real: &[f64], synthetic: &[f64]) -> Vec<f64> {
        let mut margins = vec![0.0; self.rows];
        let mut slopes = vec![(0.0, 0.0); self.rows];
        for _ in 0..ROUNDS {
            for (row, slope) in slopes.iter_mut().enumerate() {
                let p = 1.0 / (1.0 + f64::exp(-margins[row]));
                let n = real[row] + synthetic[row];
                *slope = (n * p - synthetic[row], n * p * (1.0 - p));
            }
            self.grow((0..self.rows as u32).collect(), DEPTH, &slopes, &mut margins);
        }
        margins
    }

    /// Grows one tree over some rows and adds its leaves to the margins.
    fn grow(&self, rows: Vec<u32>, depth: usize, slopes: &[(f64, f64)], margins: &mut [f64]) {
        let split = if depth > 0 { self.best(&rows, slopes) } else { None };
        match split {
            Some(split) => {
                let (left, right) = rows.into_iter().partition(|&row| self.left(split, row));
                self.grow(left, depth - 1, slopes, margins);
                self.grow(right, depth - 1, slopes, margins);
            }
            None => {
                let (g, h) = total(&rows, slopes);
                rows.iter().for_each(|&row| margins[row as usize] -= RATE * g / (h + PENALTY));
            }
        }
    }

    fn left(&self, split: Split, row: u32) -> bool {
        let (ordered, _, classes) = &self.features[split.feature];
        let class = classes[row as usize];
        if *ordered { class <= split.class } else { class == split.class }
    }

    /// The split with the largest gain, where there is any.
    fn best(&self, rows: &[u32], slopes: &[(f64, f64)]) -> Option<Split> {
        let all = total(rows, slopes);
        let score = |(g, h): (f64, f64)| g * g / (h + PENALTY);
        let mut best: Option<Split> = None;
        for (feature, (ordered, count, classes)) in self.features.iter().enumerate() {
            let mut sums = vec![(0.0, 0.0); *count];
            for &row in rows {
                let (g, h) = slopes[row as usize];
                let sum = &mut sums[classes[row as usize] as usize];
                *sum = (sum.0 + g, sum.1 + h);
            }
            let mut left = (0.0, 0.0);
            for (class, sum) in sums.iter().enumerate() {
                left = if *ordered { (left.0 + sum.0, left.1 + sum.1) } else { *sum };
                let gain = score(left) + score((all.0 - left.0, all.1 - left.1)) - score(all);
                if gain > best.map_or(1e-9, |best| best.gain) {
                    best = Some(Split { feature, class: class as u32, gain });
                }
            }
        }
        best
    }
}

fn total(rows: &[u32], slopes: &[(f64, f64)]) -> (f64, f64) {
    rows.iter().fold((0.0, 0.0), |sum, &row| {
        let (g, h) = slopes[row as usize];
        (sum.0 + g, sum.1 + h)
    })
}
