//! What can go wrong, naming identifiers and never a patient's values.

use std::borrow::Cow;

use crate::models::{ModelVersion, Stage};

/// Result of a registry call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a registry call did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the registry is busy: another process holds its write lock")]
    Busy,
    #[error("the registry's storage failed")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the registry was written by a newer program (schema {found}, this program knows {known})")]
    NewerSchema { found: i64, known: i64 },
    #[error("the registry holds {what} that cannot be read")]
    Corrupt { what: &'static str },
    /// Inside the crate: a query found no row.
    #[error("the registry lacks a row that it should have")]
    NoRow,
    #[error("the registry's address cannot be used: {why}")]
    BadUrl { why: Cow<'static, str> },
    #[error("no connection to PostgreSQL: {why}")]
    Connection { why: String },
    #[error("a value could not be written as JSON")]
    Json,
    #[error("a time lies outside the years 0 to 9999")]
    Time,
    #[error("'{text}' is not a model version (they look like m-0001)")]
    NotAVersion { text: String },
    #[error("no model {0}")]
    UnknownModel(ModelVersion),
    #[error("no run {0}")]
    UnknownRun(String),
    #[error("no source '{0}' is registered")]
    UnknownSource(String),
    #[error("no review {0}")]
    UnknownReview(u64),
    #[error("no alert {0}")]
    UnknownAlert(u64),
    #[error("no job {0}")]
    UnknownJob(u64),
    #[error("model {0} waits for no approval")]
    NotWaiting(ModelVersion),
    #[error("model {version} needs a second person: {name} asked for it")]
    SamePerson { version: ModelVersion, name: String },
    #[error("model {version} is {stage}; {needed} is needed")]
    WrongStage { version: ModelVersion, stage: Stage, needed: &'static str },
    #[error("the champion is {}, not {}", name(.found), name(.expected))]
    ChampionMoved { expected: Option<ModelVersion>, found: Option<ModelVersion> },
    #[error("there is no earlier champion to go back to")]
    NoPreviousChampion,
    #[error("request key '{key}' was already used for something else")]
    KeyReused { key: String },
    #[error("{kind} {id} exists with other content")]
    Conflict { kind: &'static str, id: String },
    #[error("the test set was not opened for model {0}")]
    TestNotOpened(ModelVersion),
    #[error("bundle path '{path}' is not relative to the data directory")]
    BadPath { path: String },
}

/// What [`Error::Conflict`] calls a run that has ended.
pub(crate) const ENDED_RUN: &str = "ended run";

impl Error {
    /// Whether it refuses what a run brings because the run was given up for dead: the work was neither done nor found wanting.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self, Self::Conflict { kind: ENDED_RUN, .. })
    }
}

fn name(version: &Option<ModelVersion>) -> String {
    version.map_or_else(|| "none".to_owned(), |v| v.to_string())
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Self::Storage(Box::new(e))
    }
}
