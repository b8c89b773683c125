//! Model versions: a bundle on disk, where it comes from, and how far it has come.

use std::{
    fmt,
    path::{Component, Path},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    audit,
    error::{ENDED_RUN, Error, Result},
    runs::{self, RunState},
    sql::{Connection, OptionalExtension, Row, params},
    store::Registry,
};

/// A model's number, written `m-0001`, `m-0002` … in the order of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ModelVersion(pub(crate) u32);

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m-{:04}", self.0)
    }
}

impl FromStr for ModelVersion {
    type Err = Error;

    /// Reads exactly what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("m-").and_then(|digits| digits.parse().ok()).map(Self);
        number
            .filter(|v| v.0 > 0 && v.to_string() == text)
            .ok_or_else(|| Error::NotAVersion { text: text.chars().take(40).collect() })
    }
}

impl From<ModelVersion> for String {
    fn from(v: ModelVersion) -> Self {
        v.to_string()
    }
}

impl TryFrom<String> for ModelVersion {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// How far a model has come. It goes forward only, but for a retired model that passed its gates: it may (again) be promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Trained and registered.
    Candidate,
    /// The gates held.
    Validated,
    /// Answers predictions. At most one model, by a unique index.
    Champion,
    /// Was champion, or was set aside.
    Retired,
}

impl Stage {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Validated => "validated",
            Self::Champion => "champion",
            Self::Retired => "retired",
        }
    }

    fn parse(code: &str) -> Result<Self> {
        [Self::Candidate, Self::Validated, Self::Champion, Self::Retired]
            .into_iter()
            .find(|s| s.code() == code)
            .ok_or(Error::Corrupt { what: "a model's stage" })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A finished bundle to be registered under the version taken by [`Registry::take_version`].
#[derive(Debug, Clone)]
pub struct NewModel<'a> {
    pub version: ModelVersion,
    /// Relative to the data directory, `/`-separated, such as `models/m-0001`.
    pub bundle_path: &'a str,
    /// Digest of the bundle's manifest, which holds the digests of its files.
    pub bundle_digest: &'a str,
}

/// A registered model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    pub version: ModelVersion,
    pub bundle_path: String,
    pub bundle_digest: String,
    pub dataset_version: u64,
    pub study_hash: String,
    /// The run that trained it.
    pub run: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    pub stage: Stage,
    #[serde(with = "time::serde::rfc3339::option")]
    pub validated_at: Option<OffsetDateTime>,
    /// The gates' verdicts, as given to [`Registry::validate`].
    pub gates: Option<Value>,
}

impl Registry {
    /// Takes the next version for a run's model, before its bundle is written. The same run always gets the same version.
    ///
    /// # Errors
    /// [`Error::UnknownRun`]; storage fails.
    pub fn take_version(&self, run: &str) -> Result<ModelVersion> {
        self.write(|tx| {
            runs::known(tx, run)?;
            tx.execute("INSERT INTO model_numbers (run) VALUES (?1) ON CONFLICT (run) DO NOTHING", [run])?;
            let number =
                tx.query_row("SELECT number FROM model_numbers WHERE run = ?1", [run], |r| r.get(0))?;
            Ok(ModelVersion(number))
        })
    }

    /// The version that a run has taken, where it has one.
    ///
    /// # Errors
    /// Storage fails.
    pub fn version_of(&self, run: &str) -> Result<Option<ModelVersion>> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT number FROM model_numbers WHERE run = ?1")?;
            query.query_row([run], |r| Ok(ModelVersion(r.get(0)?))).optional()
        })
    }

    /// Registers a candidate. Dataset version and study are its run's. Repeating the call with the same content changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] when the version was not taken; [`Error::Conflict`] when it holds another bundle, or its run has ended;
    /// [`Error::BadPath`]; storage fails.
    pub fn register(&self, new: &NewModel<'_>, act: &Act<'_>) -> Result<Model> {
        self.write(|tx| register(tx, new, act))
    }

    /// Candidate to validated, with the verdicts of the gates. Repeating the call changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; [`Error::WrongStage`] for a retired candidate; storage fails.
    pub fn validate(&self, version: ModelVersion, gates: &Value, act: &Act<'_>) -> Result<Model> {
        self.write(|tx| validate(tx, version, gates, act))
    }

    /// Sets a candidate or a validated model aside. Repeating the call changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; [`Error::WrongStage`] for the champion, which only a promotion or a rollback
    /// retires; storage fails.
    pub fn retire(&self, version: ModelVersion, act: &Act<'_>) -> Result<Model> {
        self.write(|tx| {
            let model = known(tx, version)?;
            match model.stage {
                Stage::Candidate | Stage::Validated => {}
                Stage::Retired => return Ok(model),
                Stage::Champion => {
                    return Err(Error::WrongStage {
                        version,
                        stage: model.stage,
                        needed: "candidate or validated",
                    });
                }
            }
            set_stage(tx, version, Stage::Retired)?;
            audit::append(tx, act, "model.retire", &version.to_string(), &json!({"from": model.stage}))?;
            known(tx, version)
        })
    }

    /// One model.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; storage fails.
    pub fn model(&self, version: ModelVersion) -> Result<Model> {
        self.read(|db| known(db, version))
    }

    /// Every model, newest first.
    ///
    /// # Errors
    /// Storage fails.
    pub fn models(&self) -> Result<Vec<Model>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!("{SELECT} ORDER BY number DESC"))?;
            let rows = query.query_map(params![], Stored::from_row)?;
            rows.map(|row| row?.model()).collect()
        })
    }
}

/// [`Registry::register`] in the caller's transaction. Only a run that is under way brings a model: one that was given up
/// for dead does not.
pub(crate) fn register(tx: &Connection, new: &NewModel<'_>, act: &Act<'_>) -> Result<Model> {
    require_relative(new.bundle_path)?;
    if let Some(model) = find(tx, new.version)? {
        let same = model.bundle_path == new.bundle_path && model.bundle_digest == new.bundle_digest;
        let id = new.version.to_string();
        return if same { Ok(model) } else { Err(Error::Conflict { kind: "model", id }) };
    }
    let taken: Option<String> = tx
        .query_row("SELECT run FROM model_numbers WHERE number = ?1", [new.version.0], |r| r.get(0))
        .optional()?;
    let run = runs::known(tx, &taken.ok_or(Error::UnknownModel(new.version))?)?;
    if run.state != RunState::Running {
        return Err(Error::Conflict { kind: ENDED_RUN, id: run.id });
    }
    tx.execute(
        "INSERT INTO models (number, bundle_path, bundle_digest, dataset_version, study_hash, run, created_at, stage)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'candidate')",
        params![
            new.version.0,
            new.bundle_path,
            new.bundle_digest,
            run.dataset_version,
            run.study_hash,
            run.id,
            stamp(act.at)?
        ],
    )?;
    let detail = json!({"run": run.id, "bundle_digest": new.bundle_digest});
    audit::append(tx, act, "model.register", &new.version.to_string(), &detail)?;
    known(tx, new.version)
}

/// [`Registry::validate`] in the caller's transaction.
pub(crate) fn validate(
    tx: &Connection,
    version: ModelVersion,
    gates: &Value,
    act: &Act<'_>,
) -> Result<Model> {
    let model = known(tx, version)?;
    match model.stage {
        Stage::Candidate => {}
        // Gates that held once and were overridden since.
        Stage::Validated if !gates["overridden"].is_null() => {}
        Stage::Retired => {
            return Err(Error::WrongStage { version, stage: model.stage, needed: "candidate" });
        }
        Stage::Validated | Stage::Champion => return Ok(model),
    }
    tx.execute(
        "UPDATE models SET stage = 'validated', validated_at = ?2, gates = ?3 WHERE number = ?1",
        params![version.0, stamp(act.at)?, to_json(gates)?],
    )?;
    audit::append(tx, act, "model.validate", &version.to_string(), gates)?;
    known(tx, version)
}

pub(crate) fn set_stage(tx: &Connection, version: ModelVersion, stage: Stage) -> Result<()> {
    tx.execute("UPDATE models SET stage = ?2 WHERE number = ?1", params![version.0, stage.code()])?;
    Ok(())
}

pub(crate) fn known(db: &Connection, version: ModelVersion) -> Result<Model> {
    find(db, version)?.ok_or(Error::UnknownModel(version))
}

/// A bundle path leads to the same place on every machine and never out of the data directory.
fn require_relative(path: &str) -> Result<()> {
    let inside = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    if inside && !path.is_empty() { Ok(()) } else { Err(Error::BadPath { path: path.to_owned() }) }
}

const SELECT: &str = "SELECT number, bundle_path, bundle_digest, dataset_version, study_hash, run, created_at, stage, \
                      validated_at, gates FROM models";

fn find(db: &Connection, version: ModelVersion) -> Result<Option<Model>> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE number = ?1"))?;
    query.query_row([version.0], Stored::from_row).optional()?.map(Stored::model).transpose()
}

/// A row as the database gives it, before its texts are parsed.
struct Stored {
    number: u32,
    bundle_path: String,
    bundle_digest: String,
    dataset_version: u64,
    study_hash: String,
    run: String,
    created_at: String,
    stage: String,
    validated_at: Option<String>,
    gates: Option<String>,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            number: r.get(0)?,
            bundle_path: r.get(1)?,
            bundle_digest: r.get(2)?,
            dataset_version: r.get(3)?,
            study_hash: r.get(4)?,
            run: r.get(5)?,
            created_at: r.get(6)?,
            stage: r.get(7)?,
            validated_at: r.get(8)?,
            gates: r.get(9)?,
        })
    }

    fn model(self) -> Result<Model> {
        Ok(Model {
            version: ModelVersion(self.number),
            bundle_path: self.bundle_path,
            bundle_digest: self.bundle_digest,
            dataset_version: self.dataset_version,
            study_hash: self.study_hash,
            run: self.run,
            created_at: parse_stamp(&self.created_at)?,
            stage: Stage::parse(&self.stage)?,
            validated_at: self.validated_at.as_deref().map(parse_stamp).transpose()?,
            gates: self.gates.as_deref().map(from_json).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_what_it_writes_and_nothing_else() {
        for number in [1, 42, 9999, 10_000, u32::MAX] {
            let v = ModelVersion(number);
            assert_eq!(v.to_string().parse::<ModelVersion>().unwrap(), v);
        }
        for text in
            ["", "m-", "m-0000", "m-1", "m-00001", "m-+001", "0001", "m-4294967296", "M-0001", " m-0001"]
        {
            assert!(text.parse::<ModelVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_bundle_stays_inside_the_data_directory() {
        assert!(require_relative("models/m-0001").is_ok());
        for path in ["", "/etc", "../x", "models/../../x", "./x"] {
            assert!(require_relative(path).is_err(), "{path}");
        }
    }
}
