//! The trials of a run's search, each kept when it ends.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    act::{from_json, parse_stamp, stamp, to_json},
    error::{ENDED_RUN, Error, Result},
    runs::{self, RunState},
    sql::{Connection, Row, params},
    store::Registry,
};

/// A trial that has ended.
#[derive(Debug, Clone)]
pub struct NewTrial<'a> {
    pub run: &'a str,
    /// From 0, in the order in which the search chose its trials.
    pub number: u64,
    pub state: TrialState,
    /// Learner and parameters.
    pub parameters: &'a Value,
    /// The study's metric of all held-out cases together; of a complete trial.
    pub metric: Option<f64>,
    /// Their mean log loss; of a complete trial.
    pub log_loss: Option<f64>,
    /// Rounds of the finished folds.
    pub rounds: u64,
    pub seconds: f64,
    /// Why it was given up or failed. Must hold no patient value.
    pub reason: Option<&'a str>,
    /// What the search itself needs of it, with the values of each fold.
    pub record: &'a Value,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Every fold was trained and scored.
    Complete,
    /// Given up, because others had done better at the same point.
    Pruned,
    Failed,
}

impl TrialState {
    fn code(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Pruned => "pruned",
            Self::Failed => "failed",
        }
    }
}

/// A stored trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    pub number: u64,
    pub state: TrialState,
    pub parameters: Value,
    pub metric: Option<f64>,
    pub log_loss: Option<f64>,
    pub rounds: u64,
    pub seconds: f64,
    pub reason: Option<String>,
    pub record: Value,
    #[serde(with = "time::serde::rfc3339")]
    pub ended_at: OffsetDateTime,
}

impl Registry {
    /// Keeps a trial of a running run. Repeating the call with the same content changes nothing,
    /// whatever time it took.
    ///
    /// # Errors
    /// [`Error::UnknownRun`]; [`Error::Conflict`] when the run has ended, or the trial was kept with
    /// another result; storage fails.
    pub fn record_trial(&self, new: &NewTrial<'_>, at: OffsetDateTime) -> Result<()> {
        self.write(|tx| {
            let run = runs::known(tx, new.run)?;
            if let Some(trial) = trials(tx, new.run)?.into_iter().find(|trial| trial.number == new.number) {
                let id = format!("{} of run {}", new.number, new.run);
                return if trial.same(new) { Ok(()) } else { Err(Error::Conflict { kind: "trial", id }) };
            }
            if run.state != RunState::Running {
                return Err(Error::Conflict { kind: ENDED_RUN, id: new.run.to_owned() });
            }
            tx.execute(
                "INSERT INTO trials (run, number, state, parameters, metric, log_loss, rounds, seconds, reason, record, ended_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                params![
                    new.run,
                    new.number,
                    new.state.code(),
                    to_json(new.parameters)?,
                    new.metric,
                    new.log_loss,
                    new.rounds,
                    new.seconds,
                    new.reason,
                    to_json(new.record)?,
                    stamp(at)?
                ],
            )?;
            Ok(())
        })
    }

    /// The trials of a run, in the order of their numbers; none of a run without a search.
    ///
    /// # Errors
    /// [`Error::UnknownRun`]; storage fails.
    pub fn trials(&self, run: &str) -> Result<Vec<Trial>> {
        self.read(|db| {
            runs::known(db, run)?;
            trials(db, run)
        })
    }
}

fn trials(db: &Connection, run: &str) -> Result<Vec<Trial>> {
    let mut query = db.prepare_cached(
        "SELECT number, state, parameters, metric, log_loss, rounds, seconds, reason, record, ended_at
         FROM trials WHERE run = ?1 ORDER BY number",
    )?;
    let rows = query.query_map([run], Stored::from_row)?;
    rows.map(|row| row?.trial()).collect()
}

impl Trial {
    fn same(&self, new: &NewTrial<'_>) -> bool {
        self.state == new.state
            && &self.parameters == new.parameters
            && self.reason.as_deref() == new.reason
            && &self.record == new.record
    }
}

/// A row as the database gives it, before its texts are parsed.
struct Stored {
    number: u64,
    state: String,
    parameters: String,
    metric: Option<f64>,
    log_loss: Option<f64>,
    rounds: u64,
    seconds: f64,
    reason: Option<String>,
    record: String,
    ended_at: String,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            number: r.get(0)?,
            state: r.get(1)?,
            parameters: r.get(2)?,
            metric: r.get(3)?,
            log_loss: r.get(4)?,
            rounds: r.get(5)?,
            seconds: r.get(6)?,
            reason: r.get(7)?,
            record: r.get(8)?,
            ended_at: r.get(9)?,
        })
    }

    fn trial(self) -> Result<Trial> {
        let state = [TrialState::Complete, TrialState::Pruned, TrialState::Failed]
            .into_iter()
            .find(|s| s.code() == self.state)
            .ok_or(Error::Corrupt { what: "a trial's state" })?;
        Ok(Trial {
            number: self.number,
            state,
            parameters: from_json(&self.parameters)?,
            metric: self.metric,
            log_loss: self.log_loss,
            rounds: self.rounds,
            seconds: self.seconds,
            reason: self.reason,
            record: from_json(&self.record)?,
            ended_at: parse_stamp(&self.ended_at)?,
        })
    }
}
