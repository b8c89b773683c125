//! What can go wrong while fitting, packaging and opening a model. Texts name identifiers (files,
//! parameters, shapes), never a patient's value.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(
        "the {engine} library was not found ({looked}): run scripts/fetch-engines, or set HOOFBEAT_ENGINES to the folder that holds {file}"
    )]
    EngineMissing { engine: &'static str, file: &'static str, looked: String },
    #[error("the library {} cannot be used: {why}", path.display())]
    EngineUnusable { path: PathBuf, why: String },
    #[error("{call} failed in the booster's library: {message}")]
    Engine { call: &'static str, message: String },
    #[error("{what}: expected {expected}, got {got}")]
    Shape { what: &'static str, expected: String, got: String },
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Resample(#[from] prepare::resample::ResampleError),
    #[error("the training process {program} {how}{}", detail(stderr))]
    Worker { program: String, how: String, stderr: String },
    #[error("the training process sent a message that cannot be read: {0}")]
    Protocol(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} does not match its digest: the bundle was changed or damaged after it was written", path.display())]
    Tampered { path: PathBuf },
    #[error("{file}: {why}")]
    Malformed { file: String, why: String },
}

fn detail(stderr: &str) -> String {
    let stderr = stderr.trim();
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

impl Error {
    pub(crate) fn shape(what: &'static str, expected: impl ToString, got: impl ToString) -> Self {
        Error::Shape { what, expected: expected.to_string(), got: got.to_string() }
    }

    pub(crate) fn malformed(file: impl Into<String>, why: impl ToString) -> Self {
        Error::Malformed { file: file.into(), why: why.to_string() }
    }
}
