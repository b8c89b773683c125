//! The champion: promotion, rollback, and the epoch by which a server notices either.

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    act::{self, Act, parse_stamp, stamp},
    audit,
    changes::{self, Cause, ChangeKind, Decision},
    error::{Error, Result},
    models::{self, Model, ModelVersion, Stage},
    sql::{Connection, OptionalExtension, Row, params},
    store::Registry,
};

/// The model that answers, and since which change of champion.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Champion {
    /// See [`Registry::champion_epoch`].
    pub epoch: u64,
    pub model: Model,
}

/// Which champion a promotion may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// Whichever there is.
    Any,
    /// Only the one that the challenger was compared with (`None`: there was no champion).
    Only(Option<ModelVersion>),
}

/// What a promotion or a rollback did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    pub epoch: u64,
    pub champion: ModelVersion,
    /// The champion before.
    pub previous: Option<ModelVersion>,
    /// False when the model was champion already.
    pub changed: bool,
}

/// Why a reign began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReignKind {
    Promotion,
    Rollback,
}

/// One period with one champion.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reign {
    pub epoch: u64,
    pub model: ModelVersion,
    pub kind: ReignKind,
    pub actor: String,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

const PROMOTE: &str = "model.promote";
const ROLLBACK: &str = "model.rollback";

impl Registry {
    /// Makes a model that passed its gates (an earlier champion, too) the champion; the one before is retired and remembered.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; [`Error::WrongStage`] when the gates have not passed it; [`Error::ChampionMoved`];
    /// [`Error::KeyReused`]; storage fails.
    pub fn promote(&self, version: ModelVersion, replaces: Replaces, act: &Act<'_>) -> Result<Promotion> {
        self.promote_for(version, replaces, &by_hand(act), act)
    }

    /// [`Registry::promote`] with the evidence that the change record keeps.
    ///
    /// # Errors
    /// As [`Registry::promote`].
    pub fn promote_for(
        &self,
        version: ModelVersion,
        replaces: Replaces,
        cause: &Cause<'_>,
        act: &Act<'_>,
    ) -> Result<Promotion> {
        self.write(|tx| {
            let subject = version.to_string();
            if let Some(done) = act::replayed(tx, act, PROMOTE, &subject)? {
                return Ok(done);
            }
            let done = promote(tx, version, replaces, cause, act)?;
            act::remember(tx, act, PROMOTE, &subject, &done)?;
            Ok(done)
        })
    }

    /// Back to the champion before the current one. Rolling back again goes one further back.
    ///
    /// # Errors
    /// [`Error::NoPreviousChampion`]; [`Error::KeyReused`]; storage fails.
    pub fn rollback(&self, act: &Act<'_>) -> Result<Promotion> {
        self.write(|tx| {
            if let Some(done) = act::replayed(tx, act, ROLLBACK, "champion")? {
                return Ok(done);
            }
            let now = current(tx)?.ok_or(Error::NoPreviousChampion)?;
            let back =
                now.undo.map(|epoch| reign(tx, epoch)).transpose()?.ok_or(Error::NoPreviousChampion)?;
            let (from, cause) = (Some(now.model), by_hand(act));
            let epoch = enthrone(tx, from, back.model, back.undo, ReignKind::Rollback, &cause, act)?;
            let done = Promotion { epoch, champion: back.model, previous: Some(now.model), changed: true };
            act::remember(tx, act, ROLLBACK, "champion", &done)?;
            Ok(done)
        })
    }

    /// Grows by one with every change of champion; 0 before the first. One index look-up: a server may poll it often
    /// and fetch [`Registry::champion`] when it moved.
    ///
    /// # Errors
    /// Storage fails.
    pub fn champion_epoch(&self) -> Result<u64> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT coalesce(max(epoch), 0) FROM reigns")?;
            query.query_row(params![], |r| r.get(0))
        })
    }

    /// The champion and its epoch, of one moment.
    ///
    /// # Errors
    /// Storage fails.
    pub fn champion(&self) -> Result<Option<Champion>> {
        self.read(|db| {
            let Some(now) = current(db)? else { return Ok(None) };
            Ok(Some(Champion { epoch: now.epoch, model: models::known(db, now.model)? }))
        })
    }

    /// The latest changes of champion, newest first, at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn reigns(&self, limit: u32) -> Result<Vec<Reign>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!("{SELECT} ORDER BY epoch DESC LIMIT ?1"))?;
            let rows = query.query_map([limit], Stored::from_row)?;
            rows.map(|row| row?.reign()).collect()
        })
    }
}

/// Makes a validated model the champion, in the caller's transaction.
///
/// # Errors
/// [`Error::UnknownModel`]; [`Error::WrongStage`]; [`Error::ChampionMoved`], before anything is changed.
pub(crate) fn promote(
    tx: &Connection,
    version: ModelVersion,
    replaces: Replaces,
    cause: &Cause<'_>,
    act: &Act<'_>,
) -> Result<Promotion> {
    let model = models::known(tx, version)?;
    if model.validated_at.is_none() {
        return Err(Error::WrongStage { version, stage: model.stage, needed: "validated" });
    }
    let now = current(tx)?;
    let found = now.as_ref().map(|r| r.model);
    if let Some(now) = now.as_ref().filter(|now| now.model == version) {
        return Ok(Promotion { epoch: now.epoch, champion: version, previous: found, changed: false });
    }
    if let Replaces::Only(expected) = replaces
        && expected != found
    {
        return Err(Error::ChampionMoved { expected, found });
    }
    let undo = now.map(|r| r.epoch);
    let epoch = enthrone(tx, found, version, undo, ReignKind::Promotion, cause, act)?;
    Ok(Promotion { epoch, champion: version, previous: found, changed: true })
}

/// The cause of what somebody does without more.
fn by_hand<'a>(act: &Act<'a>) -> Cause<'a> {
    Cause { cause: "by_hand", requested_by: act.actor, evidence: None, answers: None }
}

/// One champion for another, with the audit row and the change record, inside the caller's transaction.
fn enthrone(
    tx: &Connection,
    from: Option<ModelVersion>,
    to: ModelVersion,
    undo: Option<u64>,
    kind: ReignKind,
    cause: &Cause<'_>,
    act: &Act<'_>,
) -> Result<u64> {
    if let Some(from) = from {
        models::set_stage(tx, from, Stage::Retired)?;
    }
    models::set_stage(tx, to, Stage::Champion)?;
    let (change, action) = match kind {
        ReignKind::Promotion => (ChangeKind::Promotion, PROMOTE),
        ReignKind::Rollback => (ChangeKind::Rollback, ROLLBACK),
    };
    let epoch = tx.query_row(
        "INSERT INTO reigns (model, undo, kind, actor, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING epoch",
        params![to.0, undo, change.code(), act.actor, act.reason, stamp(act.at)?],
        |r| r.get(0),
    )?;
    audit::append(tx, act, action, &to.to_string(), &json!({"epoch": epoch, "previous": from}))?;
    let decision = Decision { kind: change, model: to, previous: from, cause: *cause };
    changes::insert(tx, &decision, Some(epoch), act)?;
    Ok(epoch)
}

const SELECT: &str = "SELECT epoch, model, undo, kind, actor, reason, at FROM reigns";

struct Stored {
    epoch: u64,
    model: ModelVersion,
    undo: Option<u64>,
    kind: String,
    actor: String,
    reason: String,
    at: String,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            epoch: r.get(0)?,
            model: ModelVersion(r.get(1)?),
            undo: r.get(2)?,
            kind: r.get(3)?,
            actor: r.get(4)?,
            reason: r.get(5)?,
            at: r.get(6)?,
        })
    }

    fn reign(self) -> Result<Reign> {
        let kind = match self.kind.as_str() {
            "promotion" => ReignKind::Promotion,
            "rollback" => ReignKind::Rollback,
            _ => return Err(Error::Corrupt { what: "a reign's kind" }),
        };
        let at = parse_stamp(&self.at)?;
        Ok(Reign { epoch: self.epoch, model: self.model, kind, actor: self.actor, reason: self.reason, at })
    }
}

fn current(db: &Connection) -> Result<Option<Stored>> {
    let mut query = db.prepare_cached(&format!("{SELECT} ORDER BY epoch DESC LIMIT 1"))?;
    query.query_row(params![], Stored::from_row).optional()
}

fn reign(db: &Connection, epoch: u64) -> Result<Stored> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE epoch = ?1"))?;
    query.query_row([epoch], Stored::from_row)
}
