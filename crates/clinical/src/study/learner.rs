//! The learners that a study may choose from, and the settings of each. Settings that mean the same
//! have the same name; each says what its learner's own documentation calls it.

use serde::{Deserialize, Serialize};

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learner {
    /// Gradient-boosted trees by XGBoost.
    Xgboost,
    /// Gradient-boosted trees by LightGBM.
    Lightgbm,
    /// A multi-layer perceptron.
    Mlp,
}

impl Learner {
    pub const ALL: [Learner; 3] = [Learner::Xgboost, Learner::Lightgbm, Learner::Mlp];

    pub fn name(self) -> &'static str {
        match self {
            Learner::Xgboost => "xgboost",
            Learner::Lightgbm => "lightgbm",
            Learner::Mlp => "mlp",
        }
    }
}

/// The training that every learner shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// The study's choice of learner.
    pub learner: Learner,
    /// Cross-fitting folds, `2..=20`; the model is the mean of the fold models.
    pub folds: usize,
}

impl Default for Training {
    fn default() -> Self {
        Training { learner: Learner::Xgboost, folds: 5 }
    }
}

/// A learner with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "learner", rename_all = "lowercase")]
pub enum Parameters {
    Xgboost(Xgboost),
    Lightgbm(Lightgbm),
    Mlp(Mlp),
}

/// XGBoost's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Xgboost {
    /// Rounds at most, `1..=100_000`; each adds one tree per class.
    pub rounds: usize,
    /// Stop after this many rounds without a lower held-out loss; the best round's model is kept.
    pub early_stopping: Option<usize>,
    /// Depth of a tree (`max_depth`), `1..=16`.
    pub depth: usize,
    /// Learning rate, `(0, 1]`.
    pub eta: f64,
    /// Share of the cases that each round sees, `(0, 1]`; drawn case by case.
    pub subsample: f64,
    /// Share of the columns that each split may choose from (`colsample_bynode`), `(0, 1]`.
    pub columns: f64,
    /// Values per column that a split may choose between (`max_bin`), `2..=4096`.
    pub bins: usize,
    /// Least sum of Hessians in a leaf, at least 0.
    pub min_child_weight: f64,
    /// L2 penalty on a leaf's value, at least 0.
    pub lambda: f64,
}

impl Default for Xgboost {
    fn default() -> Self {
        Xgboost {
            rounds: 1000,
            early_stopping: Some(30),
            depth: 4,
            eta: 0.08,
            subsample: 0.8,
            columns: 0.3,
            bins: 32,
            min_child_weight: 1.0,
            lambda: 1.0,
        }
    }
}

/// LightGBM's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lightgbm {
    /// Rounds at most (`num_iterations`), `1..=100_000`; each adds one tree per class.
    pub rounds: usize,
    /// Stop after this many rounds without a lower held-out loss; the best round's model is kept.
    pub early_stopping: Option<usize>,
    /// Leaves of a tree at most (`num_leaves`), `2..=65_536`.
    pub leaves: usize,
    /// Depth of a tree (`max_depth`), `1..=16`.
    pub depth: usize,
    /// Learning rate (`learning_rate`), `(0, 1]`.
    pub eta: f64,
    /// Share of the cases that each round sees, `(0, 1]`; drawn case by case.
    pub subsample: f64,
    /// Share of the columns that each split may choose from (`feature_fraction_bynode`), `(0, 1]`.
    pub columns: f64,
    /// Values per column that a split may choose between (`max_bin`), `2..=4096`.
    pub bins: usize,
    /// Least sum of Hessians in a leaf (`min_sum_hessian_in_leaf`), at least 0.001.
    pub min_child_weight: f64,
    /// L2 penalty on a leaf's value (`lambda_l2`), at least 0.
    pub lambda: f64,
}

impl Default for Lightgbm {
    fn default() -> Self {
        Lightgbm {
            rounds: 1000,
            early_stopping: Some(30),
            leaves: 15,
            depth: 4,
            eta: 0.08,
            subsample: 0.8,
            columns: 0.3,
            bins: 32,
            min_child_weight: 1.0,
            lambda: 1.0,
        }
    }
}

/// The multi-layer perceptron's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mlp {
    /// Units of each hidden layer, one to eight layers of `1..=4096`.
    pub hidden: Vec<usize>,
    /// Passes over the cases at most, `1..=100_000`.
    pub epochs: usize,
    /// Stop after this many epochs without a lower held-out loss; the best epoch's weights are kept.
    pub early_stopping: Option<usize>,
    /// Cases per step, `1..=1_048_576`.
    pub batch: usize,
    /// Learning rate of AdamW at the start, `(0, 1]`; it falls to zero along a half cosine.
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW, `[0, 1]`.
    pub weight_decay: f64,
    /// Share of each hidden layer's units that a step leaves out, `[0, 1)`.
    pub dropout: f64,
}

impl Default for Mlp {
    fn default() -> Self {
        Mlp {
            hidden: vec![64, 64],
            epochs: 60,
            early_stopping: Some(10),
            batch: 256,
            learning_rate: 0.003,
            weight_decay: 0.01,
            dropout: 0.0,
        }
    }
}

/// A setting's name, whether it holds, and what it has to be.
type Rule = (&'static str, bool, &'static str);

const SHARE: &str = "above 0 and at most 1";
const NOT_NEGATIVE: &str = "at least 0";

fn share(value: f64) -> bool {
    value > 0.0 && value <= 1.0
}

fn not_negative(value: f64) -> bool {
    value >= 0.0 && value.is_finite()
}

fn rounds(name: &'static str, rounds: usize) -> Rule {
    (name, (1..=100_000).contains(&rounds), "1 to 100000")
}

fn early_stopping(patience: Option<usize>) -> Rule {
    ("early_stopping", patience != Some(0), "at least 1")
}

fn first_broken(rules: &[Rule]) -> Result<(), String> {
    match rules.iter().find(|(_, holds, _)| !holds) {
        Some((name, _, range)) => Err(format!("{name} is {range}")),
        None => Ok(()),
    }
}

impl Xgboost {
    /// # Errors
    /// Names the first setting that is out of its range, and the range.
    pub fn check(&self) -> Result<(), String> {
        first_broken(&[
            rounds("rounds", self.rounds),
            early_stopping(self.early_stopping),
            ("depth", (1..=16).contains(&self.depth), "1 to 16"),
            ("eta", share(self.eta), SHARE),
            ("subsample", share(self.subsample), SHARE),
            ("columns", share(self.columns), SHARE),
            ("bins", (2..=4096).contains(&self.bins), "2 to 4096"),
            ("min_child_weight", not_negative(self.min_child_weight), NOT_NEGATIVE),
            ("lambda", not_negative(self.lambda), NOT_NEGATIVE),
        ])
    }
}

impl Lightgbm {
    /// # Errors
    /// Names the first setting that is out of its range, and the range.
    pub fn check(&self) -> Result<(), String> {
        let weight = not_negative(self.min_child_weight) && self.min_child_weight >= 1e-3;
        first_broken(&[
            rounds("rounds", self.rounds),
            early_stopping(self.early_stopping),
            ("leaves", (2..=65_536).contains(&self.leaves), "2 to 65536"),
            ("depth", (1..=16).contains(&self.depth), "1 to 16"),
            ("eta", share(self.eta), SHARE),
            ("subsample", share(self.subsample), SHARE),
            ("columns", share(self.columns), SHARE),
            ("bins", (2..=4096).contains(&self.bins), "2 to 4096"),
            ("min_child_weight", weight, "at least 0.001"),
            ("lambda", not_negative(self.lambda), NOT_NEGATIVE),
        ])
    }
}

impl Mlp {
    /// # Errors
    /// Names the first setting that is out of its range, and the range.
    pub fn check(&self) -> Result<(), String> {
        let layers = (1..=8).contains(&self.hidden.len())
            && self.hidden.iter().all(|units| (1..=4096).contains(units));
        first_broken(&[
            ("hidden", layers, "one to eight layers of 1 to 4096 units"),
            rounds("epochs", self.epochs),
            early_stopping(self.early_stopping),
            ("batch", (1..=1 << 20).contains(&self.batch), "1 to 1048576"),
            ("learning_rate", share(self.learning_rate), SHARE),
            ("weight_decay", (0.0..=1.0).contains(&self.weight_decay), "0 to 1"),
            ("dropout", (0.0..1.0).contains(&self.dropout), "at least 0 and below 1"),
        ])
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters::Xgboost(Xgboost::default())
    }
}

impl Parameters {
    pub fn learner(&self) -> Learner {
        match self {
            Parameters::Xgboost(_) => Learner::Xgboost,
            Parameters::Lightgbm(_) => Learner::Lightgbm,
            Parameters::Mlp(_) => Learner::Mlp,
        }
    }

    /// Rounds (of boosting) or epochs at most.
    pub fn rounds(&self) -> usize {
        match self {
            Parameters::Xgboost(settings) => settings.rounds,
            Parameters::Lightgbm(settings) => settings.rounds,
            Parameters::Mlp(settings) => settings.epochs,
        }
    }

    /// Rounds or epochs without a lower held-out loss that end the training.
    pub fn early_stopping(&self) -> Option<usize> {
        match self {
            Parameters::Xgboost(settings) => settings.early_stopping,
            Parameters::Lightgbm(settings) => settings.early_stopping,
            Parameters::Mlp(settings) => settings.early_stopping,
        }
    }

    /// Share of the cases that each round of boosting sees; the perceptron sees batches anyway.
    pub fn subsample(&self) -> f64 {
        match self {
            Parameters::Xgboost(settings) => settings.subsample,
            Parameters::Lightgbm(settings) => settings.subsample,
            Parameters::Mlp(_) => 1.0,
        }
    }

    /// # Errors
    /// Names the first setting that is out of its range, and the range.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Parameters::Xgboost(settings) => settings.check(),
            Parameters::Lightgbm(settings) => settings.check(),
            Parameters::Mlp(settings) => settings.check(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range_and_the_first_bad_setting_is_named() {
        for parameters in [
            Parameters::default(),
            Parameters::Lightgbm(Lightgbm::default()),
            Parameters::Mlp(Mlp::default()),
        ] {
            parameters.check().unwrap();
        }
        let refused = [
            Xgboost { eta: f64::NAN, ..Xgboost::default() }.check(),
            Lightgbm { leaves: 1, ..Lightgbm::default() }.check(),
            Mlp { hidden: vec![], ..Mlp::default() }.check(),
            Mlp { dropout: 1.0, ..Mlp::default() }.check(),
        ];
        for (refused, name) in refused.into_iter().zip(["eta", "leaves", "hidden", "dropout"]) {
            assert!(refused.unwrap_err().starts_with(name));
        }
    }
}
