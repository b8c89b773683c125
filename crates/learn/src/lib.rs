//! Fit, calibrate, combine, tabulate, explain, package.
//!
//! Everything runs on *cells*: one row per distinct patient, with counts of cases. The boosters are
//! the official C++ libraries and run in a child process only; a finished model is a table of
//! probabilities, and answering from it needs none of them.
//!
//! Invariant: the only `unsafe` is in `ffi`; the same counts, seed and threads give the same bytes.

pub mod alarm;
pub mod boost;
pub mod bundle;
pub mod calibrate;
pub mod combine;
pub mod crossfit;
mod error;
pub mod fewshot;
mod ffi;
pub mod gan;
mod matrix;
pub mod model;
pub mod predict;
mod probability;
mod support;
pub mod verify;

pub use error::{Error, Result};
pub use ffi::{engines_folder, xgboost_library};
pub use matrix::Matrix;
pub use model::Model;
