//! Gradient-boosted trees by the official XGBoost library, trained in a child process.
//!
//! The training set is *cells*: one row per distinct combination of features, with the number of
//! cases of each class. Cases that share their features share their margin, so the sum of their
//! gradients depends on the counts alone and cells train the model that the rows would train.

mod fit;
mod job;
mod trainer;
mod wire;
mod worker;

pub use job::{Fit, Job, Parameters, Target};
pub use trainer::{Progress, Trainer};
pub use worker::worker_main;
