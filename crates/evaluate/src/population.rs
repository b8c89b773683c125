//! Cells whose outcome is known as a distribution, not as counts: exact figures and the best possible ones.

use crate::{
    cells::require_length,
    error::{Error, Result},
    ranking::{Sweep, by_score},
};

/// Weights of cells and the probabilities of what is true in each. All figures are exact for that distribution.
#[derive(Debug, Clone, Copy)]
pub struct Population<'a> {
    classes: usize,
    /// `[cell]`, not negative.
    weight: &'a [f64],
    /// `[cell][severity]`.
    severity: &'a [f64],
    /// `[cell]`.
    orphan: &'a [f64],
}

impl<'a> Population<'a> {
    /// `weight` and `orphan`: one per cell; `severity`: `classes` per cell.
    ///
    /// # Errors
    /// Lengths that do not fit, weights that are none, probabilities outside 0 to 1.
    pub fn new(classes: usize, weight: &'a [f64], severity: &'a [f64], orphan: &'a [f64]) -> Result<Self> {
        if !(2..=100).contains(&classes) {
            return Err(Error::Classes { found: classes });
        }
        require_length("the severity probabilities", severity, classes * weight.len())?;
        require_length("the orphan probabilities", orphan, weight.len())?;
        let sum: f64 = weight.iter().sum();
        if !(sum > 0.0 && sum.is_finite()) || weight.iter().any(|w| *w < 0.0) {
            return Err(Error::Weights);
        }
        let bad = |p: &f64| !(0.0..=1.0 + 1e-9).contains(p);
        if let Some(at) = severity.iter().position(bad) {
            return Err(Error::NotAProbability { cell: at / classes, what: "a severity probability" });
        }
        if let Some(cell) = orphan.iter().position(bad) {
            return Err(Error::NotAProbability { cell, what: "the orphan probability" });
        }
        Ok(Self { classes, weight, severity, orphan })
    }

    /// The same cells with other weights.
    pub(crate) fn reweighted(&self, weight: &'a [f64]) -> Self {
        Self { weight, ..*self }
    }

    /// The most probable class of each cell, the first of equals.
    #[must_use]
    pub fn most_probable(&self) -> Vec<u8> {
        self.severity.chunks(self.classes).map(|p| first_largest(p, |_, p| p) as u8).collect()
    }

    /// F1 of each severity when cell i is always called `decided[i]`; `None` for a class that never occurs.
    #[must_use]
    pub fn f1(&self, decided: &[u8]) -> Vec<Option<f64>> {
        let mut calls = Calls::new(self.true_weight());
        for ((&w, p), &class) in self.weight.iter().zip(self.severity.chunks(self.classes)).zip(decided) {
            calls.add(usize::from(class), w, p);
        }
        (0..self.classes).map(|k| (calls.truly[k] > 0.0).then(|| calls.f1(k))).collect()
    }

    /// The best macro F1 of any rule, and the rule.
    ///
    /// At the best rule each cell is given the class with the largest (p - F1 / 2) / (true weight + decided weight)
    /// of that class. The condition is iterated from `start` and the best iterate is kept. `None` where a class never
    /// occurs.
    #[must_use]
    pub fn best_macro_f1(&self, start: Vec<u8>) -> Option<(f64, Vec<u8>)> {
        self.best_macro_f1_within(start, 200)
    }

    /// The same, ending after `rounds` iterations.
    pub(crate) fn best_macro_f1_within(&self, start: Vec<u8>, rounds: usize) -> Option<(f64, Vec<u8>)> {
        let truly = self.true_weight();
        if truly.iter().any(|&w| w <= 0.0) {
            return None;
        }
        let mut calls = Calls::new(truly.clone());
        for ((&w, p), &class) in self.weight.iter().zip(self.severity.chunks(self.classes)).zip(&start) {
            calls.add(usize::from(class), w, p);
        }
        let mut best = (calls.macro_f1(), start.clone());
        let (mut decided, mut before) = (start, Vec::new());
        for _ in 0..rounds {
            let half_f1: Vec<f64> = (0..self.classes).map(|k| calls.f1(k) / 2.0).collect();
            let size: Vec<f64> = (0..self.classes).map(|k| calls.truly[k] + calls.decided[k]).collect();
            let mut next_calls = Calls::new(truly.clone());
            let next: Vec<u8> = (self.weight.iter().zip(self.severity.chunks(self.classes)))
                .map(|(&w, p)| {
                    let class = first_largest(p, |k, p| (p - half_f1[k]) / size[k]);
                    next_calls.add(class, w, p);
                    class as u8
                })
                .collect();
            // A rule that repeats the last one or the one before it brings nothing new.
            if next == decided || next == before {
                break;
            }
            before = std::mem::replace(&mut decided, next);
            calls = next_calls;
            if calls.macro_f1() > best.0 {
                best = (calls.macro_f1(), decided.clone());
            }
        }
        Some(best)
    }

    /// Average precision of an orphan score, ties grouped; `None` where no orphan occurs. `order`: [`by_score`] of it.
    pub(crate) fn average_precision(&self, score: &[f64], order: &[u32]) -> Option<f64> {
        let mut sweep = Sweep::default();
        for (at, &i) in order.iter().enumerate() {
            let i = i as usize;
            let last = order.get(at + 1).is_none_or(|&next| score[next as usize] < score[i]);
            let hits = self.weight[i] * self.orphan[i];
            sweep.step(hits, self.weight[i] - hits, last);
        }
        sweep.average_precision()
    }

    /// Precision and share of alarms at the first threshold whose recall reaches `recall`.
    pub(crate) fn at_recall(&self, score: &[f64], order: &[u32], recall: f64) -> Option<(f64, f64)> {
        let all_hits: f64 = order.iter().map(|&i| self.weight[i as usize] * self.orphan[i as usize]).sum();
        let all: f64 = self.weight.iter().sum();
        let (mut hits, mut alerts) = (0.0, 0.0);
        for (at, &i) in order.iter().enumerate() {
            let i = i as usize;
            hits += self.weight[i] * self.orphan[i];
            alerts += self.weight[i];
            let last = order.get(at + 1).is_none_or(|&next| score[next as usize] < score[i]);
            if last && all_hits > 0.0 && hits / all_hits >= recall {
                return Some((hits / alerts, alerts / all));
            }
        }
        None
    }

    /// The order in which the true orphan probability ranks the cells.
    pub(crate) fn best_order(&self) -> Vec<u32> {
        by_score(self.orphan)
    }

    pub(crate) fn orphan(&self) -> &'a [f64] {
        self.orphan
    }

    pub(crate) fn orphan_share(&self) -> f64 {
        let hits: f64 = self.weight.iter().zip(self.orphan).map(|(w, p)| w * p).sum();
        hits / self.weight.iter().sum::<f64>()
    }

    fn true_weight(&self) -> Vec<f64> {
        let mut truly = vec![0.0; self.classes];
        for (&w, p) in self.weight.iter().zip(self.severity.chunks(self.classes)) {
            truly.iter_mut().zip(p).for_each(|(sum, p)| *sum += w * p);
        }
        truly
    }
}

/// Sums over the cells of one rule, per class.
struct Calls {
    truly: Vec<f64>,
    decided: Vec<f64>,
    hit: Vec<f64>,
}

impl Calls {
    fn new(truly: Vec<f64>) -> Self {
        let none = vec![0.0; truly.len()];
        Self { truly, decided: none.clone(), hit: none }
    }

    #[inline]
    fn add(&mut self, class: usize, weight: f64, p: &[f64]) {
        self.decided[class] += weight;
        self.hit[class] += weight * p[class];
    }

    fn f1(&self, class: usize) -> f64 {
        2.0 * self.hit[class] / (self.truly[class] + self.decided[class])
    }

    fn macro_f1(&self) -> f64 {
        (0..self.truly.len()).map(|k| self.f1(k)).sum::<f64>() / self.truly.len() as f64
    }
}

/// The class with the largest gain, the first of equals.
#[inline]
fn first_largest(p: &[f64], gain: impl Fn(usize, f64) -> f64) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (k, &p) in p.iter().enumerate() {
        let gain = gain(k, p);
        if gain > best.1 {
            best = (k, gain);
        }
    }
    best.0
}
