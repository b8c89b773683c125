//! What the study plans for the data and the model: split, scaling, alarm, targets, gates.

use serde::{Deserialize, Serialize};

/// Shares of the three sets in percent, multiples of 5 that add up to 100: the split is stratified
/// by permuted blocks of twenty patients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    pub train: u8,
    pub validation: u8,
    pub test: u8,
    /// Seed of the assignment. Changing it moves patients between sets: only for a new study.
    pub seed: u64,
}

/// How numbers are scaled for the learners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Significance level of the normality test: below it a feature is normalised to 0..1 rather than standardised.
    pub normality_alpha: f64,
}

/// The few-shot half: disease profiles, and prototypes in an embedding that is trained by episodes (Snell et al. 2017).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FewShot {
    /// Episodes that train the embedding; 0 leaves the profiles alone.
    pub episodes: usize,
    /// Diseases per episode.
    pub ways: usize,
    /// Cases per disease that make a prototype in an episode.
    pub shots: usize,
    /// Cases per disease to be recognised in an episode.
    pub queries: usize,
    pub learning_rate: f64,
    /// Share of the common and healthy patients that one watched disease may alarm: one that was first seen after training, and
    /// that the gate does not find yet.
    pub false_alarms_each: f64,
    /// Share of them that all such diseases together may alarm.
    pub false_alarms: f64,
}

impl Default for FewShot {
    fn default() -> Self {
        FewShot {
            episodes: 1000,
            ways: 8,
            shots: 5,
            queries: 10,
            learning_rate: 0.002,
            false_alarms_each: 0.005,
            false_alarms: 0.02,
        }
    }
}

impl FewShot {
    /// # Errors
    /// Names what is out of its range.
    pub fn check(&self) -> Result<(), &'static str> {
        let share = |share: f64| (0.0..=1.0).contains(&share);
        match () {
            () if self.episodes > 1_000_000 => Err("episodes is 0 to 1000000"),
            () if !(2..=1000).contains(&self.ways) => Err("ways is 2 to 1000"),
            () if !(1..=1000).contains(&self.shots) => Err("shots is 1 to 1000"),
            () if !(1..=1000).contains(&self.queries) => Err("queries is 1 to 1000"),
            () if !(self.learning_rate > 0.0 && self.learning_rate < 1.0) => {
                Err("learning_rate lies between 0 and 1")
            }
            () if !share(self.false_alarms_each) || !share(self.false_alarms) => {
                Err("false_alarms_each and false_alarms are shares, 0 to 1")
            }
            () => Ok(()),
        }
    }
}

/// How orphan diseases stand beside each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orphan {
    pub prior: Prior,
}

/// How frequent each orphan disease is taken to be among the orphan ones. How frequent they are together is always counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// As the confirmed cases are.
    #[default]
    Cases,
    /// As Orphanet's point prevalence says.
    Prevalence,
}

/// When a patient is reported as suspected orphan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// The recall that is promised.
    pub recall: f64,
    /// Confidence with which the promise is to hold (tolerance index), e.g. 0.90.
    pub confidence: f64,
    /// The recall to expect on average (conformal index); at least `recall`.
    pub aim: f64,
}

/// The option to answer "not sure: ask".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Abstention {
    /// Share of patients that get an answer; 1: everybody.
    pub coverage: f64,
    /// Confidence with which at least so many get one.
    pub confidence: f64,
}

impl Default for Abstention {
    fn default() -> Self {
        Abstention { coverage: 1.0, confidence: 0.90 }
    }
}

impl Abstention {
    /// # Errors
    /// Names what is out of its range.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match () {
            () if !(self.coverage > 0.0 && self.coverage <= 1.0) => {
                Err("coverage is the share of patients that get an answer, above 0 to 1")
            }
            () if !(self.confidence > 0.0 && self.confidence < 1.0) => {
                Err("confidence lies between 0 and 1, e.g. 0.90")
            }
            () => Ok(()),
        }
    }
}

/// The predictor's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictor {
    /// Up to this many possible patients every answer is computed in advance; beyond, the models are evaluated directly.
    pub table_limit: usize,
    /// Patients of the training cohort that explanations average over in the direct form.
    pub background: usize,
}

/// What the model is for, in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// Macro F1 over patients whose disease is not orphan.
    pub f1_common: f64,
    pub orphan_recall: f64,
}

/// A figure that a gate looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateMetric {
    F1Common,
    MacroF1,
    OrphanRecall,
    OrphanAveragePrecision,
    CalibrationError,
}

/// Which number of a figure is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    #[default]
    Value,
    /// The low end of the 95 % interval.
    Low,
    /// The high end of the 95 % interval.
    High,
}

/// One condition for promotion: the figure compared with its bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    pub metric: GateMetric,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    #[serde(default)]
    pub reading: Reading,
    /// Features: the gate is judged in every group of each of them (codes, categories, numbers in bands). Empty:
    /// everybody together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}
