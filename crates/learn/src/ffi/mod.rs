//! The boosters' C libraries. Every `unsafe` of the crate is in this module: what leaves it owns its
//! memory, has checked lengths and turns a failed call into an error with the library's own words.

mod collective;
mod lightgbm;
mod locate;
mod xgboost;

use std::ffi::CString;
use std::fmt::Display;

pub(crate) use collective::{Collective, Tracker};
pub(crate) use lightgbm::{Dataset, LightGbm, Saved, Training};
pub(crate) use locate::require_library;
pub use locate::{lightgbm_library, xgboost_library};
pub(crate) use xgboost::{Booster, Features, XgBoost};

use crate::{Error, Result};

/// Declares the C functions once: the fields, their types and their loading. Most return 0
/// on success.
macro_rules! functions {
    ($($field:ident = $symbol:literal: $type:ty;)*) => {
        pub(super) struct Functions { $(pub(super) $field: $type,)* _library: Library }

        impl Functions {
            /// # Safety
            /// `library` must be the one whose functions have these types.
            unsafe fn load(library: Library) -> Result<Self, libloading::Error> {
                // SAFETY: the caller's promise; each pointer is used only while `_library` is open.
                unsafe { Ok(Functions { $($field: *library.get::<$type>($symbol)?,)* _library: library }) }
            }
        }
    };
}
use functions;

fn text(value: impl Display) -> Result<CString> {
    CString::new(value.to_string())
        .map_err(|_| Error::Invalid("a text for the booster holds a zero byte".into()))
}
