//! How well a score puts orphan patients before the others: average precision, ROC area, operating points.

use serde::{Deserialize, Serialize};

/// Alarms from a threshold on, what they find and what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Alarm at this score or above.
    pub threshold: f64,
    /// Share of the orphan patients that are alarmed.
    pub recall: f64,
    /// Share of the alarms that are orphan patients.
    pub precision: f64,
    pub alerts_per_1000: f64,
}

/// Highest score first.
pub(crate) fn by_score(scores: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    order
}

/// A walk down the scores that takes whole ties at a time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sweep {
    /// Orphan and other weight above or at the score so far, without the open tie.
    hits: f64,
    misses: f64,
    tie_hits: f64,
    tie_misses: f64,
    /// Sum over ties of their orphan weight times the precision at their end.
    precision_area: f64,
    /// Sum over ties of their orphan weight times the others scored above them (half of those tied).
    inversions: f64,
}

impl Sweep {
    /// The next score's weights. `last` says that the next score, if any, is lower.
    #[inline]
    pub(crate) fn step(&mut self, hits: f64, misses: f64, last: bool) {
        self.tie_hits += hits;
        self.tie_misses += misses;
        if last {
            self.close();
        }
    }

    fn close(&mut self) {
        let (hits, misses) = (self.hits + self.tie_hits, self.misses + self.tie_misses);
        if self.tie_hits > 0.0 {
            self.precision_area += self.tie_hits * hits / (hits + misses);
            self.inversions += self.tie_hits * (self.misses + 0.5 * self.tie_misses);
        }
        (self.hits, self.misses, self.tie_hits, self.tie_misses) = (hits, misses, 0.0, 0.0);
    }

    /// Sum over thresholds of (step in recall) x precision, ties taken together; `None` without orphan weight.
    pub(crate) fn average_precision(&self) -> Option<f64> {
        (self.hits > 0.0).then(|| self.precision_area / self.hits)
    }

    /// Probability that an orphan patient scores above another one, ties counted half; `None` without either.
    pub(crate) fn roc_auc(&self) -> Option<f64> {
        let pairs = self.hits * self.misses;
        (pairs > 0.0).then(|| 1.0 - self.inversions / pairs)
    }
}

/// Every distinct threshold, highest first. `weights`: (orphan, other) weight of each item.
pub(crate) fn operating_points(scores: &[f64], weights: impl Fn(usize) -> (f64, f64)) -> Vec<OperatingPoint> {
    let order = by_score(scores);
    let (all_hits, all) = order.iter().fold((0.0, 0.0), |(h, a), &i| {
        let (hits, misses) = weights(i as usize);
        (h + hits, a + hits + misses)
    });
    let (mut hits, mut alerts, mut out) = (0.0, 0.0, Vec::new());
    for (at, &i) in order.iter().enumerate() {
        let score = scores[i as usize];
        let (h, m) = weights(i as usize);
        hits += h;
        alerts += h + m;
        let last = order.get(at + 1).is_none_or(|&next| scores[next as usize] < score);
        if last && alerts > 0.0 && all_hits > 0.0 {
            let (recall, precision) = (hits / all_hits, hits / alerts);
            out.push(OperatingPoint {
                threshold: score,
                recall,
                precision,
                alerts_per_1000: 1000.0 * alerts / all,
            });
        }
    }
    out
}

/// At most `limit` points, evenly spaced in recall, first and last kept.
pub(crate) fn thin(points: Vec<OperatingPoint>, limit: usize) -> Vec<OperatingPoint> {
    if points.len() <= limit || limit < 2 {
        return points;
    }
    let (last, step) = (points.len() - 1, 1.0 / (limit - 1) as f64);
    let mut next = 0.0;
    let mut kept = Vec::with_capacity(limit);
    for (i, point) in points.into_iter().enumerate() {
        if point.recall >= next || i == 0 || i == last {
            kept.push(point);
            while next <= point.recall {
                next += step;
            }
        }
    }
    kept
}
