//! The prototype of one disease: where its cases lie and how far they scatter.
//!
//! c = (n m + kappa c_parent) / (n + kappa), where m is the mean of the cases, and
//! v = (sum |z - c|^2 + nu v0) / (dim n + nu): few cases are pulled towards what diseases of the kind
//! look like, many cases speak for themselves.
//!
//! Cases that were confirmed one by one after training are kept with their identifiers, so that a
//! wrong one can be guarded against and taken back:
//! - no case moves the prototype by more than 2 s / (n + 1), s = sqrt(dim v0) being the root mean square
//!   distance of a case from its prototype, whatever it holds; only the first case of a new disease,
//!   which has nothing to compare it with, is free;
//! - from five cases on a new disease's mean gives way to the geometric median;
//! - a case far from where the other cases put the prototype is flagged.

use super::network::DIM;

/// Weight of the parent in a prototype's centre, in cases.
const KAPPA: f64 = 1.0;
/// Weight of the pooled spread in a prototype's own, in numbers (cases times dimensions).
const NU: f64 = 2.0 * DIM as f64;
/// Numbers of cases for which the geometric median stands for the mean: fewer say nothing of an outlier,
/// and among more a single one does nothing.
const MEDIAN: std::ops::RangeInclusive<usize> = 5..=64;
/// A case farther than this from the others' prototype, in root mean square distances, is flagged: on the reference
/// cohort from five cases on that is 1 to 9 in a hundred right ones and 8 to 9 in ten wrong ones.
const FAR: f64 = 2.0;

pub(super) type Point = [f64; DIM];

/// A confirmed case: its identifier and the point at which its patient lies.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) point: [f32; DIM],
}

/// Sufficient statistics of counted cases.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sums {
    pub(super) count: f64,
    pub(super) sum: Point,
    /// Sum of |z|^2.
    pub(super) squares: f64,
}

/// What all prototypes of one kind (common or orphan) start from; fixed when they are fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Parent {
    pub(super) centre: Point,
    /// Pooled variance per dimension, v0.
    pub(super) spread: f64,
}

/// Where a prototype stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) centre: Point,
    /// Variance per dimension.
    pub(super) spread: f64,
    /// Cases.
    pub(super) count: f64,
}

impl Sums {
    pub(super) fn add(&mut self, point: &[f32; DIM], count: f64) {
        self.count += count;
        for (sum, &z) in self.sum.iter_mut().zip(point) {
            let z = f64::from(z);
            *sum += count * z;
            self.squares += count * z * z;
        }
    }

    pub(super) fn mean(&self) -> Point {
        self.sum.map(|sum| sum / self.count)
    }

    /// Sum of |z - c|^2.
    pub(super) fn scatter(&self, centre: &Point) -> f64 {
        let (dot, square) = self
            .sum
            .iter()
            .zip(centre)
            .fold((0.0, 0.0), |(dot, square), (sum, c)| (dot + sum * c, square + c * c));
        (self.squares - 2.0 * dot + self.count * square).max(0.0)
    }
}

impl Parent {
    /// Root mean square distance of a case from its prototype.
    fn scale(&self) -> f64 {
        (DIM as f64 * self.spread).sqrt()
    }

    /// The most that one case more may move a prototype of `count` cases.
    pub(super) fn bound(&self, count: f64) -> f64 {
        2.0 * self.scale() / (count + 1.0)
    }

    /// The mean of `count` cases, pulled towards the parent.
    pub(super) fn shrunk(&self, mean: &Point, count: f64) -> Point {
        std::array::from_fn(|d| (count * mean[d] + KAPPA * self.centre[d]) / (count + KAPPA))
    }

    /// The prototype of counted cases and, after them, single ones in the order in which they came.
    pub(super) fn place<'a>(&self, counted: &Sums, cases: impl Iterator<Item = &'a Case>) -> Place {
        let mut sums = *counted;
        let mut points: Vec<Point> = Vec::new();
        let mut centre = match counted.count > 0.0 {
            true => self.shrunk(&counted.mean(), counted.count),
            false => self.centre,
        };
        for case in cases {
            let bound = self.bound(sums.count);
            sums.add(&case.point, 1.0);
            let mut mean = sums.mean();
            if counted.count <= 0.0 {
                points.push(case.point.map(f64::from));
                if MEDIAN.contains(&points.len()) {
                    mean = geometric_median(&points, mean);
                }
            }
            let target = self.shrunk(&mean, sums.count);
            let free = sums.count <= 1.0;
            centre = if free { target } else { towards(&centre, &target, bound) };
        }
        let spread = (sums.scatter(&centre) + NU * self.spread) / (DIM as f64 * sums.count + NU);
        Place { centre, spread, count: sums.count }
    }
}

impl Place {
    /// Distance of a point in root mean square distances of this prototype's cases.
    pub(super) fn distance(&self, point: &[f32; DIM]) -> f64 {
        (squared_distance(&point.map(f64::from), &self.centre) / (DIM as f64 * self.spread)).sqrt()
    }
}

/// Whether a case at this distance ([`Place::distance`]) from the prototype of the others should be looked at.
pub(super) fn far(distance: f64) -> bool {
    distance > FAR
}

pub(super) fn squared_distance(a: &Point, b: &Point) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The point on the way to `target`, at most `bound` from `from`.
fn towards(from: &Point, target: &Point, bound: f64) -> Point {
    let distance = squared_distance(from, target).sqrt();
    let share = if distance > bound { bound / distance } else { 1.0 };
    std::array::from_fn(|d| from[d] + share * (target[d] - from[d]))
}

/// The point with the least sum of distances to `points`, from `start`, by Weiszfeld's iteration
/// (Vardi and Zhang 2000 on why a point that coincides with a case needs the small term).
fn geometric_median(points: &[Point], start: Point) -> Point {
    let mut median = start;
    for _ in 0..200 {
        let (mut sum, mut weights) = ([0.0; DIM], 0.0);
        for point in points {
            let weight = 1.0 / (squared_distance(point, &median) + 1e-18).sqrt();
            weights += weight;
            sum.iter_mut().zip(point).for_each(|(sum, z)| *sum += weight * z);
        }
        let next = sum.map(|sum| sum / weights);
        let moved = squared_distance(&next, &median);
        median = next;
        if moved < 1e-20 {
            break;
        }
    }
    median
}
