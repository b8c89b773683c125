//! Reports on validation, and the one opening of the test set that each model has.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    audit,
    error::{Error, Result},
    models::{self, ModelVersion},
    sql::{Connection, OptionalExtension, ToValue, params},
    store::Registry,
};

/// A report on the validation set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    pub model: ModelVersion,
    pub actor: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub report: Value,
}

/// The one opening of the test set for a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestOpening {
    pub model: ModelVersion,
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    pub opened_by: String,
    /// `None` between the opening and its report; an evaluation that died in between may be finished by another.
    pub report: Option<Value>,
}

impl Registry {
    /// Stores a report on the validation set. Repeating the call with the same key changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; [`Error::KeyReused`] when the key belongs to another model's report; storage fails.
    pub fn record_evaluation(
        &self,
        model: ModelVersion,
        report: &Value,
        act: &Act<'_>,
    ) -> Result<Evaluation> {
        self.write(|tx| record(tx, model, report, act))
    }

    /// A model's reports on the validation set, newest first.
    ///
    /// # Errors
    /// Storage fails.
    pub fn evaluations(&self, model: ModelVersion) -> Result<Vec<Evaluation>> {
        self.read(|db| select_evaluations(db, "model = ?1", model.0))
    }

    /// Opens the test set for a model, before anything is computed on it. Only the first call opens; every later one, by
    /// anybody, answers that opening with its report. Evaluate only when the answer holds none.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; storage fails.
    pub fn open_test(&self, model: ModelVersion, act: &Act<'_>) -> Result<TestOpening> {
        self.write(|tx| {
            models::known(tx, model)?;
            let opened = tx.execute(
                "INSERT INTO test_openings (model, opened_at, opened_by) VALUES (?1, ?2, ?3) ON CONFLICT (model) DO NOTHING",
                params![model.0, stamp(act.at)?, act.actor],
            )?;
            if opened == 1 {
                audit::append(tx, act, "test.open", &model.to_string(), &json!({}))?;
            }
            opening(tx, model)?.ok_or(Error::TestNotOpened(model))
        })
    }

    /// Stores the report of an opened test set. The first report stays; a later call answers it and changes nothing.
    ///
    /// # Errors
    /// [`Error::TestNotOpened`]; storage fails.
    pub fn record_test_report(
        &self,
        model: ModelVersion,
        report: &Value,
        act: &Act<'_>,
    ) -> Result<TestOpening> {
        self.write(|tx| {
            let stored = tx.execute(
                "UPDATE test_openings SET report = ?2, reported_at = ?3 WHERE model = ?1 AND report IS NULL",
                params![model.0, to_json(report)?, stamp(act.at)?],
            )?;
            if stored == 1 {
                audit::append(tx, act, "test.report", &model.to_string(), report)?;
            }
            opening(tx, model)?.ok_or(Error::TestNotOpened(model))
        })
    }

    /// A model's opening of the test set, where there was one.
    ///
    /// # Errors
    /// Storage fails.
    pub fn test_opening(&self, model: ModelVersion) -> Result<Option<TestOpening>> {
        self.read(|db| opening(db, model))
    }
}

/// [`Registry::record_evaluation`] in the caller's transaction.
pub(crate) fn record(
    tx: &Connection,
    model: ModelVersion,
    report: &Value,
    act: &Act<'_>,
) -> Result<Evaluation> {
    models::known(tx, model)?;
    tx.execute(
        "INSERT INTO evaluations (key, model, actor, at, report) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (key) DO NOTHING",
        params![act.key, model.0, act.actor, stamp(act.at)?, to_json(report)?],
    )?;
    let stored = select_evaluations(tx, "key = ?1", act.key)?.pop();
    stored.filter(|e| e.model == model).ok_or_else(|| Error::KeyReused { key: act.key.to_owned() })
}

fn select_evaluations(db: &Connection, filter: &str, value: impl ToValue) -> Result<Vec<Evaluation>> {
    let sql = format!("SELECT model, actor, at, report FROM evaluations WHERE {filter} ORDER BY id DESC");
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query([value])?;
    let mut out = Vec::new();
    while let Some(r) = rows.next()? {
        let (at, report): (String, String) = (r.get(2)?, r.get(3)?);
        let (at, report) = (parse_stamp(&at)?, from_json(&report)?);
        out.push(Evaluation { model: ModelVersion(r.get(0)?), actor: r.get(1)?, at, report });
    }
    Ok(out)
}

fn opening(db: &Connection, model: ModelVersion) -> Result<Option<TestOpening>> {
    let found: Option<(String, String, Option<String>)> = db
        .prepare_cached("SELECT opened_at, opened_by, report FROM test_openings WHERE model = ?1")?
        .query_row([model.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    let Some((opened_at, opened_by, report)) = found else { return Ok(None) };
    let report = report.as_deref().map(from_json).transpose()?;
    Ok(Some(TestOpening { model, opened_at: parse_stamp(&opened_at)?, opened_by, report }))
}
