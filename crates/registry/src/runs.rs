//! Training runs: what was asked, and how it ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    act::{from_json, parse_stamp, stamp, to_json},
    error::{Error, Result},
    sql::{Connection, OptionalExtension, Row, params},
    store::Registry,
};

/// A training run about to start.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// Drawn by the caller.
    pub id: &'a str,
    pub started_at: OffsetDateTime,
    pub dataset_version: u64,
    /// Digest of the study's text.
    pub study_hash: &'a str,
    pub seed: u64,
    /// Everything else that decides the result: learner, hyper-parameters, threads, library versions.
    pub parameters: &'a Value,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    Succeeded,
    Failed,
}

impl RunState {
    fn code(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A stored run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    pub id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    pub state: RunState,
    pub dataset_version: u64,
    pub study_hash: String,
    pub seed: u64,
    pub parameters: Value,
    pub figures: Option<Value>,
    pub error: Option<String>,
}

impl Registry {
    /// Records that a run starts. Repeating the call with the same content changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the id belongs to a run with other content; storage fails.
    pub fn start_run(&self, new: &NewRun<'_>) -> Result<Run> {
        self.write(|tx| {
            if let Some(run) = find(tx, new.id)? {
                return if run.same_request(new) { Ok(run) } else { Err(conflict(new.id)) };
            }
            tx.execute(
                "INSERT INTO runs (id, started_at, state, dataset_version, study_hash, seed, parameters)
                 VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6)",
                params![
                    new.id,
                    stamp(new.started_at)?,
                    new.dataset_version,
                    new.study_hash,
                    new.seed.cast_signed(),
                    to_json(new.parameters)?
                ],
            )?;
            known(tx, new.id)
        })
    }

    /// Records that a run succeeded, with its figures. Repeating the call changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownRun`]; [`Error::Conflict`] when the run ended otherwise; storage fails.
    pub fn finish_run(&self, id: &str, at: OffsetDateTime, figures: &Value) -> Result<Run> {
        self.write(|tx| end(tx, id, at, RunState::Succeeded, Some(figures), None))
    }

    /// Records that a run failed, and why. The text must hold no patient value.
    ///
    /// # Errors
    /// As [`Registry::finish_run`].
    pub fn fail_run(&self, id: &str, at: OffsetDateTime, error: &str) -> Result<Run> {
        self.write(|tx| end(tx, id, at, RunState::Failed, None, Some(error)))
    }

    /// One run.
    ///
    /// # Errors
    /// [`Error::UnknownRun`]; storage fails.
    pub fn run(&self, id: &str) -> Result<Run> {
        self.read(|db| known(db, id))
    }

    /// The newest run that was asked for the same and has not reported an end: still running, or
    /// interrupted.
    ///
    /// # Errors
    /// Storage fails.
    pub fn unfinished_run(
        &self,
        dataset_version: u64,
        study_hash: &str,
        seed: u64,
        parameters: &Value,
    ) -> Result<Option<Run>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!(
                "{SELECT} WHERE dataset_version = ?1 AND study_hash = ?2 AND seed = ?3 AND state = 'running'
                 ORDER BY rowid DESC"
            ))?;
            let rows = query
                .query_map(params![dataset_version, study_hash, seed.cast_signed()], Stored::from_row)?;
            for row in rows {
                let run = row?.run()?;
                if &run.parameters == parameters {
                    return Ok(Some(run));
                }
            }
            Ok(None)
        })
    }

    /// The newest run that failed with `error` and was asked for the search that `new` is asked for (`search` among its
    /// parameters), whatever else it was for.
    ///
    /// # Errors
    /// Storage fails.
    pub fn failed_search(&self, new: &NewRun<'_>, error: &str) -> Result<Option<Run>> {
        let same = |run: &Run| run.parameters["search"] == new.parameters["search"];
        self.read(|db| {
            let mut query = db.prepare_cached(&format!(
                "{SELECT} WHERE dataset_version = ?1 AND study_hash = ?2 AND seed = ?3 AND state = 'failed' AND error = ?4
                 ORDER BY rowid DESC"
            ))?;
            let asked = params![new.dataset_version, new.study_hash, new.seed.cast_signed(), error];
            let mut runs = query.query_map(asked, Stored::from_row)?.map(|row| row?.run());
            runs.find(|run| run.as_ref().map_or(true, same)).transpose()
        })
    }

    /// The runs that have not reported an end, oldest first: still running, or interrupted.
    ///
    /// # Errors
    /// Storage fails.
    pub fn unfinished_runs(&self) -> Result<Vec<Run>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!("{SELECT} WHERE state = 'running' ORDER BY rowid"))?;
            let rows = query.query_map(params![], Stored::from_row)?;
            rows.map(|row| row?.run()).collect()
        })
    }

    /// The latest runs, newest first, at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn runs(&self, limit: u32) -> Result<Vec<Run>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!("{SELECT} ORDER BY rowid DESC LIMIT ?1"))?;
            let rows = query.query_map([limit], Stored::from_row)?;
            rows.map(|row| row?.run()).collect()
        })
    }
}

/// Ends a run, in the caller's transaction.
pub(crate) fn end(
    tx: &Connection,
    id: &str,
    at: OffsetDateTime,
    state: RunState,
    figures: Option<&Value>,
    error: Option<&str>,
) -> Result<Run> {
    let run = known(tx, id)?;
    if run.state != RunState::Running {
        let same = run.state == state && run.figures.as_ref() == figures && run.error.as_deref() == error;
        return if same { Ok(run) } else { Err(conflict(id)) };
    }
    tx.execute(
        "UPDATE runs SET state = ?2, finished_at = ?3, figures = ?4, error = ?5 WHERE id = ?1",
        params![id, state.code(), stamp(at)?, figures.map(to_json).transpose()?, error],
    )?;
    known(tx, id)
}

impl Run {
    fn same_request(&self, new: &NewRun<'_>) -> bool {
        self.dataset_version == new.dataset_version
            && self.study_hash == new.study_hash
            && self.seed == new.seed
            && &self.parameters == new.parameters
    }
}

const SELECT: &str = "SELECT id, started_at, finished_at, state, dataset_version, study_hash, seed, parameters, figures, \
                      error FROM runs";

pub(crate) fn known(db: &Connection, id: &str) -> Result<Run> {
    find(db, id)?.ok_or_else(|| Error::UnknownRun(id.to_owned()))
}

fn find(db: &Connection, id: &str) -> Result<Option<Run>> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    query.query_row([id], Stored::from_row).optional()?.map(Stored::run).transpose()
}

fn conflict(id: &str) -> Error {
    Error::Conflict { kind: "run", id: id.to_owned() }
}

/// A row as the database gives it, before its texts are parsed.
struct Stored {
    id: String,
    started_at: String,
    finished_at: Option<String>,
    state: String,
    dataset_version: u64,
    study_hash: String,
    seed: i64,
    parameters: String,
    figures: Option<String>,
    error: Option<String>,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            id: r.get(0)?,
            started_at: r.get(1)?,
            finished_at: r.get(2)?,
            state: r.get(3)?,
            dataset_version: r.get(4)?,
            study_hash: r.get(5)?,
            seed: r.get(6)?,
            parameters: r.get(7)?,
            figures: r.get(8)?,
            error: r.get(9)?,
        })
    }

    fn run(self) -> Result<Run> {
        let state = [RunState::Running, RunState::Succeeded, RunState::Failed]
            .into_iter()
            .find(|s| s.code() == self.state)
            .ok_or(Error::Corrupt { what: "a run's state" })?;
        Ok(Run {
            id: self.id,
            started_at: parse_stamp(&self.started_at)?,
            finished_at: self.finished_at.as_deref().map(parse_stamp).transpose()?,
            state,
            dataset_version: self.dataset_version,
            study_hash: self.study_hash,
            seed: self.seed.cast_unsigned(),
            parameters: from_json(&self.parameters)?,
            figures: self.figures.as_deref().map(from_json).transpose()?,
            error: self.error,
        })
    }
}
