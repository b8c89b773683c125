//! What the training process is asked for and what it answers.

use serde::{Deserialize, Serialize};

use crate::{Error, Matrix, Result};

/// The booster's settings, named as XGBoost's documentation names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Rounds at most, `1..=100_000`.
    pub rounds: usize,
    /// Stop after this many rounds without a better validation loss, and keep the best round's model.
    pub early_stopping_rounds: Option<usize>,
    /// Depth of a tree, `1..=16`.
    pub max_depth: usize,
    /// Learning rate, `(0, 1]`.
    pub eta: f64,
    /// Share of the cases that each round sees, `(0, 1]`; drawn case by case within every cell.
    pub subsample: f64,
    /// Share of the columns that each split may choose from, `(0, 1]`.
    pub colsample_bynode: f64,
    /// Candidate split points per column at most, `2..=4096`.
    pub max_bin: usize,
    /// Least sum of Hessians in a leaf, >= 0.
    pub min_child_weight: f64,
    /// L2 penalty on a leaf's value, >= 0.
    pub lambda: f64,
    /// Seed of every draw; same seed, data and threads give the same bytes.
    pub seed: u64,
    /// OpenMP threads of the training process.
    pub threads: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            rounds: 1000,
            early_stopping_rounds: Some(30),
            max_depth: 4,
            eta: 0.08,
            subsample: 0.8,
            colsample_bynode: 0.3,
            max_bin: 32,
            min_child_weight: 1.0,
            lambda: 1.0,
            seed: 0,
            threads: 1,
        }
    }
}

impl Parameters {
    /// # Errors
    /// Names the first setting that is out of its range.
    pub fn check(&self) -> Result<()> {
        let share = |value: f64| value > 0.0 && value <= 1.0;
        let refused = [
            ("rounds", (1..=100_000).contains(&self.rounds)),
            ("early_stopping_rounds", self.early_stopping_rounds != Some(0)),
            ("max_depth", (1..=16).contains(&self.max_depth)),
            ("eta", share(self.eta)),
            ("subsample", share(self.subsample)),
            ("colsample_bynode", share(self.colsample_bynode)),
            ("max_bin", (2..=4096).contains(&self.max_bin)),
            ("min_child_weight", self.min_child_weight >= 0.0 && self.min_child_weight.is_finite()),
            ("lambda", self.lambda >= 0.0 && self.lambda.is_finite()),
            ("threads", (1..=1024).contains(&self.threads)),
        ];
        match refused.iter().find(|(_, held)| !held) {
            Some((name, _)) => {
                Err(Error::Invalid(format!("the booster's setting {name} is out of its range")))
            }
            None => Ok(()),
        }
    }
}

/// What the training rows are labelled with. In every form the model's outputs are `K` classes.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Cases of each class per row, `n x K`, and the same for the held-out cases that stop the
    /// training (on the same rows; zeros where a cell has none). The exact softmax gradients of the
    /// counts are given to the library.
    Counts { train: Matrix<f64>, held_out: Option<Matrix<f64>> },
    /// One label (`0..classes`) and one weight per row; the library's own `multi:softprob`.
    Labels { labels: Vec<u32>, weights: Vec<f32>, classes: usize },
}

/// One model to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Encoded features, `n x columns`.
    pub x: Matrix<f32>,
    pub target: Target,
    /// Rows to score with the fitted model, `m x columns`; none means `x`.
    pub score: Option<Matrix<f32>>,
    pub parameters: Parameters,
}

impl Job {
    pub(super) fn classes(&self) -> usize {
        match &self.target {
            Target::Counts { train, .. } => train.columns(),
            Target::Labels { classes, .. } => *classes,
        }
    }

    /// # Errors
    /// Names what has the wrong shape, is no finite number, or leaves nothing to learn.
    pub fn check(&self) -> Result<()> {
        self.parameters.check()?;
        let n = self.x.rows();
        if n == 0 || self.x.columns() == 0 {
            return Err(Error::Invalid("there are no rows to train on".into()));
        }
        if self.classes() < 2 {
            return Err(Error::shape("classes", "at least 2", self.classes()));
        }
        let scored = self.score.as_ref().map_or(self.x.columns(), Matrix::columns);
        if scored != self.x.columns() {
            return Err(Error::shape("columns of the rows to score", self.x.columns(), scored));
        }
        match &self.target {
            Target::Counts { train, held_out } => {
                check_counts("training counts", train, n, self.classes())?;
                if self.parameters.subsample < 1.0
                    && train.as_slice().iter().any(|count| count.fract() != 0.0)
                {
                    return Err(Error::Invalid(
                        "subsample below 1 needs whole counts: weights cannot be drawn case by case".into(),
                    ));
                }
                match held_out {
                    Some(counts) => check_counts("held-out counts", counts, n, self.classes()),
                    None if self.parameters.early_stopping_rounds.is_some() => {
                        Err(Error::Invalid("early stopping needs held-out counts".into()))
                    }
                    None => Ok(()),
                }
            }
            Target::Labels { labels, weights, classes } => {
                if labels.len() != n || weights.len() != n {
                    return Err(Error::shape(
                        "labels and weights",
                        n,
                        format!("{} and {}", labels.len(), weights.len()),
                    ));
                }
                if labels.iter().any(|&label| label as usize >= *classes) {
                    return Err(Error::Invalid(format!(
                        "a label is not below the number of classes, {classes}"
                    )));
                }
                if self.parameters.subsample < 1.0 {
                    return Err(Error::Invalid(
                        "subsample below 1 is for counts: on merged rows it would drop all copies at once"
                            .into(),
                    ));
                }
                if self.parameters.early_stopping_rounds.is_some() {
                    return Err(Error::Invalid("early stopping is for counts".into()));
                }
                Ok(())
            }
        }
    }
}

fn check_counts(what: &'static str, counts: &Matrix<f64>, rows: usize, classes: usize) -> Result<()> {
    if (counts.rows(), counts.columns()) != (rows, classes) {
        return Err(Error::shape(
            what,
            format!("{rows} x {classes}"),
            format!("{} x {}", counts.rows(), counts.columns()),
        ));
    }
    if counts.as_slice().iter().any(|count| !count.is_finite() || *count < 0.0) {
        return Err(Error::Invalid(format!("{what} hold a number that is negative or not finite")));
    }
    if counts.as_slice().iter().sum::<f64>() <= 0.0 {
        return Err(Error::Invalid(format!("{what} are all zero")));
    }
    Ok(())
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The model file in XGBoost's own UBJSON form: a plain `multi:softprob` model.
    pub model: Vec<u8>,
    /// The same model in XGBoost's JSON form, for the reader of trees.
    pub json: Vec<u8>,
    /// Rounds kept.
    pub rounds: usize,
    /// Margins of the scored rows before the softmax, `m x K`.
    pub margins: Matrix<f32>,
    /// Mean log loss of the held-out cases after each round; empty without them.
    pub held_out_loss: Vec<f64>,
}
