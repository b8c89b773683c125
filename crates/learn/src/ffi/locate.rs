//! Where the boosters' libraries lie.

use std::path::{Path, PathBuf};

use clinical::study::Learner;

use crate::{Error, Result};

const XGBOOST: &str = "xgboost/lib/libxgboost.so";
const LIGHTGBM: &str = "lightgbm/lib/lib_lightgbm.so";

/// The places looked at, in order: the environment's `HOOFBEAT_ENGINES` alone when it is set; else
/// `.engines` in the current folder, beside or one or two folders above the program, and the folder
/// of an installation (`<prefix>/lib/hoofbeat/engines`).
fn candidates() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("HOOFBEAT_ENGINES").filter(|folder| !folder.is_empty()) {
        return vec![folder.into()];
    }
    let mut found: Vec<PathBuf> =
        std::env::current_dir().map(|dir| dir.join(".engines")).into_iter().collect();
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
    if let Some(folder) = program.as_deref().and_then(Path::parent) {
        for above in ["", "..", "../.."] {
            found.push(folder.join(above).join(".engines"));
        }
        found.push(folder.join("../lib/hoofbeat/engines"));
    }
    found
}

/// The library's file: in the first place that holds it.
fn locate(engine: &'static str, file: &'static str) -> Result<PathBuf> {
    let looked = candidates();
    if let Some(path) = looked.iter().map(|folder| folder.join(file)).find(|path| path.is_file()) {
        return Ok(path.canonicalize().unwrap_or(path));
    }
    let looked = looked.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(Error::EngineMissing { engine, file, looked })
}

/// The XGBoost library's file.
///
/// # Errors
/// [`Error::EngineMissing`] with the places looked at and the way to mend it.
pub fn xgboost_library() -> Result<PathBuf> {
    locate("XGBoost", XGBOOST)
}

/// The LightGBM library's file.
///
/// # Errors
/// As [`xgboost_library`].
pub fn lightgbm_library() -> Result<PathBuf> {
    locate("LightGBM", LIGHTGBM)
}

/// Whether a learner's library is there; the perceptron needs none.
///
/// # Errors
/// As [`xgboost_library`].
pub(crate) fn require_library(learner: Learner) -> Result<()> {
    match learner {
        Learner::Xgboost => xgboost_library().map(drop),
        Learner::Lightgbm => lightgbm_library().map(drop),
        Learner::Mlp => Ok(()),
    }
}
