//! SMOTE-NC: synthetic cases between a case and one of its nearest neighbours.

use std::collections::HashMap;

use clinical::{Cell, Study};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::class::{Axes, Class};
use super::neighbours::{Index, Neighbourhood};
use super::{ResampleError, Synthetic, TrainingCounts};
use crate::Preprocessor;

const MOST_NEIGHBOURS: usize = 1000;

/// Synthetic minority oversampling for nominal and continuous features (Chawla et al. 2002, J Artif Intell Res
/// 16:321, section 6.1), over counted cells.
///
/// A synthetic case of a group: a case of the group is drawn, and one of its k nearest other cases; each number
/// lies at one random place, the same for all numbers, between theirs, rounded to a whole one; each category is
/// the most frequent among the k neighbours, a tie being drawn. The result is a possible patient of the study.
/// A cell with n cases is n cases, each with n - 1 twins at distance 0: the synthetic cases have the distribution
/// that they would have on the rows, where cases that tie for the last neighbour's place have equal chances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmoteNc {
    /// Neighbours, k; 5 in the paper. `1..=1000`.
    pub neighbours: usize,
    pub seed: u64,
}

impl SmoteNc {
    /// Makes `wanted[g]` synthetic cases of every group g (none of those beyond the list's end). The preprocessor
    /// gives the units of the distances. The same training cases, numbers and seed give the same cases.
    ///
    /// # Errors
    /// [`ResampleError::TooFew`] when a group has no more cases than neighbours, [`ResampleError::NoNumber`],
    /// [`ResampleError::Neighbours`], [`ResampleError::Groups`].
    pub fn resample(
        &self,
        study: &Study,
        preprocessor: &Preprocessor,
        training: &TrainingCounts,
        wanted: &[u64],
    ) -> Result<Synthetic, ResampleError> {
        if !(1..=MOST_NEIGHBOURS).contains(&self.neighbours) {
            return Err(ResampleError::Neighbours);
        }
        let names = training.group_names();
        if wanted.len() > names.len() {
            return Err(ResampleError::Groups { wanted: wanted.len(), groups: names.len() });
        }
        let axes = Axes::of(study, preprocessor)?;
        let mut made = Vec::new();
        for (group, &wanted) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted > 0) {
            let class = Class::new(study, &axes, training.of_group(group));
            let needed = self.neighbours as u64 + 1;
            if class.total() < needed {
                let (group, cases) = (names[group].clone(), class.total());
                return Err(ResampleError::TooFew { method: "SMOTE-NC", group, cases, needed });
            }
            // A stream of its own: a group's cases do not depend on the other groups.
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(group as u64);
            let neighbourhoods = Index::new(&class).neighbourhoods(self.neighbours);
            let drawn = Draw::new(study, &class, &neighbourhoods).cases(wanted, &mut rng);
            made.extend(drawn.into_iter().map(|(cell, cases)| (group, cell, cases)));
        }
        Ok(Synthetic::of(training, made))
    }
}

/// Draws synthetic cases of one class.
struct Draw<'a> {
    study: &'a Study,
    class: &'a Class,
    neighbourhoods: &'a [Neighbourhood],
    /// Cases up to and with each point.
    cumulative: Vec<u64>,
    /// Points of the k neighbours of the case at hand, one entry per case.
    neighbours: Vec<u32>,
    /// Cases of the tied points that are not drawn yet.
    left: Vec<u64>,
    /// Neighbours with each level of a category.
    votes: Vec<u32>,
    levels: Vec<usize>,
}

impl<'a> Draw<'a> {
    fn new(study: &'a Study, class: &'a Class, neighbourhoods: &'a [Neighbourhood]) -> Self {
        let sum = |sum: &mut u64, cases: &u64| {
            *sum += cases;
            Some(*sum)
        };
        let most = class.axes.categories.iter().map(|(_, levels)| *levels).max().unwrap_or(0);
        Draw {
            study,
            class,
            neighbourhoods,
            cumulative: class.cases.iter().scan(0, sum).collect(),
            neighbours: Vec::new(),
            left: Vec::new(),
            votes: vec![0; most],
            levels: vec![0; study.features().len()],
        }
    }

    fn cases(mut self, wanted: u64, rng: &mut ChaCha8Rng) -> HashMap<Cell, u64> {
        let mut counts = HashMap::new();
        for _ in 0..wanted {
            *counts.entry(self.one(rng)).or_default() += 1;
        }
        counts
    }

    fn one(&mut self, rng: &mut ChaCha8Rng) -> Cell {
        let case = below(rng, self.class.total());
        let point = self.cumulative.partition_point(|&up_to| up_to <= case);
        self.choose_neighbours(point, rng);
        let chosen = self.neighbours[below(rng, self.neighbours.len() as u64) as usize] as usize;
        let step = (rng.next_u64() >> 11) as f64 * 2f64.powi(-53);
        let ends = self.class.numbers(point).iter().zip(self.class.numbers(chosen));
        for ((&from, &to), axis) in ends.zip(&self.class.axes.numbers) {
            let place = f64::from(from) + step * (f64::from(to) - f64::from(from));
            self.levels[axis.feature] = place.round() as usize;
        }
        for category in 0..self.class.axes.categories.len() {
            let (feature, dim) = self.class.axes.categories[category];
            self.levels[feature] = self.majority(category, dim, rng);
        }
        self.study.domain().cell(&self.levels)
    }

    /// Fills `neighbours` with the k nearest other cases of one case, ties drawn.
    fn choose_neighbours(&mut self, point: usize, rng: &mut ChaCha8Rng) {
        let found = &self.neighbourhoods[point];
        self.neighbours.clear();
        for &(point, cases) in &found.certain {
            self.neighbours.extend(std::iter::repeat_n(point, cases as usize));
        }
        if found.open == 0 {
            return;
        }
        self.left.clear();
        self.left.extend(found.tied.iter().map(|&(_, cases)| cases));
        let mut total: u64 = self.left.iter().sum();
        for _ in 0..found.open {
            let mut place = below(rng, total);
            for (left, &(point, _)) in self.left.iter_mut().zip(&found.tied) {
                if place < *left {
                    *left -= 1;
                    self.neighbours.push(point);
                    break;
                }
                place -= *left;
            }
            total -= 1;
        }
    }

    /// The level of a category that most neighbours have; a tie is drawn.
    fn majority(&mut self, category: usize, dim: usize, rng: &mut ChaCha8Rng) -> usize {
        let votes = &mut self.votes[..dim];
        votes.fill(0);
        for &neighbour in &self.neighbours {
            votes[self.class.categories(neighbour as usize)[category] as usize] += 1;
        }
        let most = votes.iter().copied().max().unwrap_or_default();
        let winners = votes.iter().filter(|votes| **votes == most).count() as u64;
        let winner = if winners > 1 { below(rng, winners) } else { 0 };
        let level = votes.iter().enumerate().filter(|(_, votes)| **votes == most).nth(winner as usize);
        level.map_or(0, |(level, _)| level)
    }
}

/// A whole number below `n`, each equally likely up to 2^-64 n.
fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(n)) >> 64) as u64
}
