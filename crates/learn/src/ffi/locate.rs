//! Where the boosters' libraries lie.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

const XGBOOST: &str = "xgboost/lib/libxgboost.so";

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

/// The folder of engines in use: the first place that holds the XGBoost library.
///
/// # Errors
/// [`Error::EngineMissing`] with the places looked at and the way to mend it.
pub fn engines_folder() -> Result<PathBuf> {
    let looked = candidates();
    if let Some(folder) = looked.iter().find(|folder| folder.join(XGBOOST).is_file()) {
        return Ok(folder.canonicalize().unwrap_or_else(|_| folder.clone()));
    }
    let looked = looked.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(Error::EngineMissing { engine: "XGBoost", file: XGBOOST, looked })
}

/// The XGBoost library's file.
///
/// # Errors
/// As [`engines_folder`].
pub fn xgboost_library() -> Result<PathBuf> {
    Ok(engines_folder()?.join(XGBOOST))
}
