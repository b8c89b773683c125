//! One rule type for gates before promotion and for alarms in production.

use std::{collections::BTreeMap, fmt};

use clinical::study::{Gate, GateMetric, Reading};
use serde::{Deserialize, Serialize};

use crate::{
    disease::FEWEST_CASES,
    figure::{Estimate, Figure},
    figures::{Figures, Metric},
    report::Subgroup,
};

/// Which side of the bound is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    AtLeast,
    AtMost,
}

/// A condition on one figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub metric: Metric,
    pub comparison: Comparison,
    pub bound: f64,
    pub reading: Reading,
    /// With fewer cases than this the verdict is open.
    pub fewest: u64,
}

/// How a rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Holds,
    Fails,
    /// There is no figure, or too few cases.
    Undetermined,
}

/// A rule, how it came out, and why, in a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub rule: Rule,
    /// The group that it is about; everybody where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    pub outcome: Outcome,
    pub because: String,
}

/// One group of patients by one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub feature: String,
    pub name: String,
}

/// The verdicts of a study's gates, in the gates' order; a gate that is given by feature has one per group.
///
/// `groups`: the groups' figures by feature, of every feature that the model has. Of another one nothing can be said, so
/// that a gate by it is open for everybody.
#[must_use]
pub fn judge(gates: &[Gate], everybody: &Figures, groups: &BTreeMap<String, Vec<Subgroup>>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for gate in gates {
        for rule in Rule::of_gate(gate) {
            if gate.by.is_empty() {
                verdicts.push(rule.judge(everybody));
            }
            for feature in &gate.by {
                match groups.get(feature) {
                    Some(groups) => verdicts.extend(groups.iter().map(|group| Verdict {
                        group: Some(Group { feature: feature.clone(), name: group.name.clone() }),
                        ..rule.judge(&group.figures)
                    })),
                    None => verdicts.push(rule.open(format!(
                        "{} is to be judged by {feature}, which the model is not asked",
                        rule.metric
                    ))),
                }
            }
        }
    }
    verdicts
}

/// Whether gates hold: each one about everybody is proved to hold, and no group is proved to fail. A group is often
/// too small for a proof of either.
#[must_use]
pub fn hold(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| match verdict.outcome {
        Outcome::Holds => true,
        Outcome::Undetermined => verdict.group.is_some(),
        Outcome::Fails => false,
    })
}

/// The state of a target in production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    /// The value reaches the target.
    Green,
    /// The value misses the target, chance is not excluded.
    Amber,
    /// Even the better end of the 95 % interval misses the target.
    Red,
    /// Fewer than nine cases, or no figure.
    Grey,
}

impl Rule {
    /// The value itself must not be below `bound`.
    #[must_use]
    pub fn at_least(metric: Metric, bound: f64) -> Self {
        Self { metric, comparison: Comparison::AtLeast, bound, reading: Reading::Value, fewest: 1 }
    }

    /// The value itself must not be above `bound`.
    #[must_use]
    pub fn at_most(metric: Metric, bound: f64) -> Self {
        Self { comparison: Comparison::AtMost, ..Self::at_least(metric, bound) }
    }

    /// The rules of a study's gate: one per bound that it gives, open below nine cases (three of three orphan patients
    /// found prove nothing).
    #[must_use]
    pub fn of_gate(gate: &Gate) -> Vec<Self> {
        let metric = gate.metric.into();
        let low = gate.at_least.map(|bound| Self::at_least(metric, bound));
        let both = low.into_iter().chain(gate.at_most.map(|bound| Self::at_most(metric, bound)));
        both.map(|rule| Self { fewest: FEWEST_CASES, reading: gate.reading, ..rule }).collect()
    }

    fn open(&self, because: String) -> Verdict {
        Verdict { rule: *self, group: None, outcome: Outcome::Undetermined, because }
    }

    /// Applies the rule to the figure that it names.
    #[must_use]
    pub fn judge(&self, figures: &Figures) -> Verdict {
        let (outcome, because) = match figures.figure(self.metric) {
            Figure::Undefined { because } => {
                (Outcome::Undetermined, format!("{} is not defined: {because}", self.metric))
            }
            Figure::Measured(e) if e.n < self.fewest => {
                let n = e.n;
                (
                    Outcome::Undetermined,
                    format!("{} rests on {n} cases, {} are needed", self.metric, self.fewest),
                )
            }
            Figure::Measured(e) => {
                let (number, name) = self.read(e);
                let holds = self.is_good(number);
                let word = match (self.comparison, holds) {
                    (Comparison::AtLeast, true) => "at least",
                    (Comparison::AtLeast, false) => "below",
                    (Comparison::AtMost, true) => "at most",
                    (Comparison::AtMost, false) => "above",
                };
                let outcome = if holds { Outcome::Holds } else { Outcome::Fails };
                let Estimate { value, low, high, n } = e;
                let figure = format!("{} {value:.4} ({low:.4} to {high:.4}, n = {n})", self.metric);
                (outcome, format!("{figure}: {name} is {word} {}", self.bound))
            }
        };
        Verdict { rule: *self, group: None, outcome, because }
    }

    /// The state of a production alarm on a figure: red when the better end of the 95 % interval misses the bound, amber
    /// when the value does, grey below nine cases.
    #[must_use]
    pub fn light(&self, figure: &Figure) -> Light {
        let Some(e) = figure.estimate().filter(|e| e.n >= FEWEST_CASES.max(self.fewest)) else {
            return Light::Grey;
        };
        let better_end = match self.comparison {
            Comparison::AtLeast => e.high,
            Comparison::AtMost => e.low,
        };
        match (self.is_good(better_end), self.is_good(e.value)) {
            (false, _) => Light::Red,
            (true, false) => Light::Amber,
            (true, true) => Light::Green,
        }
    }

    fn is_good(&self, number: f64) -> bool {
        match self.comparison {
            Comparison::AtLeast => number >= self.bound,
            Comparison::AtMost => number <= self.bound,
        }
    }

    fn read(&self, e: &Estimate) -> (f64, &'static str) {
        match self.reading {
            Reading::Value => (e.value, "the value"),
            Reading::Low => (e.low, "the low end"),
            Reading::High => (e.high, "the high end"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F1Common => "F1 of the common diseases",
            Self::MacroF1 => "macro F1",
            Self::OrphanRecall => "orphan recall",
            Self::OrphanPrecision => "orphan precision",
            Self::AlertsPer1000 => "alerts per 1,000",
            Self::NumberNeededToReview => "number needed to review",
            Self::OrphanAveragePrecision => "orphan average precision",
            Self::OrphanRocAuc => "orphan ROC AUC",
            Self::Brier => "Brier score",
            Self::LogLoss => "log loss",
            Self::CalibrationError => "calibration error",
            Self::OrphanBrier => "orphan Brier score",
            Self::OrphanLogLoss => "orphan log loss",
            Self::OrphanCalibrationError => "orphan calibration error",
        })
    }
}

impl From<GateMetric> for Metric {
    fn from(metric: GateMetric) -> Self {
        match metric {
            GateMetric::F1Common => Self::F1Common,
            GateMetric::MacroF1 => Self::MacroF1,
            GateMetric::OrphanRecall => Self::OrphanRecall,
            GateMetric::OrphanAveragePrecision => Self::OrphanAveragePrecision,
            GateMetric::CalibrationError => Self::CalibrationError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, low: f64, high: f64, n: u64) -> Figure {
        Figure::Measured(Estimate { value, low, high, n })
    }

    #[test]
    fn lights_follow_value_interval_and_number() {
        let recall = Rule::at_least(Metric::OrphanRecall, 0.70);
        assert_eq!(recall.light(&figure(0.80, 0.6, 0.9, 40)), Light::Green);
        assert_eq!(recall.light(&figure(0.65, 0.5, 0.8, 40)), Light::Amber);
        assert_eq!(recall.light(&figure(0.50, 0.4, 0.69, 40)), Light::Red);
        assert_eq!(recall.light(&figure(0.50, 0.4, 0.69, 8)), Light::Grey);
        assert_eq!(recall.light(&figure(0.50, 0.4, 0.69, 9)), Light::Red);
        assert_eq!(recall.light(&Figure::undefined("no orphan patient")), Light::Grey);
        let error = Rule::at_most(Metric::CalibrationError, 0.05);
        assert_eq!(error.light(&figure(0.04, 0.0, 0.09, 40)), Light::Green);
        assert_eq!(error.light(&figure(0.06, 0.04, 0.09, 40)), Light::Amber);
        assert_eq!(error.light(&figure(0.09, 0.06, 0.1, 40)), Light::Red);
    }

    #[test]
    fn a_studys_gate_becomes_its_rules() {
        let gate = Gate {
            metric: GateMetric::MacroF1,
            at_least: Some(0.5),
            at_most: Some(0.9),
            reading: Reading::Value,
            by: Vec::new(),
        };
        let rules = Rule::of_gate(&gate);
        let both = [Rule::at_least(Metric::MacroF1, 0.5), Rule::at_most(Metric::MacroF1, 0.9)];
        assert_eq!(rules, both.map(|rule| Rule { fewest: 9, ..rule }));
    }
}
