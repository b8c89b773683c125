//! The boosters' C libraries. Every `unsafe` of the crate is in this module: what leaves it owns its
//! memory, has checked lengths and turns a failed call into an error with the library's own words.

mod locate;
mod xgboost;

pub use locate::{engines_folder, xgboost_library};
pub(crate) use xgboost::{Booster, Features, XgBoost};
