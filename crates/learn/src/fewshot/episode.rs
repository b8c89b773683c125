//! Episodes: small tasks of telling diseases apart by a few cases of each, and their loss
//! (Snell, Swersky and Zemel 2017, "Prototypical Networks for Few-shot Learning").

use rand_chacha::rand_core::RngCore;

use super::counts::DiseaseCounts;
use super::network::DIM;
use crate::Matrix;

/// The shape of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    /// Diseases to tell apart.
    pub(super) ways: usize,
    /// Cases per disease that make its prototype.
    pub(super) shots: usize,
    /// Cases per disease to be recognised.
    pub(super) queries: usize,
}

/// Draws episodes from counted cases: diseases with equal probability, cases in proportion to counts.
#[derive(Debug)]
pub(super) struct Sampler<'a> {
    x: &'a Matrix<f32>,
    pools: Vec<Pool<'a>>,
    task: Task,
    /// Scratch: the drawn order of the pools, and the cases drawn of one disease.
    order: Vec<usize>,
    drawn: Vec<u64>,
}

/// The cases of one disease, numbered from 0 in the order of their rows.
#[derive(Debug)]
struct Pool<'a> {
    cases: &'a [(u32, f64)],
    /// Cases in this row and those before.
    upto: Vec<f64>,
    /// Whole cases, at least 2.
    total: u64,
}

impl<'a> Sampler<'a> {
    /// Diseases with fewer than two cases take no part: one to learn from and one to recognise are
    /// the least. Fewer diseases than `task.ways` make smaller episodes.
    pub(super) fn new(x: &'a Matrix<f32>, counts: &'a DiseaseCounts, task: Task) -> Sampler<'a> {
        let pools: Vec<Pool<'a>> =
            (0..counts.diseases().len()).filter_map(|disease| Pool::new(counts.of(disease))).collect();
        let task = Task { ways: task.ways.min(pools.len()), ..task };
        Sampler { x, order: (0..pools.len()).collect(), pools, task, drawn: Vec::new() }
    }

    /// The shape of the episodes drawn.
    pub(super) fn task(&self) -> Task {
        self.task
    }

    /// One episode's encoded rows, disease after disease, `shots` rows and then `queries` rows of each.
    pub(super) fn draw(&mut self, rng: &mut impl RngCore, rows: &mut Vec<f32>) {
        rows.clear();
        for place in 0..self.task.ways {
            let other = place + below(rng, (self.order.len() - place) as u64) as usize;
            self.order.swap(place, other);
            let pool = &self.pools[self.order[place]];
            pool.draw(self.task, rng, &mut self.drawn);
            for &case in &self.drawn {
                rows.extend_from_slice(self.x.row(pool.row(case)));
            }
        }
    }
}

impl<'a> Pool<'a> {
    fn new(cases: &'a [(u32, f64)]) -> Option<Pool<'a>> {
        let mut sum = 0.0;
        let upto: Vec<f64> = cases
            .iter()
            .map(|(_, count)| {
                sum += count;
                sum
            })
            .collect();
        (sum >= 2.0).then(|| Pool { cases, upto, total: sum.floor() as u64 })
    }

    fn row(&self, case: u64) -> usize {
        let place = self.upto.partition_point(|&upto| upto <= case as f64 + 0.5);
        self.cases.get(place).or(self.cases.last()).map_or(0, |&(row, _)| row as usize)
    }

    /// Numbers of `shots` and then `queries` cases. No case is drawn twice where there are enough; where
    /// there are not, the two parts share none, and each repeats its own.
    fn draw(&self, task: Task, rng: &mut impl RngCore, drawn: &mut Vec<u64>) {
        drawn.clear();
        let wanted = task.shots + task.queries;
        if self.total >= wanted as u64 {
            while drawn.len() < wanted {
                let case = below(rng, self.total);
                if !drawn.contains(&case) {
                    drawn.push(case);
                }
            }
            return;
        }
        let mut all: Vec<u64> = (0..self.total).collect();
        for place in 0..all.len() {
            let other = place + below(rng, (all.len() - place) as u64) as usize;
            all.swap(place, other);
        }
        let support = (all.len() * task.shots / wanted).clamp(1, all.len() - 1);
        let (support, query) = all.split_at(support);
        drawn.extend(support.iter().cycle().take(task.shots));
        drawn.extend(query.iter().cycle().take(task.queries));
    }
}

impl Task {
    /// Mean cross-entropy of the queries under softmax(-|z - c|^2), where c is the mean of a disease's
    /// support, and its derivative by every embedded row. `z` stands in [`Sampler::draw`]'s order.
    pub(super) fn loss(&self, z: &[[f32; DIM]], by_z: &mut Vec<[f32; DIM]>) -> f32 {
        let each = self.shots + self.queries;
        by_z.clear();
        by_z.resize(z.len(), [0.0; DIM]);
        let prototypes: Vec<[f32; DIM]> = z.chunks_exact(each).map(|z| mean(&z[..self.shots])).collect();
        let mut by_prototype = vec![[0.0; DIM]; prototypes.len()];
        let mut p = vec![0.0; prototypes.len()];
        let scale = 1.0 / (self.ways * self.queries) as f32;
        let mut loss = 0.0;
        for (truth, (z, by_z)) in z.chunks_exact(each).zip(by_z.chunks_exact_mut(each)).enumerate() {
            for (z, by_z) in z.iter().zip(by_z).skip(self.shots) {
                for (p, prototype) in p.iter_mut().zip(&prototypes) {
                    let mut squared = [0.0; DIM];
                    for d in 0..DIM {
                        squared[d] = (z[d] - prototype[d]) * (z[d] - prototype[d]);
                    }
                    *p = -squared.iter().sum::<f32>();
                }
                loss -= log_softmax(&mut p, truth);
                p[truth] -= 1.0;
                for ((p, prototype), by_prototype) in p.iter().zip(&prototypes).zip(&mut by_prototype) {
                    let weight = 2.0 * scale * p;
                    for d in 0..DIM {
                        by_z[d] += weight * (prototype[d] - z[d]);
                        by_prototype[d] += weight * (z[d] - prototype[d]);
                    }
                }
            }
        }
        let share = 1.0 / self.shots as f32;
        for (by_z, by_prototype) in by_z.chunks_exact_mut(each).zip(&by_prototype) {
            by_z[..self.shots].fill(by_prototype.map(|by| by * share));
        }
        loss * scale
    }
}

fn mean(rows: &[[f32; DIM]]) -> [f32; DIM] {
    let mut sum = [0.0; DIM];
    for row in rows {
        sum.iter_mut().zip(row).for_each(|(sum, z)| *sum += z);
    }
    sum.map(|sum| sum / rows.len() as f32)
}

/// Turns logits into their softmax; answers the logarithm of the true class's probability.
fn log_softmax(logits: &mut [f32], truth: usize) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_truth = logits[truth] - highest;
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - highest).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|p| *p /= sum);
    of_truth - sum.ln()
}

/// A whole number below `n`, which is not 0.
fn below(rng: &mut impl RngCore, n: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(n)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::fewshot::Disease;

    fn counts(of: &[&[(usize, f64)]], rows: usize) -> DiseaseCounts {
        let diseases = (0..of.len()).map(|j| Disease { code: format!("d{j}"), orphan: false }).collect();
        let entries =
            of.iter().enumerate().flat_map(|(j, cases)| cases.iter().map(move |&(row, n)| (j, row, n)));
        DiseaseCounts::new(diseases, rows, entries).unwrap()
    }

    /// One column that holds the row's number.
    fn numbered(rows: usize) -> Matrix<f32> {
        Matrix::from_vec(rows, 1, (0..rows).map(|row| row as f32).collect()).unwrap()
    }

    #[test]
    fn no_case_is_drawn_twice_and_draws_follow_the_counts() {
        let counts = counts(&[&[(0, 30.0), (1, 10.0)], &[(2, 8.0), (3, 7.0)], &[(4, 1.0)]], 5);
        let x = numbered(5);
        let mut sampler = Sampler::new(&x, &counts, Task { ways: 8, shots: 5, queries: 10 });
        assert_eq!(sampler.task().ways, 2, "a single case makes no task");
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut rows, mut drawn) = (Vec::new(), [0usize; 5]);
        for _ in 0..2_000 {
            sampler.draw(&mut rng, &mut rows);
            assert_eq!(rows.len(), 30);
            for of_disease in rows.chunks(15) {
                assert!(of_disease.iter().all(|row| (*row < 2.0) == (of_disease[0] < 2.0)), "one disease");
            }
            rows.iter().for_each(|row| drawn[*row as usize] += 1);
        }
        // Fifteen of fifteen cases: all of them, every time.
        assert_eq!(drawn[2..], [2_000 * 8, 2_000 * 7, 0]);
        let share = drawn[0] as f64 / 30_000.0;
        assert!((share - 0.75).abs() < 0.01, "{share}");
    }

    #[test]
    fn few_cases_are_parted_between_learning_and_recognising() {
        for few in 2..15usize {
            let cases: Vec<(usize, f64)> = (0..few).map(|row| (row, 1.0)).collect();
            let counts = counts(&[&cases, &[(20, 99.0)]], 21);
            let x = numbered(21);
            let mut sampler = Sampler::new(&x, &counts, Task { ways: 2, shots: 5, queries: 10 });
            let (mut rng, mut rows) = (ChaCha8Rng::seed_from_u64(few as u64), Vec::new());
            for _ in 0..50 {
                sampler.draw(&mut rng, &mut rows);
                let own = rows.chunks(15).find(|of_disease| of_disease[0] < 20.0).unwrap();
                let (support, query) = own.split_at(5);
                assert!(support.iter().all(|case| !query.contains(case)));
                let mut seen = own.to_vec();
                seen.sort_by(f32::total_cmp);
                seen.dedup();
                assert!(seen.len() == few || few > 10, "every case takes part");
            }
        }
    }

    #[test]
    fn the_loss_has_its_known_value_and_derivative() {
        let json = include_str!("../../tests/reference/fewshot/fewshot.json");
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let embedded: Vec<[f32; DIM]> = serde_json::from_value(json["embedded"].clone()).unwrap();
        let task = Task { ways: 3, shots: 2, queries: 3 };
        let mut by_z = Vec::new();
        let loss = task.loss(&embedded[..15], &mut by_z);
        let expected = json["episode_loss"].as_f64().unwrap();
        assert!((f64::from(loss) - expected).abs() < 1e-4, "{loss} {expected}");
        // A quarter of the scale: differences of 32-bit losses resolve the derivative.
        let z: Vec<[f32; DIM]> = embedded[..15].iter().map(|z| z.map(|z| z / 4.0)).collect();
        task.loss(&z, &mut by_z);
        for (row, d) in [(0, 0), (1, 5), (2, 3), (4, 15), (7, 9), (12, 2), (14, 11)] {
            let moved = |by: f32| {
                let mut z = z.clone();
                z[row][d] += by;
                task.loss(&z, &mut Vec::new())
            };
            let expected = (moved(0.02) - moved(-0.02)) / 0.04;
            assert!((by_z[row][d] - expected).abs() < 2e-3, "{row} {d}: {} {expected}", by_z[row][d]);
        }
    }
}
