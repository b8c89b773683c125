//! One fitted model, read from its learner's own file, in Rust alone.

use clinical::study::Learner;

use super::network::Network;
use super::{lightgbm, xgboost};
use crate::{Error, Matrix, Result};

/// A fitted model: one encoded row in, one margin per class out.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimator(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Xgboost(xgboost::Forest),
    Lightgbm(lightgbm::Forest),
    Mlp(Network),
}

impl Estimator {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming `file` and what is missing, unexpected or out of bounds.
    pub fn read(learner: Learner, file: &str, bytes: &[u8]) -> Result<Self> {
        match learner {
            Learner::Xgboost => xgboost::Forest::read(file, bytes).map(Form::Xgboost).map(Estimator),
            Learner::Lightgbm => lightgbm::Forest::read(file, bytes).map(Form::Lightgbm).map(Estimator),
            Learner::Mlp => Network::read(file, bytes).map(Form::Mlp).map(Estimator),
        }
    }

    /// Columns of an encoded row.
    pub fn columns(&self) -> usize {
        match &self.0 {
            Form::Xgboost(forest) => forest.columns(),
            Form::Lightgbm(forest) => forest.columns(),
            Form::Mlp(network) => network.columns(),
        }
    }

    /// Classes.
    pub fn outputs(&self) -> usize {
        match &self.0 {
            Form::Xgboost(forest) => forest.outputs(),
            Form::Lightgbm(forest) => forest.outputs(),
            Form::Mlp(network) => network.outputs(),
        }
    }

    /// The margins of one encoded row, into `margins` (as many as classes).
    pub fn margins(&self, row: &[f32], margins: &mut [f32]) {
        match &self.0 {
            Form::Xgboost(forest) => forest.margins(row, margins),
            Form::Lightgbm(forest) => forest.margins(row, margins),
            Form::Mlp(network) => network.margins(row, margins),
        }
    }

    /// The margins of every row of `x`, `n x classes`.
    ///
    /// # Errors
    /// When the columns differ from the model's.
    pub fn score(&self, x: &Matrix<f32>) -> Result<Matrix<f32>> {
        if x.columns() != self.columns() {
            return Err(Error::shape("columns of the rows to score", self.columns(), x.columns()));
        }
        let mut margins = Matrix::zeros(x.rows(), self.outputs());
        for (i, row) in x.iter_rows().enumerate() {
            self.margins(row, margins.row_mut(i));
        }
        Ok(margins)
    }
}
