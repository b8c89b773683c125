//! Two halves, one answer: a distribution over severities and the suspicion of an orphan disease.
//!
//! One softmax over *groups* (a severity with a rarity) holds both halves without contradiction: its
//! marginals are the severity s(x) and the gate g(x) = P(orphan | x), its conditionals are the
//! severity given either rarity. The gate is calibrated by itself, h = Platt(g), and the answer is
//! (1 - h) s(x | common) + h s(x | orphan), so that more evidence of an orphan disease never lowers
//! the alarm and always moves the severity towards what orphan diseases do.

use serde::{Deserialize, Serialize};

use crate::alarm::Alarm;
use crate::calibrate::{Platt, Temperature};
use crate::{Error, Result};

/// A severity with a rarity: one class of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    /// Position among the study's severities.
    pub severity: usize,
    pub orphan: bool,
}

/// The classes of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// Number of severities, K >= 2.
    pub severities: usize,
    /// The severity of a patient without a disease, which an alarm excludes; none where the study
    /// has no such class.
    pub healthy: Option<usize>,
    /// The model's classes, in the order of the counts' columns; each once.
    pub groups: Vec<Group>,
}

impl Classes {
    /// # Errors
    /// When a severity is out of range or a group stands twice.
    pub fn check(&self) -> Result<()> {
        let invalid = |why: &str| Err(Error::Invalid(format!("the classes of the model: {why}")));
        if self.severities < 2 || self.groups.len() < 2 {
            return invalid("at least two severities and two groups are needed");
        }
        if self
            .groups
            .iter()
            .map(|group| group.severity)
            .chain(self.healthy)
            .any(|severity| severity >= self.severities)
        {
            return invalid("a severity is out of range");
        }
        let mut seen = self.groups.clone();
        seen.sort_by_key(|group| (group.severity, group.orphan));
        seen.dedup();
        if seen.len() != self.groups.len() {
            return invalid("a group stands twice");
        }
        Ok(())
    }

    /// Numbers of one answer: the severities, then the orphan probability.
    pub fn outputs(&self) -> usize {
        self.severities + 1
    }
}

/// The answer's rule: margins of the groups in, displayed probabilities out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Combination {
    pub classes: Classes,
    pub temperature: Temperature,
    pub gate: Platt,
    pub alarm: Alarm,
}

impl Combination {
    /// The calibrated orphan probability, h, of one patient's group margins.
    pub fn orphan(&self, margins: &[f64]) -> f64 {
        let mut p = vec![0.0; margins.len()];
        self.temperature.apply(margins, &mut p);
        self.calibrated_gate(&p)
    }

    fn calibrated_gate(&self, p: &[f64]) -> f64 {
        if self.classes.groups.iter().all(|group| !group.orphan) {
            return 0.0;
        }
        let gate =
            p.iter().zip(&self.classes.groups).filter(|(_, group)| group.orphan).map(|(p, _)| p).sum::<f64>();
        self.gate.apply(gate).clamp(0.0, 1.0)
    }

    /// Whether an orphan probability raises the alarm.
    pub fn alarmed(&self, orphan: f64) -> bool {
        self.alarm.threshold.is_some_and(|threshold| orphan >= threshold)
    }

    /// The displayed probabilities: K severities, which sum to 1, then the orphan probability. An
    /// alarmed patient is not called healthy: the severities are renormalised without that class.
    /// `margins` are the groups' margins, in order; `answer` has room for K + 1 numbers.
    pub fn answer(&self, margins: &[f64], answer: &mut [f64]) {
        let orphan = self.mix(margins, answer);
        if let Some(healthy) = self.classes.healthy.filter(|_| self.alarmed(orphan)) {
            let k = self.classes.severities;
            if let Some(p) = answer.get_mut(healthy) {
                *p = 0.0;
            }
            normalise(answer.get_mut(..k).unwrap_or_default());
        }
    }

    /// The same without the alarm's effect on the severities.
    pub fn answer_without_alarm(&self, margins: &[f64], answer: &mut [f64]) {
        self.mix(margins, answer);
    }

    fn mix(&self, margins: &[f64], answer: &mut [f64]) -> f64 {
        let mut p = vec![0.0; margins.len()];
        self.temperature.apply(margins, &mut p);
        let h = self.calibrated_gate(&p);
        let total = |orphan: bool| -> f64 {
            p.iter()
                .zip(&self.classes.groups)
                .filter(|(_, group)| group.orphan == orphan)
                .map(|(p, _)| p)
                .sum()
        };
        let (common, orphan) = (total(false), total(true));
        answer.fill(0.0);
        for (p, group) in p.iter().zip(&self.classes.groups) {
            let share = match group.orphan {
                true if orphan > 0.0 => h * p / orphan,
                false if common > 0.0 => (1.0 - h) * p / common,
                _ => 0.0,
            };
            if let Some(place) = answer.get_mut(group.severity) {
                *place += share;
            }
        }
        normalise(answer.get_mut(..self.classes.severities).unwrap_or_default());
        if let Some(place) = answer.get_mut(self.classes.severities) {
            *place = h;
        }
        h
    }
}

/// Makes the numbers sum to 1, where they sum to anything.
fn normalise(p: &mut [f64]) {
    let sum = p.iter().sum::<f64>();
    if sum > 0.0 {
        p.iter_mut().for_each(|p| *p /= sum);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alarm::Rule;

    fn combination(gate: Platt, threshold: Option<f64>) -> Combination {
        let groups = [(0, false), (1, false), (2, false), (3, false), (1, true), (3, true)];
        Combination {
            classes: Classes {
                severities: 4,
                healthy: Some(0),
                groups: groups.map(|(severity, orphan)| Group { severity, orphan }).to_vec(),
            },
            temperature: Temperature::IDENTITY,
            gate,
            alarm: Alarm { rule: Rule::default(), positives: 50, index: 10, threshold },
        }
    }

    fn answer(combination: &Combination, margins: &[f64]) -> [f64; 5] {
        let mut out = [0.0; 5];
        combination.answer(margins, &mut out);
        out
    }

    #[test]
    fn an_uncalibrated_answer_is_the_marginal_of_the_groups() {
        let p: [f64; 6] = [0.4, 0.2, 0.1, 0.15, 0.05, 0.1];
        let got = answer(&combination(Platt::IDENTITY, None), &p.map(f64::ln));
        for (got, expected) in got.iter().zip([0.4, 0.25, 0.1, 0.25, 0.15]) {
            assert!((got - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn an_alarm_excludes_healthy_and_keeps_the_orphan_probability() {
        let p: [f64; 6] = [0.4, 0.2, 0.1, 0.15, 0.05, 0.1];
        let got = answer(&combination(Platt::IDENTITY, Some(0.1)), &p.map(f64::ln));
        for (got, expected) in got.iter().zip([0.0, 0.25 / 0.6, 0.1 / 0.6, 0.25 / 0.6, 0.15]) {
            assert!((got - expected).abs() < 1e-12);
        }
    }

    proptest! {
        #[test]
        fn answers_are_distributions(
            margins in proptest::collection::vec(-30.0f64..30.0, 6),
            slope in 0.2f64..3.0,
            intercept in -3.0f64..3.0,
            threshold in proptest::option::of(0.0f64..1.0),
        ) {
            let combination = combination(Platt { slope, intercept }, threshold);
            let got = answer(&combination, &margins);
            prop_assert!((got[..4].iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(got.iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert_eq!(got[4], combination.orphan(&margins));
        }

        #[test]
        fn more_orphan_evidence_never_lowers_the_orphan_probability(
            margins in proptest::collection::vec(-8.0f64..8.0, 6),
            group in 4usize..6,
            more in 0.0f64..5.0,
        ) {
            let combination = combination(Platt { slope: 1.3, intercept: 0.2 }, Some(0.2));
            let before = combination.orphan(&margins);
            let mut margins = margins;
            margins[group] += more;
            prop_assert!(combination.orphan(&margins) >= before - 1e-12);
        }
    }
}
