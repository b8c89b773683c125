//! The sampler: a tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS 24).
//!
//! Observed points are parted into the best few and the rest, both are given a density, and of some
//! draws from the better density the one with the largest ratio of the two is tried next. Refinements
//! that matter for a few dozen trials: the densities are joint over all of a learner's parameters
//! (Falkner et al. 2018, BOHB), a trial that is still running counts among the rest (the constant liar
//! of Ginsbourger et al. 2010), so that trials side by side spread out, and the first trials are a Latin
//! hypercube (McKay et al. 1979) rather than independent draws.
//!
//! A point is a pure function of the seed, the trial's number and what is known: no state is carried
//! from trial to trial, so an interrupted search goes on exactly where it stopped.

use std::cmp::Ordering;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use super::parzen::{Parzen, below, uniform};
use super::space::{Axis, Point, Scale, Space, positions};

/// Share of the observed points that count as good.
const GOOD: f64 = 0.1;
/// Good points at most: more would let the mediocre blur the density.
const MOST_GOOD: usize = 25;
/// Draws from the better density, of which the most promising is tried.
const CANDIDATES: usize = 24;
/// Observed points of a learner without which its parameters are drawn uniformly.
const FEWEST: usize = 4;

/// What is known of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Known {
    /// Its loss: lower is better.
    Complete(f64),
    /// Given up: worse than every complete one; the further it came, the better, then by loss.
    Pruned { folds: usize, loss: f64 },
    /// Failed, or still running.
    Nothing,
}

impl Known {
    fn compare(self, other: Known) -> Ordering {
        let rank = |known| match known {
            Known::Complete(_) => 0,
            Known::Pruned { .. } => 1,
            Known::Nothing => 2,
        };
        rank(self).cmp(&rank(other)).then_with(|| match (self, other) {
            (Known::Complete(a), Known::Complete(b)) => a.total_cmp(&b),
            (Known::Pruned { folds: a, loss: x }, Known::Pruned { folds: b, loss: y }) => {
                b.cmp(&a).then_with(|| x.total_cmp(&y))
            }
            _ => Ordering::Equal,
        })
    }
}

/// Chooses points.
#[derive(Debug)]
pub(super) struct Sampler<'a> {
    pub(super) space: &'a Space,
    pub(super) seed: u64,
    /// The first trials, spread over the space whatever their results.
    pub(super) startup: usize,
}

impl Sampler<'_> {
    /// The point of the `number`-th sampled trial (from 0), given what is known of others, in the
    /// order of their numbers.
    pub(super) fn point(&self, number: usize, known: &[(&Point, Known)]) -> Option<Point> {
        let mut rng = self.rng("trial", number as u64);
        if number < self.startup {
            return self.spread(number, &mut rng);
        }
        let root_axes = self.space.root();
        let root = match self.space.learners() {
            [_] if root_axes.len() == 1 => vec![0.0],
            _ => {
                let observed = known
                    .iter()
                    .filter_map(|(point, known)| Some((self.space.root_positions(point)?, *known)));
                best_ratio(&root_axes, observed.collect(), &mut rng)
            }
        };
        let branch = self.space.learners().get(*root.last()? as usize)?;
        let observed: Vec<(Vec<f64>, Known)> = known
            .iter()
            .filter(|(point, _)| point.learner == branch.learner)
            .filter_map(|(point, known)| Some((positions(&branch.axes, &point.settings)?, *known)))
            .collect();
        let own = if observed.len() < FEWEST {
            branch.axes.iter().map(|axis| anywhere(axis, uniform(&mut rng))).collect()
        } else {
            best_ratio(&branch.axes, observed, &mut rng)
        };
        self.space.point(&root, &own)
    }

    /// One point of a Latin hypercube over each learner's axes; learners take turns.
    fn spread(&self, number: usize, rng: &mut ChaCha8Rng) -> Option<Point> {
        let learners = self.space.learners().len();
        let (turn, chosen) = (number / learners, number % learners);
        let branch = self.space.learners().get(chosen)?;
        let size = (self.startup - chosen).div_ceil(learners);
        let mut root: Vec<f64> = self.stratified("", &self.space.root(), number, self.startup, rng);
        *root.last_mut()? = chosen as f64;
        let own = self.stratified(branch.learner.name(), &branch.axes, turn, size, rng);
        self.space.point(&root, &own)
    }

    /// Positions of the `i`-th of `size` points: on each axis the points fill `size` equal strata.
    fn stratified(&self, name: &str, axes: &[Axis], i: usize, size: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        axes.iter()
            .map(|axis| {
                let mut strata: Vec<usize> = (0..size).collect();
                let mut shuffle = self.rng(&format!("{name}/{}", axis.name), 0);
                for last in (1..strata.len()).rev() {
                    strata.swap(last, below(&mut shuffle, last + 1));
                }
                let stratum = strata.get(i).copied().unwrap_or_default();
                anywhere(axis, (stratum as f64 + uniform(rng)) / size as f64)
            })
            .collect()
    }

    fn rng(&self, purpose: &str, number: u64) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(number.to_le_bytes());
        hash.update(purpose.as_bytes());
        ChaCha8Rng::from_seed(hash.finalize().into())
    }
}

/// The position on an axis at a share of its length.
fn anywhere(axis: &Axis, share: f64) -> f64 {
    match &axis.scale {
        Scale::Named(names) => (share * names.len() as f64).floor(),
        _ => share,
    }
}

/// Of some draws from the density of the good, the one with the largest ratio to that of the rest.
fn best_ratio(axes: &[Axis], mut observed: Vec<(Vec<f64>, Known)>, rng: &mut ChaCha8Rng) -> Vec<f64> {
    // Stable: equal results keep the order of their trials.
    observed.sort_by(|a, b| a.1.compare(b.1));
    let told = observed.iter().filter(|(_, known)| *known != Known::Nothing).count();
    let good = ((GOOD * told as f64).ceil() as usize).min(MOST_GOOD);
    let points: Vec<Vec<f64>> = observed.into_iter().map(|(positions, _)| positions).collect();
    let (good, rest) = points.split_at(good);
    let (good, rest) = (Parzen::new(axes, good), Parzen::new(axes, rest));
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..CANDIDATES {
        let candidate = good.draw(rng);
        let ratio = good.log_density(&candidate) - rest.log_density(&candidate);
        if best.as_ref().is_none_or(|(highest, _)| ratio > *highest) {
            best = Some((ratio, candidate));
        }
    }
    best.map(|(_, positions)| positions).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use clinical::study::Learner;
    use clinical::study::search::Value;

    use super::super::space::Branch;
    use super::*;

    /// The point at the same share of every axis.
    pub(in crate::search) fn along(branch: &Branch, at: f64) -> Point {
        let values = branch.axes.iter().map(|axis| (axis.name.clone(), axis.scale.value(anywhere(axis, at))));
        Point { learner: branch.learner, settings: values.collect(), shared: Default::default() }
    }

    fn axis(name: &str, scale: Scale) -> Axis {
        Axis { name: name.to_owned(), scale }
    }

    fn unit(names: &[&str]) -> Space {
        let axes =
            names.iter().map(|name| axis(name, Scale::Real { low: 0.0, high: 1.0, log: false })).collect();
        Space::new(Vec::new(), vec![Branch { learner: Learner::Xgboost, axes }]).unwrap()
    }

    fn number(point: &Point, name: &str) -> f64 {
        point.settings[name].number().unwrap()
    }

    /// Runs a search with `lag` trials in flight; the losses in order.
    fn search(space: &Space, seed: u64, trials: usize, lag: usize, loss: &dyn Fn(&Point) -> f64) -> Vec<f64> {
        let sampler = Sampler { space, seed, startup: 10 };
        let mut points: Vec<Point> = Vec::new();
        let mut losses: Vec<f64> = Vec::new();
        for n in 0..trials {
            let known: Vec<(&Point, Known)> = points
                .iter()
                .enumerate()
                .map(|(i, point)| {
                    (point, if i + lag <= n { Known::Complete(losses[i]) } else { Known::Nothing })
                })
                .collect();
            let point = sampler.point(n, &known).unwrap();
            losses.push(loss(&point));
            points.push(point);
        }
        losses
    }

    fn best(losses: &[f64]) -> f64 {
        losses.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Median over seeds of the best loss of 60 trials, of the sampler and of independent draws.
    fn beside_random(space: &Space, lag: usize, loss: &dyn Fn(&Point) -> f64) -> (f64, f64) {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let tpe = (0..31).map(|seed| best(&search(space, seed, 60, lag, loss))).collect();
        let random = (0..31).map(|seed| {
            let sampler = Sampler { space, seed, startup: 0 };
            best(&(0..60).map(|n| loss(&sampler.point(n, &[]).unwrap())).collect::<Vec<f64>>())
        });
        (median(tpe), median(random.collect()))
    }

    #[test]
    fn it_beats_independent_draws_where_parameters_depend_on_each_other() {
        // A narrow valley along a diagonal, with two parameters that do not matter.
        let space = unit(&["a", "b", "c", "d"]);
        let valley = |point: &Point| {
            let (a, b) = (number(point, "a"), number(point, "b"));
            (a - 0.7).powi(2) + 10.0 * (a - b).powi(2)
        };
        for lag in [1, 4] {
            let (tpe, random) = beside_random(&space, lag, &valley);
            assert!(tpe < 0.4 * random, "lag {lag}: {tpe} {random}");
        }
    }

    #[test]
    fn it_is_as_good_as_a_widespread_sampler() {
        // Medians of tests/reference/sampler_optuna.py (Optuna 5.0.0), one trial at a time.
        const OPTUNA_TPE: f64 = 0.01877;
        const OPTUNA_RANDOM: f64 = 0.04008;
        let space = Space::of_study(clinical::Study::default_study(), Some(Learner::Xgboost)).unwrap();
        let response = |point: &Point| {
            let at = |name| number(point, name);
            let share = |name, low: f64, high: f64| (at(name).ln() - low.ln()) / (high.ln() - low.ln());
            let (eta, depth) = (share("eta", 0.03, 0.3) - 0.3, (at("depth") - 4.0) / 6.0);
            let bowl = eta.powi(2)
                + 2.0 * depth.powi(2)
                + 0.3 * (at("subsample") - 0.8).powi(2)
                + 0.5 * (at("columns") - 0.35).powi(2)
                + 0.01 * (at("bins") / 32.0).log2().abs();
            bowl + 0.1 * (share("min_child_weight", 0.3, 30.0) - 0.5).powi(2)
                + 0.05 * (share("lambda", 0.1, 30.0) - 0.6).powi(2)
                + 0.5 * eta * depth
        };
        let (alone, random) = beside_random(&space, 1, &response);
        assert!(alone < OPTUNA_TPE, "{alone}");
        assert!((0.7..1.4).contains(&(random / OPTUNA_RANDOM)), "the responses differ: {random}");
        let (four, _) = beside_random(&space, 4, &response);
        assert!(four < 1.25 * OPTUNA_TPE, "four at a time: {four}");
    }

    #[test]
    fn it_finds_the_better_learner_and_its_parameter() {
        let real = |name: &str| axis(name, Scale::Real { low: 1e-3, high: 1.0, log: true });
        let branch = |learner, name: &str| Branch { learner, axes: vec![real(name)] };
        let names = ["none", "smote"].map(|name| Value::Name(name.to_owned()));
        let resampling = axis("resampling", Scale::Named(names.into()));
        let branches = vec![branch(Learner::Xgboost, "x"), branch(Learner::Mlp, "y")];
        let space = Space::new(vec![resampling], branches).unwrap();
        let loss = |point: &Point| {
            let own = if point.learner == Learner::Xgboost {
                0.3 + number(point, "x")
            } else {
                (number(point, "y").ln() + 4.0).abs() / 10.0
            };
            own + if point.shared["resampling"].to_string() == "smote" { 0.05 } else { 0.0 }
        };
        let (tpe, random) = beside_random(&space, 4, &loss);
        assert!(tpe < 0.5 * random, "{tpe} {random}");
    }

    #[test]
    fn a_point_is_a_function_of_what_is_known() {
        let space = unit(&["a", "b"]);
        let branch = &space.learners()[0];
        let sampler = Sampler { space: &space, seed: 3, startup: 4 };
        let points: Vec<Point> = (0..20).map(|i| along(branch, f64::from(i) / 20.0)).collect();
        let known: Vec<_> =
            points.iter().zip(0..).map(|(point, i)| (point, Known::Complete(f64::from(i % 7)))).collect();
        assert_eq!(sampler.point(30, &known), sampler.point(30, &known));
        assert_ne!(sampler.point(30, &known), sampler.point(31, &known));
        let other = Sampler { seed: 4, ..sampler };
        assert_ne!(sampler.point(30, &known), other.point(30, &known));
    }

    #[test]
    fn the_first_trials_fill_every_stratum_of_every_axis() {
        let space = unit(&["a", "b"]);
        let sampler = Sampler { space: &space, seed: 8, startup: 10 };
        let points: Vec<Point> = (0..10).map(|n| sampler.point(n, &[]).unwrap()).collect();
        for name in ["a", "b"] {
            let strata: BTreeSet<usize> =
                points.iter().map(|point| (number(point, name) * 10.0) as usize).collect();
            assert_eq!(strata.len(), 10, "{name}");
        }
    }

    #[test]
    fn running_trials_repel() {
        // One good point far ahead: without the running ones, all would be drawn close to it.
        let space = unit(&["a"]);
        let branch = &space.learners()[0];
        let points: Vec<Point> = (0..10).map(|i| along(branch, 0.05 + f64::from(i) / 10.0)).collect();
        let mut known: Vec<_> =
            points.iter().map(|point| (point, Known::Complete((number(point, "a") - 0.3).abs()))).collect();
        let near = along(branch, 0.25);
        let distance = |known: &[(&Point, Known)]| {
            (0..40u64)
                .map(|seed| {
                    let sampler = Sampler { space: &space, seed, startup: 0 };
                    (number(&sampler.point(20, known).unwrap(), "a") - 0.25).abs()
                })
                .sum::<f64>()
                / 40.0
        };
        let alone = distance(&known);
        known.extend(std::iter::repeat_n((&near, Known::Nothing), 8));
        assert!(distance(&known) > 1.5 * alone, "{} {alone}", distance(&known));
    }

    #[test]
    fn given_up_and_failed_trials_rank_behind_complete_ones() {
        let mut all = [
            Known::Nothing,
            Known::Pruned { folds: 1, loss: 0.1 },
            Known::Complete(0.9),
            Known::Pruned { folds: 2, loss: 0.5 },
            Known::Complete(0.2),
        ];
        all.sort_by(|a, b| a.compare(*b));
        assert_eq!(all[0], Known::Complete(0.2));
        assert_eq!(all[2], Known::Pruned { folds: 2, loss: 0.5 });
        assert_eq!(all[4], Known::Nothing);
    }
}
