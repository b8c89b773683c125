//! Fit, calibrate, combine, tabulate, explain, package.
//!
//! Everything runs on *cells*: one row per distinct patient, with counts of cases. Learners run in a
//! child process only, the boosters by their official C++ libraries; a finished model is a table of
//! probabilities, and answering from it needs none of them.
//!
//! Invariant: the only `unsafe` is in `ffi`; the same counts, seed and threads give the same bytes.

pub mod abstain;
pub mod active;
pub mod alarm;
pub mod answers;
pub mod augment;
pub mod bundle;
pub mod calibrate;
pub mod combine;
pub mod crossfit;
pub mod difference;
mod error;
pub mod fewshot;
mod ffi;
pub mod gan;
pub mod gate;
pub mod learner;
mod matrix;
mod minimum;
pub mod model;
pub mod nearest;
mod noted;
pub mod notes;
pub mod pool;
pub mod predict;
pub mod prior;
mod probability;
pub mod profile;
pub mod revision;
pub mod search;
mod support;
pub mod verify;
mod watch;

pub use error::{Error, Result};
pub use ffi::{lightgbm_library, xgboost_library};
pub use matrix::Matrix;
pub use model::Model;
