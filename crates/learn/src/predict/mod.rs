//! Answering from a finished model: from a table of every possible patient, or, where there are too
//! many of them, from the learners' own models. Who asks cannot tell which.

mod direct;
mod estimator;
mod file;
mod lightgbm;
mod network;
mod shapley;
mod table;
mod ubjson;
mod xgboost;

pub use direct::{Columns, Direct, sample_background};
pub use estimator::Estimator;
pub(crate) use network::{Layer, Network};
pub use shapley::Explanation;
pub use table::Table;
pub(crate) use table::radix;

use crate::{Error, Result};

/// A model that answers and explains itself.
#[derive(Debug, Clone)]
pub enum Predictor {
    Tabulated(Table),
    Direct(Box<Direct>),
}

impl Predictor {
    /// Levels per clinical feature.
    pub fn dims(&self) -> &[usize] {
        match self {
            Predictor::Tabulated(table) => table.dims(),
            Predictor::Direct(direct) => direct.dims(),
        }
    }

    /// The displayed probabilities of the patient with these levels, one per clinical feature: the
    /// severities in the study's order, then the orphan probability.
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn predict(&self, levels: &[usize]) -> Result<Vec<f64>> {
        match self {
            Predictor::Tabulated(table) => Ok(table.predict(levels)?.to_vec()),
            Predictor::Direct(direct) => direct.predict(levels),
        }
    }

    /// Shapley values of one output (its position in [`Predictor::predict`]) over the clinical features.
    ///
    /// # Errors
    /// When a level or the output is out of range.
    pub fn explain(&self, levels: &[usize], output: usize) -> Result<Explanation> {
        match self {
            Predictor::Tabulated(table) => table.explain(levels, output),
            Predictor::Direct(direct) => direct.explain(levels, output),
        }
    }
}

/// Refuses levels outside of `dims`.
fn check_levels(dims: &[usize], levels: &[usize]) -> Result<()> {
    if levels.len() == dims.len() && levels.iter().zip(dims).all(|(level, dim)| level < dim) {
        Ok(())
    } else {
        Err(Error::Invalid("a patient's levels do not fit the model's features".into()))
    }
}
