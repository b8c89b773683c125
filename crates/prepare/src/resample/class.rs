//! The cases of one group as points of a space: numbers in the learner's units, categories that agree or not.

use clinical::{Cell, Kind, Study};

use super::ResampleError;
use crate::Preprocessor;

/// How far apart two patients are: the sum over numbers of the squared difference in the preprocessor's units
/// (so that an age in years and a laboratory value weigh as the learner sees them), plus, for every category in
/// which they differ, the squared median of the numbers' standard deviations in the group (Chawla et al. 2002,
/// section 6.1).
#[derive(Debug)]
pub(super) struct Class {
    /// Distinct patients of the group, ascending by cell, and the cases of each.
    pub(super) cases: Vec<u64>,
    /// Levels of the numbers, `points x numbers`.
    numbers: Vec<u32>,
    /// Levels of the categories, `points x categories`.
    categories: Vec<u32>,
    pub(super) axes: Axes,
    /// Squared distance of one difference in a category.
    pub(super) mismatch: f64,
}

/// Which features are numbers and which are categories.
#[derive(Debug, Clone)]
pub(super) struct Axes {
    pub(super) numbers: Vec<Number>,
    /// (position among the study's features, levels).
    pub(super) categories: Vec<(usize, usize)>,
}

/// A number as an axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    /// Position among the study's features.
    pub(super) feature: usize,
    /// Squared distance of one level.
    pub(super) weight: f64,
}

impl Axes {
    pub(super) fn of(study: &Study, preprocessor: &Preprocessor) -> Result<Axes, ResampleError> {
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for (feature, one) in study.features().iter().enumerate() {
            match one.kind {
                Kind::Number { .. } => {
                    let factor = preprocessor.scale_of(feature).map_or(1.0, |scale| scale.factor);
                    numbers.push(Number { feature, weight: factor.powi(-2) });
                }
                Kind::Code(_) | Kind::Category(_) => categories.push((feature, one.dim())),
            }
        }
        if numbers.is_empty() { Err(ResampleError::NoNumber) } else { Ok(Axes { numbers, categories }) }
    }
}

impl Class {
    /// The points of a group's counted cells.
    pub(super) fn new(study: &Study, axes: &Axes, counted: impl Iterator<Item = (Cell, u64)>) -> Class {
        let (mut cases, mut numbers, mut categories) = (Vec::new(), Vec::new(), Vec::new());
        for (cell, count) in counted {
            let levels = study.domain().levels(cell);
            cases.push(count);
            numbers.extend(axes.numbers.iter().map(|axis| levels[axis.feature] as u32));
            categories.extend(axes.categories.iter().map(|&(feature, _)| levels[feature] as u32));
        }
        let mut class = Class { cases, numbers, categories, axes: axes.clone(), mismatch: 0.0 };
        let mut deviations: Vec<f64> =
            (0..axes.numbers.len()).map(|axis| class.variance(axis).sqrt()).collect();
        deviations.sort_by(f64::total_cmp);
        class.mismatch = median(&deviations).powi(2);
        class
    }

    /// The number of distinct patients.
    pub(super) fn len(&self) -> usize {
        self.cases.len()
    }

    pub(super) fn total(&self) -> u64 {
        self.cases.iter().sum()
    }

    pub(super) fn numbers(&self, point: usize) -> &[u32] {
        let width = self.axes.numbers.len();
        self.numbers.get(point * width..(point + 1) * width).unwrap_or_default()
    }

    pub(super) fn categories(&self, point: usize) -> &[u32] {
        let width = self.axes.categories.len();
        self.categories.get(point * width..(point + 1) * width).unwrap_or_default()
    }

    /// Squared distance of two points in the numbers alone.
    pub(super) fn numeric_distance(&self, a: usize, b: usize) -> f64 {
        let levels = self.numbers(a).iter().zip(self.numbers(b));
        levels.zip(&self.axes.numbers).map(|((&a, &b), axis)| axis.distance(a, b)).sum()
    }

    /// Variance of one number over the cases (divided by their number), in the preprocessor's units.
    pub(super) fn variance(&self, axis: usize) -> f64 {
        let width = self.axes.numbers.len();
        let weight = self.axes.numbers.get(axis).map_or(0.0, |axis| axis.weight);
        let levels = || self.numbers.iter().skip(axis).step_by(width).zip(&self.cases);
        let n = self.total().max(1) as f64;
        let mean = levels().map(|(&level, &cases)| f64::from(level) * cases as f64).sum::<f64>() / n;
        let squares = levels().map(|(&level, &cases)| (f64::from(level) - mean).powi(2) * cases as f64);
        weight * squares.sum::<f64>() / n
    }
}

impl Number {
    pub(super) fn distance(&self, a: u32, b: u32) -> f64 {
        self.weight * f64::from(a.abs_diff(b)).powi(2)
    }
}

/// Of sorted values; the mean of the middle two where their number is even.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (1, Some(value), _) => *value,
        (_, Some(above), Some(below)) => (above + below) / 2.0,
        _ => 0.0,
    }
}
