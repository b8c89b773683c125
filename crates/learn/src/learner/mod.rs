//! Learners behind one contract: a [`Job`] goes to a child process ([`Trainer`]), progress and a
//! [`Fit`] come back. XGBoost, LightGBM and a perceptron differ in their settings ([`Parameters`])
//! and in the form of their model file, and in nothing that a caller sees.
//!
//! The training set is *cells*: one row per distinct combination of features, with the number of
//! cases of each class. Cases that share their features share their margin, so the sum of their
//! gradients depends on the counts alone and cells train the model that the rows would train.

mod bins;
mod cases;
mod distributed;
mod job;
mod lightgbm;
mod mlp;
mod process;
mod role;
mod stopping;
mod trainer;
mod wire;
mod worker;
mod xgboost;

pub use clinical::study::{Learner, Lightgbm, Mlp, Parameters, Xgboost};
pub use distributed::Distributed;
pub use job::{Fit, Job, Target};
pub use role::Role;
pub use trainer::{Progress, Trainer};
pub use worker::worker_main;
