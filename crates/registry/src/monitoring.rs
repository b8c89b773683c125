//! What monitoring measured, kept so that pages and interfaces read it without measuring again.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    act::{from_json, parse_stamp, stamp, to_json},
    error::{Error, Result},
    models::{self, ModelVersion},
    sql::{AsParameters, Connection, OptionalExtension, params},
    store::Registry,
};

/// One finished look at a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonitoringRun {
    pub id: u64,
    /// The model that was watched.
    pub model: ModelVersion,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Counts, figures and rules; never a patient's values.
    pub report: Value,
}

impl Registry {
    /// Stores a run. Repeating the call with the same key changes nothing and answers the first one's run.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; storage fails.
    pub fn record_monitoring(
        &self,
        key: &str,
        model: ModelVersion,
        at: OffsetDateTime,
        report: &Value,
    ) -> Result<MonitoringRun> {
        self.write(|tx| {
            models::known(tx, model)?;
            tx.execute(
                "INSERT INTO monitoring_runs (key, model, at, report) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (key) DO NOTHING",
                params![key, model.0, stamp(at)?, to_json(report)?],
            )?;
            let stored = select(tx, "WHERE key = ?1 LIMIT ?2", params![key, 1])?.pop();
            stored.ok_or(Error::Corrupt { what: "a monitoring run" })
        })
    }

    /// The latest runs, newest first, at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn monitoring_runs(&self, limit: u32) -> Result<Vec<MonitoringRun>> {
        self.read(|db| select(db, "ORDER BY id DESC LIMIT ?1", params![limit]))
    }

    /// The profile of a model's training cohort, where it was counted before.
    ///
    /// # Errors
    /// Storage fails.
    pub fn monitoring_reference(&self, model: ModelVersion) -> Result<Option<Value>> {
        self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT profile FROM monitoring_references WHERE model = ?1")?;
            let found: Option<String> = query.query_row([model.0], |r| r.get(0)).optional()?;
            found.as_deref().map(from_json).transpose()
        })
    }

    /// Keeps the profile of a model's training cohort. The first one stays: a model's cohort never changes.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; storage fails.
    pub fn keep_monitoring_reference(&self, model: ModelVersion, profile: &Value) -> Result<()> {
        self.write(|tx| {
            models::known(tx, model)?;
            tx.execute(
                "INSERT INTO monitoring_references (model, profile) VALUES (?1, ?2) ON CONFLICT (model) DO NOTHING",
                params![model.0, to_json(profile)?],
            )?;
            Ok(())
        })
    }
}

fn select(db: &Connection, filter: &str, values: impl AsParameters) -> Result<Vec<MonitoringRun>> {
    let sql = format!("SELECT id, model, at, report FROM monitoring_runs {filter}");
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query(values)?;
    let mut runs = Vec::new();
    while let Some(r) = rows.next()? {
        let (at, report): (String, String) = (r.get(2)?, r.get(3)?);
        let (at, report) = (parse_stamp(&at)?, from_json(&report)?);
        runs.push(MonitoringRun { id: r.get(0)?, model: ModelVersion(r.get(1)?), at, report });
    }
    Ok(runs)
}
