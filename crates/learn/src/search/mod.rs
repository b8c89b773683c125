//! The search for better settings: trials of learner and parameters, each judged by cross-validation
//! inside the training set.
//!
//! Folds are the study's own (ranges of split slots, stratified as the split is), so a trial is the
//! cross-fitted training itself, without its last steps, and the winner's models are the ones that
//! the final training makes. Early stopping sees the held-out fold too, which flatters every trial a
//! little and alike; the validation set, which no trial has seen, judges the result.

mod choose;
mod cross_validation;
mod parzen;
mod prune;
mod run;
mod score;
mod space;
mod tpe;
mod trial;

pub use choose::{Winner, standard_error, winner};
pub use cross_validation::CrossValidation;
pub use run::{Event, Objective, Plan, run};
pub use score::FoldScore;
pub use space::{Axis, Branch, Point, Scale, Space};
pub use trial::{Pruned, State, Trial};
