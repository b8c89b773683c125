//! What the training process is asked for and what it answers.

use std::borrow::Cow;

use clinical::study::Parameters;

use super::cases::totals;
use crate::predict::Estimator;
use crate::{Error, Matrix, Result};

/// What the training rows are labelled with. In every form the model's outputs are `K` classes.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Cases of each class per row, `n x K`, and the same for the held-out cases that stop the
    /// training (on the same rows; zeros where a cell has none).
    Counts { train: Matrix<f64>, held_out: Option<Matrix<f64>> },
    /// One label (`0..classes`) and one weight per row, for rows that were not counted to cells.
    /// XGBoost then runs its own `multi:softprob`. Early stopping and subsampling need counts.
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
    /// Factor of each class's cases, `K` numbers above 0, in training and in the held-out loss: the
    /// same as that many times the cases. None means 1 for all.
    pub class_weights: Option<Vec<f64>>,
    /// A model of the same learner, columns and classes to continue from, as [`Fit::model`] has it.
    /// The settings' rounds then come on top of its own.
    pub start: Option<Vec<u8>>,
    /// Seed of every draw: the same job gives the same bytes.
    pub seed: u64,
    /// Threads of the training process, `1..=1024`.
    pub threads: usize,
}

impl Job {
    /// A job with seed 0 and one thread that scores `x` and begins at nothing.
    pub fn new(x: Matrix<f32>, target: Target, parameters: Parameters) -> Job {
        Job { x, target, score: None, parameters, class_weights: None, start: None, seed: 0, threads: 1 }
    }

    pub(super) fn classes(&self) -> usize {
        match &self.target {
            Target::Counts { train, .. } => train.columns(),
            Target::Labels { classes, .. } => *classes,
        }
    }

    /// The training cases and the held-out ones as counts; a label counts its weight.
    pub(super) fn counts(&self) -> (Cow<'_, Matrix<f64>>, Option<&Matrix<f64>>) {
        match &self.target {
            Target::Counts { train, held_out } => (Cow::Borrowed(train), held_out.as_ref()),
            Target::Labels { labels, weights, classes } => {
                let mut counts = Matrix::zeros(labels.len(), *classes);
                for (row, (&label, &weight)) in labels.iter().zip(weights).enumerate() {
                    if let Some(count) = counts.row_mut(row).get_mut(label as usize) {
                        *count = f64::from(weight);
                    }
                }
                (Cow::Owned(counts), None)
            }
        }
    }

    /// Factor of each class's cases.
    pub(super) fn weights(&self) -> Vec<f64> {
        self.class_weights.clone().unwrap_or_else(|| vec![1.0; self.classes()])
    }

    /// # Errors
    /// Names what has the wrong shape, is no finite number, or leaves nothing to learn.
    pub fn check(&self) -> Result<()> {
        let learner = self.parameters.learner().name();
        self.parameters.check().map_err(|why| Error::Invalid(format!("settings of {learner}: {why}")))?;
        if !(1..=1024).contains(&self.threads) {
            return Err(Error::shape("threads", "1 to 1024", self.threads));
        }
        let (n, classes) = (self.x.rows(), self.classes());
        if n == 0 || self.x.columns() == 0 {
            return Err(Error::Invalid("there are no rows to train on".into()));
        }
        if classes < 2 {
            return Err(Error::shape("classes", "at least 2", classes));
        }
        if !self.x.as_slice().iter().all(|value| value.is_finite()) {
            return Err(Error::Invalid("an encoded feature is not a finite number".into()));
        }
        let scored = self.score.as_ref().map_or(self.x.columns(), Matrix::columns);
        if scored != self.x.columns() {
            return Err(Error::shape("columns of the rows to score", self.x.columns(), scored));
        }
        self.check_target()?;
        let weighted = self.class_weights.as_ref().map_or(classes, Vec::len);
        if weighted != classes {
            return Err(Error::shape("class weights", classes, weighted));
        }
        if self.weights().iter().any(|weight| !weight.is_finite() || *weight <= 0.0) {
            return Err(Error::Invalid("a class weight is not a number above 0".into()));
        }
        self.check_start()
    }

    fn check_target(&self) -> Result<()> {
        let n = self.x.rows();
        let subsampled = self.parameters.subsample() < 1.0;
        match &self.target {
            Target::Counts { train, held_out } => {
                check_counts("training counts", train, n, self.classes())?;
                check_classes(&totals(train))?;
                if subsampled && train.as_slice().iter().any(|count| count.fract() != 0.0) {
                    return Err(Error::Invalid(
                        "subsample below 1 needs whole counts: weights cannot be drawn case by case".into(),
                    ));
                }
                match held_out {
                    Some(counts) => check_counts("held-out counts", counts, n, self.classes()),
                    None if self.parameters.early_stopping().is_some() => {
                        Err(Error::Invalid("early_stopping needs held-out counts".into()))
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
                if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
                    return Err(Error::Invalid("a weight is negative or not finite".into()));
                }
                let mut totals = vec![0.0; *classes];
                for (&label, &weight) in labels.iter().zip(weights) {
                    let total = totals.get_mut(label as usize).ok_or_else(|| {
                        Error::Invalid(format!("a label is not below the number of classes, {classes}"))
                    })?;
                    *total += f64::from(weight);
                }
                check_classes(&totals)?;
                if subsampled {
                    return Err(Error::Invalid(
                        "subsample below 1 is for counts: on merged rows it would drop all copies at once"
                            .into(),
                    ));
                }
                if self.parameters.early_stopping().is_some() {
                    return Err(Error::Invalid("early_stopping is for counts".into()));
                }
                Ok(())
            }
        }
    }

    fn check_start(&self) -> Result<()> {
        let Some(start) = &self.start else { return Ok(()) };
        let start = Estimator::read(self.parameters.learner(), "the model to continue from", start)?;
        let (expected, got) = ((self.x.columns(), self.classes()), (start.columns(), start.outputs()));
        if expected != got {
            return Err(Error::shape(
                "columns and classes of the model to continue from",
                format!("{expected:?}"),
                format!("{got:?}"),
            ));
        }
        Ok(())
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

/// Every learner would answer a single class with certainty; nothing was learned that could be wrong.
fn check_classes(totals: &[f64]) -> Result<()> {
    match totals.iter().filter(|total| **total > 0.0).count() {
        0 => Err(Error::Invalid("there are no cases to train on".into())),
        1 => {
            Err(Error::Invalid("all training cases are of one class: there is nothing to tell apart".into()))
        }
        _ => Ok(()),
    }
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The model file in its learner's own form: XGBoost's UBJSON, LightGBM's text, safetensors.
    pub model: Vec<u8>,
    /// Learner and version that fitted it, e.g. `xgboost 3.4.1`.
    pub engine: String,
    /// Rounds or epochs kept, with those of the model that it was continued from.
    pub rounds: usize,
    /// Margins of the scored rows before the softmax, `m x K`.
    pub margins: Matrix<f32>,
    /// Mean log loss of the held-out cases after each round of this training; empty without them.
    pub held_out_loss: Vec<f64>,
}
