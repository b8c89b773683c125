//! Several experts, one distribution: the logarithmic opinion pool (Genest and Zidek 1986).
//!
//! p(group | x) is proportional to the product of p_m(group | x)^w_m over the experts m. The weights
//! come from scores of cases that no expert has seen; an expert is heard only where it helps by more
//! than one standard error, so that a useless one changes nothing.

use serde::{Deserialize, Serialize};

use crate::Matrix;
use crate::probability::softmax_into;

/// Strength of the pull of the weights towards the first expert alone: as of this many cases' worth of curvature.
const RIDGE: f64 = 4.0;
const MOST_STEPS: usize = 50;

/// Weights of the experts, none negative. The first one is the boosters' and is always heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    pub weights: Vec<f64>,
}

impl Pool {
    /// Only the first of `experts` experts, as it is.
    pub fn first(experts: usize) -> Pool {
        let mut weights = vec![0.0; experts];
        if let Some(first) = weights.first_mut() {
            *first = 1.0;
        }
        Pool { weights }
    }

    /// The pooled margins. `experts`: ln p of every group by each expert, expert after expert; `pooled` has one
    /// place per group.
    pub fn apply(&self, experts: &[f64], pooled: &mut [f64]) {
        pooled.fill(0.0);
        for (weight, margins) in self.weights.iter().zip(experts.chunks_exact(pooled.len().max(1))) {
            if *weight > 0.0 {
                pooled.iter_mut().zip(margins).for_each(|(sum, margin)| *sum += weight * margin);
            }
        }
    }

    /// The pooled margins of many patients, `n x groups`.
    pub fn apply_all(&self, experts: &Matrix<f64>, groups: usize) -> Matrix<f64> {
        let mut pooled = Matrix::zeros(experts.rows(), groups);
        for (i, row) in experts.iter_rows().enumerate() {
            self.apply(row, pooled.row_mut(i));
        }
        pooled
    }

    /// The weights for these scores: `experts` is `n x (experts * groups)`, `counts` is `n x groups`.
    pub fn fit(experts: &Matrix<f64>, counts: &Matrix<f64>) -> Pool {
        let groups = counts.columns().max(1);
        let all = experts.columns() / groups;
        let mut heard: Vec<usize> = (0..all).collect();
        let mut pool = optimise(experts, counts, &heard);
        // The least helpful expert is sent away first; what remains is weighed anew.
        while heard.len() > 1 {
            let losses = Losses::new(&pool, experts, counts);
            let least = heard.iter().skip(1).map(|&expert| {
                let without: Vec<usize> = heard.iter().copied().filter(|other| *other != expert).collect();
                let other = optimise(experts, counts, &without);
                (losses.gain_over(&other, experts, counts), without, other)
            });
            match least.min_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((gain, without, other)) if gain < 1.0 => (heard, pool) = (without, other),
                _ => break,
            }
        }
        pool
    }
}

/// The maximum of the penalised likelihood over the weights of the experts `heard`, by projected Newton steps; the
/// likelihood is concave in them. One expert alone keeps its weight of 1: whether it is too sure of itself is the
/// temperature's question.
fn optimise(experts: &Matrix<f64>, counts: &Matrix<f64>, heard: &[usize]) -> Pool {
    let mut pool = Pool::first(experts.columns() / counts.columns().max(1));
    if heard.len() < 2 {
        return pool;
    }
    let prior = pool.weights.clone();
    for _ in 0..MOST_STEPS {
        let Slopes { mut gradient, mut hessian } = Slopes::of(&pool, experts, counts);
        for (i, gradient) in gradient.iter_mut().enumerate() {
            *gradient += RIDGE * (pool.weights[i] - prior[i]);
            hessian[i][i] += RIDGE;
        }
        // A weight at its bound that would fall below it stays there.
        let free: Vec<usize> =
            heard.iter().copied().filter(|&i| pool.weights[i] > 0.0 || gradient[i] < 0.0).collect();
        let step = solve(&hessian, &gradient, &free);
        let mut largest = 0.0f64;
        for (&i, step) in free.iter().zip(&step) {
            let moved = (pool.weights[i] - step.clamp(-1.0, 1.0)).max(0.0);
            largest = largest.max((moved - pool.weights[i]).abs());
            pool.weights[i] = moved;
        }
        if largest < 1e-9 {
            break;
        }
    }
    pool
}

/// First and second derivatives of the log loss by the weights.
struct Slopes {
    gradient: Vec<f64>,
    hessian: Vec<Vec<f64>>,
}

impl Slopes {
    fn of(pool: &Pool, experts: &Matrix<f64>, counts: &Matrix<f64>) -> Slopes {
        let (groups, all) = (counts.columns(), pool.weights.len());
        let mut slopes = Slopes { gradient: vec![0.0; all], hessian: vec![vec![0.0; all]; all] };
        let (mut p, mut mean) = (vec![0.0; groups], vec![0.0; all]);
        let mut margins = vec![0.0; groups];
        for (row, cases) in experts.iter_rows().zip(counts.iter_rows()) {
            let n: f64 = cases.iter().sum();
            pool.apply(row, &mut margins);
            softmax_into(margins.iter().copied(), &mut p);
            let own = |expert: usize| row.iter().skip(expert * groups).take(groups);
            for (i, mean) in mean.iter_mut().enumerate() {
                *mean = own(i).zip(&p).map(|(score, p)| score * p).sum();
                slopes.gradient[i] +=
                    n * *mean - own(i).zip(cases).map(|(score, count)| score * count).sum::<f64>();
            }
            for i in 0..all {
                for j in 0..=i {
                    let product: f64 = own(i).zip(own(j)).zip(&p).map(|((a, b), p)| a * b * p).sum();
                    let covariance = n * (product - mean[i] * mean[j]);
                    slopes.hessian[i][j] += covariance;
                    if i != j {
                        slopes.hessian[j][i] += covariance;
                    }
                }
            }
        }
        slopes
    }
}

/// The Newton step of the `free` weights: their part of the Hessian, which is positive definite, solved by elimination.
fn solve(hessian: &[Vec<f64>], gradient: &[f64], free: &[usize]) -> Vec<f64> {
    let n = free.len();
    let mut rows: Vec<Vec<f64>> =
        free.iter().map(|&i| free.iter().map(|&j| hessian[i][j]).chain([gradient[i]]).collect()).collect();
    for pivot in 0..n {
        let (above, below) = rows.split_at_mut(pivot + 1);
        let above = &above[pivot];
        for row in below {
            let factor = row[pivot] / above[pivot];
            row.iter_mut().zip(above).skip(pivot).for_each(|(value, above)| *value -= factor * above);
        }
    }
    let mut step = vec![0.0; n];
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| rows[i][j] * step[j]).sum();
        step[i] = (rows[i][n] - known) / rows[i][i];
    }
    step
}

/// Log loss of every group in every cell under one pool.
struct Losses(Matrix<f64>);

impl Losses {
    fn new(pool: &Pool, experts: &Matrix<f64>, counts: &Matrix<f64>) -> Losses {
        let groups = counts.columns();
        let mut losses = Matrix::zeros(counts.rows(), groups);
        let mut margins = vec![0.0; groups];
        for (i, row) in experts.iter_rows().enumerate() {
            pool.apply(row, &mut margins);
            let losses = losses.row_mut(i);
            softmax_into(margins.iter().copied(), losses);
            losses.iter_mut().for_each(|p| *p = -p.max(f64::MIN_POSITIVE).ln());
        }
        Losses(losses)
    }

    /// By how many standard errors of the paired difference this pool's loss is lower than another's.
    fn gain_over(&self, other: &Pool, experts: &Matrix<f64>, counts: &Matrix<f64>) -> f64 {
        let other = Losses::new(other, experts, counts);
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for ((ours, theirs), cases) in self.0.iter_rows().zip(other.0.iter_rows()).zip(counts.iter_rows()) {
            for ((ours, theirs), count) in ours.iter().zip(theirs).zip(cases) {
                let gain = theirs - ours;
                n += count;
                sum += count * gain;
                squares += count * gain * gain;
            }
        }
        let mean = sum / n;
        let error = ((squares / n - mean * mean).max(0.0) / n).sqrt();
        if error > 0.0 { mean / error } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` cells with a true distribution over two groups; `noise` spoils an expert's logit.
    fn scores(noise: impl Fn(usize, f64) -> [f64; 2]) -> (Matrix<f64>, Matrix<f64>) {
        let (mut experts, mut counts) = (Vec::new(), Vec::new());
        for i in 0..400 {
            let logit = (i as f64 / 100.0) - 2.0;
            for score in noise(i, logit) {
                let p = 1.0 / (1.0 + (-score).exp());
                experts.extend([(1.0 - p).ln(), p.ln()]);
            }
            let p = 1.0 / (1.0 + (-logit).exp());
            counts.extend([20.0 * (1.0 - p), 20.0 * p]);
        }
        (Matrix::from_vec(400, 4, experts).unwrap(), Matrix::from_vec(400, 2, counts).unwrap())
    }

    #[test]
    fn an_expert_that_knows_nothing_is_not_heard() {
        let (experts, counts) = scores(|i, logit| [logit, if i % 2 == 0 { 1.0 } else { -1.0 }]);
        assert_eq!(Pool::fit(&experts, &counts).weights, [1.0, 0.0]);
    }

    #[test]
    fn two_halves_of_the_evidence_are_added() {
        let wave = |i: usize| (i as f64 * 0.7).sin();
        let (experts, counts) = scores(|i, logit| [logit / 2.0 + wave(i), logit / 2.0 - wave(i)]);
        let pool = Pool::fit(&experts, &counts);
        assert!(pool.weights.iter().all(|weight| (weight - 1.0).abs() < 0.02), "{pool:?}");
        let mut pooled = [0.0; 2];
        pool.apply(experts.row(399), &mut pooled);
        assert!((pooled[1] - pooled[0] - 1.99).abs() < 0.05, "{pooled:?}");
    }

    #[test]
    fn no_weight_is_negative() {
        let (experts, counts) = scores(|_, logit| [logit, -logit]);
        assert!(Pool::fit(&experts, &counts).weights.iter().all(|weight| *weight >= 0.0));
    }
}
