//! Fit, calibrate, combine, tabulate, explain, package.
//!
//! Everything runs on *cells*: one row per distinct patient, with counts of cases. The boosters are
//! the official C++ libraries and run in a child process only; a finished model is a table of
//! probabilities, and answering from it needs none of them.
//!
//! Invariant: the only `unsafe` is in `ffi`; the same counts, seed and threads give the same bytes.

pub mod alarm;
pub mod boost;
pub mod calibrate;
pub mod combine;
mod error;
mod ffi;
mod matrix;
mod probability;

pub use error::{Error, Result};
pub use ffi::{engines_folder, xgboost_library};
pub use matrix::Matrix;
