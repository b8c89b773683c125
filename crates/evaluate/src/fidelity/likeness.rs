//! Features and pairs of features: how much of the two distributions is the same.

use clinical::{Kind, Study};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Both;
use crate::{
    alias::Alias,
    bootstrap::{Bootstrap, percentile_interval},
    error::Result,
    figure::{Estimate, Figure},
};

/// Classes that a number is cut into, at deciles of the real cases, where it meets a category.
const CLASSES: usize = 10;

/// Draws behind the expectation for samples that are alike.
const DRAWS: usize = 50;

/// Samples larger than this differ by chance in the third decimal only; the expectation stops growing here.
const MOST_DRAWN: u64 = 1_000_000;

/// What is compared, always as a similarity: 1 for equal distributions, 0 for disjoint ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// 1 - the largest difference of the distribution functions (Kolmogorov-Smirnov), for a number.
    KsComplement,
    /// 1 - total variation distance, for a code or a category.
    TvComplement,
    /// 1 - half the difference of Pearson's correlations, for two numbers.
    CorrelationSimilarity,
    /// 1 - total variation distance of the contingency tables, for other pairs; numbers in ten classes.
    ContingencySimilarity,
}

/// One feature, or one pair of features, compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    pub features: Vec<String>,
    pub measure: Measure,
    /// `n` counts the cases of both kinds.
    pub similarity: Figure,
    /// What two samples of these sizes reach on average when they come from one distribution: chance alone keeps them
    /// below 1. None where the similarity is undefined.
    pub if_alike: Option<f64>,
}

pub(super) fn compare(
    study: &Study,
    both: &Both,
    bootstrap: &Bootstrap,
) -> Result<(Vec<Likeness>, Vec<Likeness>)> {
    let comparisons = comparisons(study, both);
    let columns = study.features().len();
    let likeness = match both.missing() {
        Some(because) => {
            let undefined = |one: &Comparison| one.likeness(study, Figure::undefined(because), None);
            comparisons.iter().map(undefined).collect()
        }
        None => measured(study, both, &comparisons, bootstrap)?,
    };
    let mut likeness: Vec<Likeness> = likeness;
    let pairs = likeness.split_off(columns.min(likeness.len()));
    Ok((likeness, pairs))
}

fn measured(
    study: &Study,
    both: &Both,
    comparisons: &[Comparison],
    bootstrap: &Bootstrap,
) -> Result<Vec<Likeness>> {
    let weights = |counts: &[u64]| counts.iter().map(|&count| count as f64).collect::<Vec<f64>>();
    let all = |real: &[f64], synthetic: &[f64]| -> Vec<Option<f64>> {
        comparisons.iter().map(|one| one.similarity(real, synthetic)).collect()
    };
    let values = all(&weights(&both.real), &weights(&both.synthetic));
    let mut drawn = bootstrap.replicate(&both.real, <[f64]>::to_vec)?.into_iter();
    // Another stream than that of the real cases.
    let other = Bootstrap { seed: bootstrap.seed ^ 0x5eed, ..*bootstrap };
    let replicates: Vec<Vec<Option<f64>>> = other.replicate(&both.synthetic, |synthetic| {
        drawn.next().map_or_else(Vec::new, |real| all(&real, synthetic))
    })?;
    let alike = if_alike(both, bootstrap.seed, all)?;
    let n = both.real.iter().chain(&both.synthetic).sum();
    let each = comparisons.iter().enumerate().map(|(i, one)| match values.get(i).copied().flatten() {
        Some(value) => {
            let of: Vec<Option<f64>> =
                replicates.iter().map(|replicate| replicate.get(i).copied().flatten()).collect();
            let (low, high) = percentile_interval(value, &of, (0.0, 1.0));
            let figure = Figure::Measured(Estimate { value, low, high, n });
            one.likeness(study, figure, alike.get(i).copied().flatten())
        }
        None => one.likeness(study, Figure::undefined("a number does not vary"), None),
    });
    Ok(each.collect())
}

/// Mean similarities of two samples drawn from all cases together.
fn if_alike(
    both: &Both,
    seed: u64,
    all: impl Fn(&[f64], &[f64]) -> Vec<Option<f64>>,
) -> Result<Vec<Option<f64>>> {
    let pooled: Vec<f64> = both.real.iter().zip(&both.synthetic).map(|(a, b)| (a + b) as f64).collect();
    let alias = Alias::new(&pooled)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |counts: &[u64]| {
        let mut drawn = vec![0.0; counts.len()];
        for _ in 0..counts.iter().sum::<u64>().min(MOST_DRAWN) {
            drawn[alias.draw(&mut rng)] += 1.0;
        }
        drawn
    };
    let mut sums: Vec<(f64, f64)> = Vec::new();
    for _ in 0..DRAWS {
        let (real, synthetic) = (draw(&both.real), draw(&both.synthetic));
        let values = all(&real, &synthetic);
        sums.resize(values.len(), (0.0, 0.0));
        for (sum, value) in sums.iter_mut().zip(values) {
            if let Some(value) = value {
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
        }
    }
    Ok(sums.into_iter().map(|(sum, n)| (n > 0.0).then(|| sum / n)).collect())
}

/// What is compared, prepared: one class per row where classes are counted.
struct Comparison {
    features: Vec<usize>,
    measure: Measure,
    /// Class of every row, and their number; in the order of the levels for a number.
    classes: Vec<u32>,
    count: usize,
    /// The two numbers of every row, for a correlation.
    numbers: Vec<(f64, f64)>,
}

fn comparisons(study: &Study, both: &Both) -> Vec<Comparison> {
    let is_number = |feature: usize| {
        study.features().get(feature).is_some_and(|feature| matches!(feature.kind, Kind::Number { .. }))
    };
    let features = study.features().len();
    let column =
        |feature: usize| -> Vec<usize> { both.levels.iter().map(|levels| levels[feature]).collect() };
    let coarse: Vec<Vec<usize>> = (0..features)
        .map(|f| if is_number(f) { tenths(&column(f), &both.real) } else { column(f) })
        .collect();
    let mut all = Vec::new();
    for feature in 0..features {
        let measure = if is_number(feature) { Measure::KsComplement } else { Measure::TvComplement };
        let (classes, count) = ranks(&column(feature));
        all.push(Comparison { features: vec![feature], measure, classes, count, numbers: Vec::new() });
    }
    for a in 0..features {
        for b in a + 1..features {
            let features = vec![a, b];
            all.push(if is_number(a) && is_number(b) {
                let number = |levels: &Vec<usize>| (levels[a] as f64, levels[b] as f64);
                let numbers = both.levels.iter().map(number).collect();
                let measure = Measure::CorrelationSimilarity;
                Comparison { features, measure, classes: Vec::new(), count: 0, numbers }
            } else {
                let pairs: Vec<(usize, usize)> =
                    coarse[a].iter().copied().zip(coarse[b].iter().copied()).collect();
                let (classes, count) = ranks(&pairs);
                let measure = Measure::ContingencySimilarity;
                Comparison { features, measure, classes, count, numbers: Vec::new() }
            });
        }
    }
    all
}

/// The class of every value among ten of about equal numbers of cases; equal values share one.
fn tenths(values: &[usize], cases: &[u64]) -> Vec<usize> {
    let total = cases.iter().sum::<u64>().max(1) as f64;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&i| values[i]);
    let (mut class, mut below) = (vec![0; values.len()], 0.0);
    for tie in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mass = tie.iter().map(|&i| cases[i] as f64).sum::<f64>();
        let place = (((below + mass / 2.0) / total * CLASSES as f64) as usize).min(CLASSES - 1);
        tie.iter().for_each(|&i| class[i] = place);
        below += mass;
    }
    class
}

/// The rank of every value among the distinct ones, and their number.
fn ranks<T: Ord + Copy>(values: &[T]) -> (Vec<u32>, usize) {
    let mut distinct = values.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let rank = |value: &T| distinct.binary_search(value).unwrap_or_default() as u32;
    (values.iter().map(rank).collect(), distinct.len())
}

impl Comparison {
    fn likeness(&self, study: &Study, similarity: Figure, if_alike: Option<f64>) -> Likeness {
        let name = |&feature: &usize| study.features()[feature].name.clone();
        Likeness {
            features: self.features.iter().map(name).collect(),
            measure: self.measure,
            similarity,
            if_alike,
        }
    }

    /// With these cases per row; none where it is not defined.
    fn similarity(&self, real: &[f64], synthetic: &[f64]) -> Option<f64> {
        match self.measure {
            Measure::CorrelationSimilarity => {
                let apart = self.correlation(real)? - self.correlation(synthetic)?;
                Some(1.0 - apart.abs() / 2.0)
            }
            Measure::KsComplement => {
                let (mut sum, mut largest) = (0.0f64, 0.0f64);
                for difference in self.differences(real, synthetic) {
                    sum += difference;
                    largest = largest.max(sum.abs());
                }
                Some((1.0 - largest).clamp(0.0, 1.0))
            }
            Measure::TvComplement | Measure::ContingencySimilarity => {
                let apart: f64 = self.differences(real, synthetic).iter().map(|d| d.abs()).sum();
                Some((1.0 - apart / 2.0).clamp(0.0, 1.0))
            }
        }
    }

    /// Difference of the shares of every class.
    fn differences(&self, real: &[f64], synthetic: &[f64]) -> Vec<f64> {
        let (all_real, all_synthetic) = (real.iter().sum::<f64>(), synthetic.iter().sum::<f64>());
        let mut differences = vec![0.0; self.count];
        for ((&class, real), synthetic) in self.classes.iter().zip(real).zip(synthetic) {
            differences[class as usize] += real / all_real - synthetic / all_synthetic;
        }
        differences
    }

    fn correlation(&self, cases: &[f64]) -> Option<f64> {
        let n = cases.iter().sum::<f64>();
        let mean = |of: fn(&(f64, f64)) -> f64| {
            self.numbers.iter().zip(cases).map(|(pair, w)| of(pair) * w).sum::<f64>() / n
        };
        let (ma, mb) = (mean(|p| p.0), mean(|p| p.1));
        let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
        for (&(a, b), w) in self.numbers.iter().zip(cases) {
            aa += w * (a - ma).powi(2);
            bb += w * (b - mb).powi(2);
            ab += w * (a - ma) * (b - mb);
        }
        (aa > 0.0 && bb > 0.0).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
    }
}
