//! The rarity gate: h = sigmoid(a0 + a1 logit g + a2 r), the pooled experts' orphan probability g and the
//! prototypes' rarity margin r as one calibrated probability.
//!
//! a1 > 0 and a2 >= 0, so that more evidence of an orphan disease never lowers the alarm. Fitted on cases that
//! neither score has seen; the prototypes are heard only where they lower the log loss of the rarity by more
//! than one standard error of the paired difference.

use serde::{Deserialize, Serialize};

use crate::calibrate::{Platt, Scored};
use crate::probability::{logit, sigmoid};

/// A coefficient below this is a rounding error of none.
const SMALLEST: f64 = 1e-6;

/// The fitted gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// a1 and a0.
    pub platt: Platt,
    /// a2: 0 where the prototypes are not heard.
    pub prototypes: f64,
}

/// Patients with both scores and what they turned out to be.
#[derive(Debug, Clone, Default)]
pub struct Rarity {
    /// (g, r, orphan cases, other cases).
    pub entries: Vec<(f64, f64, f64, f64)>,
}

impl Gate {
    /// h = g.
    pub const IDENTITY: Gate = Gate { platt: Platt::IDENTITY, prototypes: 0.0 };

    /// The calibrated orphan probability; rises with both scores.
    pub fn apply(&self, g: f64, r: f64) -> f64 {
        match self.prototypes > 0.0 {
            true => sigmoid(self.platt.slope * logit(g) + self.platt.intercept + self.prototypes * r),
            false => self.platt.apply(g),
        }
    }

    /// The gate for these scores.
    pub fn fit(scores: &Rarity) -> Gate {
        let alone = Gate { platt: Platt::fit(&scores.scored(&Gate::IDENTITY)), prototypes: 0.0 };
        let fused = fuse(scores);
        match fused {
            Some(fused) if scores.gain(&fused, &alone) > 1.0 => fused,
            _ => alone,
        }
    }
}

impl Rarity {
    /// The scores as a gate shows them.
    pub fn scored(&self, gate: &Gate) -> Scored {
        let shown = |&(g, r, with, without): &(f64, f64, f64, f64)| (gate.apply(g, r), with, without);
        Scored { entries: self.entries.iter().map(shown).collect() }
    }

    /// By how many standard errors of the paired difference one gate's log loss is below another's.
    fn gain(&self, one: &Gate, other: &Gate) -> f64 {
        let loss = |gate: &Gate, g: f64, r: f64, orphan: bool| {
            let h = gate.apply(g, r);
            -(if orphan { h } else { 1.0 - h }).max(f64::MIN_POSITIVE).ln()
        };
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for &(g, r, with, without) in &self.entries {
            for (cases, orphan) in [(with, true), (without, false)] {
                let gain = loss(other, g, r, orphan) - loss(one, g, r, orphan);
                n += cases;
                sum += cases * gain;
                squares += cases * gain * gain;
            }
        }
        let mean = sum / n;
        let error = ((squares / n - mean * mean).max(0.0) / n).sqrt();
        if error > 0.0 { mean / error } else { 0.0 }
    }
}

/// Logistic regression on both scores with a pull (variance 1) towards (0, 1, 0), by Newton's method with short
/// steps; none where a coefficient would turn a score round or there is nothing to fit.
fn fuse(scores: &Rarity) -> Option<Gate> {
    let outcome =
        |orphan: bool| scores.entries.iter().any(|entry| if orphan { entry.2 > 0.0 } else { entry.3 > 0.0 });
    if !outcome(true) || !outcome(false) || scores.entries.iter().all(|entry| entry.1 == 0.0) {
        return None;
    }
    let prior = [0.0, 1.0, 0.0];
    let mut a = prior;
    for _ in 0..100 {
        let mut gradient: [f64; 3] = std::array::from_fn(|i| a[i] - prior[i]);
        let mut hessian = [[0.0; 3]; 3];
        (0..3).for_each(|i| hessian[i][i] = 1.0);
        for &(g, r, with, without) in &scores.entries {
            let z = [1.0, logit(g), r];
            let n = with + without;
            let q = sigmoid(z.iter().zip(a).map(|(z, a)| z * a).sum());
            for i in 0..3 {
                gradient[i] += (n * q - with) * z[i];
                for j in 0..3 {
                    hessian[i][j] += n * q * (1.0 - q) * z[i] * z[j];
                }
            }
        }
        let step = solve(hessian, gradient)?;
        let longest = step.iter().fold(0.0f64, |longest, step| longest.max(step.abs()));
        let length = (1.0 / longest.max(1.0)).min(1.0);
        (0..3).for_each(|i| a[i] -= length * step[i]);
        if longest < 1e-10 {
            break;
        }
    }
    let [intercept, slope, prototypes] = a;
    (slope > 0.0 && prototypes > SMALLEST).then_some(Gate { platt: Platt { slope, intercept }, prototypes })
}

/// The solution of a positive definite system of three equations, by Cramer's rule.
fn solve(m: [[f64; 3]; 3], b: [f64; 3]) -> Option<[f64; 3]> {
    let determinant = |m: [[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = determinant(m);
    let solution: [f64; 3] = std::array::from_fn(|column| {
        let mut replaced = m;
        replaced.iter_mut().zip(b).for_each(|(row, b)| row[column] = b);
        determinant(replaced) / whole
    });
    solution.iter().all(|x| x.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells on a grid of two scores; the truth is sigmoid(a + b logit g + c r).
    fn scores(a: f64, b: f64, c: f64) -> Rarity {
        let mut entries = Vec::new();
        for i in 0..40 {
            for j in 0..40 {
                let (score, r) = (f64::from(i) / 5.0 - 5.0, f64::from(j) / 5.0 - 4.0);
                let p = sigmoid(a + b * score + c * r);
                entries.push((sigmoid(score), r, 10.0 * p, 10.0 * (1.0 - p)));
            }
        }
        Rarity { entries }
    }

    #[test]
    fn the_fitted_gate_is_the_true_one() {
        let gate = Gate::fit(&scores(-0.5, 0.8, 0.4));
        let Gate { platt, prototypes } = gate;
        assert!((platt.intercept + 0.5).abs() < 0.02 && (platt.slope - 0.8).abs() < 0.02, "{gate:?}");
        assert!((prototypes - 0.4).abs() < 0.02, "{gate:?}");
    }

    #[test]
    fn prototypes_that_know_nothing_or_mislead_are_not_heard() {
        assert_eq!(Gate::fit(&scores(0.0, 1.0, 0.0)), Gate::IDENTITY);
        assert_eq!(Gate::fit(&scores(0.3, 1.0, -0.4)).prototypes, 0.0);
        assert_eq!(Gate::fit(&Rarity::default()), Gate::IDENTITY);
    }

    #[test]
    fn more_evidence_never_lowers_the_probability() {
        let gate = Gate::fit(&scores(-0.5, 0.8, 0.4));
        for (g, r) in [(0.1, -3.0), (0.5, 0.0), (0.9, 2.0)] {
            assert!(gate.apply(g + 0.05, r) > gate.apply(g, r) && gate.apply(g, r + 0.1) > gate.apply(g, r));
        }
    }
}
