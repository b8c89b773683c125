//! Change records: every decision about the champion, with why, on what data, by which figures and who approved it.
//!
//! A record is written in the transaction of what it tells of, is never changed (triggers refuse it), and its SHA-256 is in
//! the audit chain. It is the evidence for a predetermined change control plan.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::{
    act::{self, Act, from_json, parse_stamp, stamp, to_json},
    audit,
    champion::{Promotion, Replaces},
    error::{Error, Result},
    models::{self, ModelVersion},
    sql::{Connection, OptionalExtension, Row, ToValue, params},
    store::Registry,
};

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    Promotion,
    Rollback,
    /// The challenger stays where it is; the reason says why.
    Hold,
    /// The challenger waits for a second person.
    Wait,
    /// The challenger answers beside the champion, unseen, before anything is decided.
    Shadow,
    /// A second person refused the challenger.
    Rejection,
}

impl ChangeKind {
    const ALL: [Self; 6] =
        [Self::Promotion, Self::Rollback, Self::Hold, Self::Wait, Self::Shadow, Self::Rejection];

    /// The word of it, as stored and as JSON has it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Promotion => "promotion",
            Self::Rollback => "rollback",
            Self::Hold => "hold",
            Self::Wait => "wait",
            Self::Shadow => "shadow",
            Self::Rejection => "rejection",
        }
    }
}

/// Why a champion changes.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// What set it off, such as `retrain:full` or `by_hand`.
    pub cause: &'a str,
    /// Who or what asked for it: `schedule`, or a person.
    pub requested_by: &'a str,
    /// Data, figures before and after, gates, difference, verification. What is known of both models where none is given.
    pub evidence: Option<&'a Value>,
    /// The decision that waited for this one.
    pub answers: Option<u64>,
}

/// A decision that does not change the champion.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    pub kind: ChangeKind,
    pub model: ModelVersion,
    /// The champion that the model was compared with.
    pub previous: Option<ModelVersion>,
    pub cause: Cause<'a>,
}

/// A stored change record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub id: u64,
    pub kind: ChangeKind,
    pub model: ModelVersion,
    pub previous: Option<ModelVersion>,
    /// The reign that it began.
    pub epoch: Option<u64>,
    pub answers: Option<u64>,
    pub cause: String,
    pub requested_by: String,
    /// Who or what decided.
    pub actor: String,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub evidence: Value,
}

const DECIDE: &str = "model.decide";

impl Registry {
    /// Records a decision that leaves the champion as it is. Repeating the call with the same key changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownModel`]; [`Error::KeyReused`]; storage fails.
    pub fn record_decision(&self, decision: &Decision<'_>, act: &Act<'_>) -> Result<Change> {
        self.write(|tx| {
            let subject = decision.model.to_string();
            let id = match act::replayed(tx, act, DECIDE, &subject)? {
                Some(id) => id,
                None => {
                    let id = insert(tx, decision, None, act)?;
                    act::remember(tx, act, DECIDE, &subject, &id)?;
                    id
                }
            };
            known(tx, id)
        })
    }

    /// A second person lets a challenger that waits become the champion, in place of the one that it was compared with.
    ///
    /// # Errors
    /// [`Error::NotWaiting`]; [`Error::SamePerson`] when the approver asked for the challenger; as [`Registry::promote`].
    pub fn approve(&self, version: ModelVersion, act: &Act<'_>) -> Result<Promotion> {
        let waiting = self.waiting(version, act)?;
        let evidence = waiting.evidence.clone();
        let cause = Cause {
            cause: &waiting.cause,
            requested_by: &waiting.requested_by,
            evidence: Some(&evidence),
            answers: Some(waiting.id),
        };
        self.promote_for(version, Replaces::Only(waiting.previous), &cause, act)
    }

    /// A second person refuses a challenger that waits.
    ///
    /// # Errors
    /// [`Error::NotWaiting`]; [`Error::SamePerson`]; storage fails.
    pub fn reject(&self, version: ModelVersion, act: &Act<'_>) -> Result<Change> {
        let waiting = self.waiting(version, act)?;
        let cause = Cause {
            cause: &waiting.cause,
            requested_by: &waiting.requested_by,
            evidence: Some(&waiting.evidence),
            answers: Some(waiting.id),
        };
        let (kind, previous) = (ChangeKind::Rejection, waiting.previous);
        self.record_decision(&Decision { kind, model: version, previous, cause }, act)
    }

    fn waiting(&self, version: ModelVersion, act: &Act<'_>) -> Result<Change> {
        let waits = |change: &Change| change.model == version && change.kind == ChangeKind::Wait;
        // A repeated call finds its own answer: the key is looked up by what follows.
        let found = self.changes_of(version)?.into_iter().rev().find(waits);
        let waiting = found.ok_or(Error::NotWaiting(version))?;
        let answered = self.read(|db| Ok(list(db, "answers = ?1", waiting.id)?.pop()))?;
        let repeated = self.read(|db| {
            let known: Option<i64> =
                db.query_row("SELECT 1 FROM requests WHERE key = ?1", [act.key], |r| r.get(0)).optional()?;
            Ok(known.is_some())
        })?;
        if answered.is_some() && !repeated {
            return Err(Error::NotWaiting(version));
        }
        if person(act.actor) == person(&waiting.requested_by) {
            return Err(Error::SamePerson { version, name: person(act.actor).to_owned() });
        }
        Ok(waiting)
    }

    /// The latest change records, newest first, at most `limit`.
    ///
    /// # Errors
    /// Storage fails.
    pub fn changes(&self, limit: u32) -> Result<Vec<Change>> {
        self.read(|db| list(db, "1 = 1 ORDER BY id DESC LIMIT ?1", limit))
    }

    /// One change record.
    ///
    /// # Errors
    /// Storage fails.
    pub fn change(&self, id: u64) -> Result<Option<Change>> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        self.read(|db| Ok(list(db, "id = ?1", id)?.pop()))
    }

    /// The change records of one model, oldest first.
    ///
    /// # Errors
    /// Storage fails.
    pub fn changes_of(&self, version: ModelVersion) -> Result<Vec<Change>> {
        self.read(|db| list(db, "model = ?1 ORDER BY id", version.0))
    }

    /// The decisions of a kind that no later one answers, oldest first.
    ///
    /// # Errors
    /// Storage fails.
    pub fn unanswered(&self, kind: ChangeKind) -> Result<Vec<Change>> {
        self.read(|db| {
            let rest =
                "kind = ?1 AND id NOT IN (SELECT answers FROM changes WHERE answers IS NOT NULL) ORDER BY id";
            list(db, rest, kind.code())
        })
    }
}

/// The name in `page:Ana`: a person is the same wherever they act.
fn person(actor: &str) -> &str {
    actor.split_once(':').map_or(actor, |(_, name)| name).trim()
}

/// Stores a record with its audit row, in the caller's transaction; its number.
pub(crate) fn insert(
    tx: &Connection,
    decision: &Decision<'_>,
    epoch: Option<u64>,
    act: &Act<'_>,
) -> Result<u64> {
    let Decision { kind, model, previous, cause } = decision;
    models::known(tx, *model)?;
    let evidence = match cause.evidence {
        Some(evidence) => to_json(evidence)?,
        None => to_json(&standing(tx, *model, *previous)?)?,
    };
    let id: u64 = tx.query_row(
        "INSERT INTO changes (kind, model, previous, epoch, answers, cause, requested_by, actor, reason, at, evidence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING id",
        params![
            kind.code(),
            model.0,
            previous.map(|version| version.0),
            epoch,
            cause.answers,
            cause.cause,
            cause.requested_by,
            act.actor,
            act.reason,
            stamp(act.at)?,
            evidence
        ],
        |r| r.get(0),
    )?;
    let detail = json!({"change": id, "kind": kind, "previous": previous, "sha256": digest(&evidence)});
    audit::append(tx, act, "change.record", &model.to_string(), &detail)?;
    Ok(id)
}

/// A change record that is there.
pub(crate) fn known(db: &Connection, id: u64) -> Result<Change> {
    list(db, "id = ?1", id)?.pop().ok_or(Error::Corrupt { what: "a change record" })
}

/// The record of the change that began a reign.
pub(crate) fn of_epoch(db: &Connection, epoch: u64) -> Result<Change> {
    list(db, "epoch = ?1", epoch)?.pop().ok_or(Error::Corrupt { what: "a change record" })
}

/// What the registry knows of both models: where they come from, what they showed, and the gates' verdicts.
fn standing(tx: &Connection, model: ModelVersion, previous: Option<ModelVersion>) -> Result<Value> {
    let figures = |version: Option<ModelVersion>| -> Result<Value> {
        let Some(version) = version else { return Ok(Value::Null) };
        let mut query =
            tx.prepare_cached("SELECT report FROM evaluations WHERE model = ?1 ORDER BY id DESC LIMIT 1")?;
        let report: Option<String> = query.query_row([version.0], |r| r.get(0)).optional()?;
        let report: Value = report.as_deref().map(from_json).transpose()?.unwrap_or_default();
        let measured = |(name, figure): (&String, &Value)| {
            figure.get("value").is_some().then(|| (name.clone(), figure.clone()))
        };
        Ok(Value::Object(
            report.as_object().into_iter().flatten().filter_map(measured).collect::<Map<_, _>>(),
        ))
    };
    let dataset = |version: Option<ModelVersion>| -> Result<Option<u64>> {
        version.map(|version| Ok(models::known(tx, version)?.dataset_version)).transpose()
    };
    let known = models::known(tx, model)?;
    Ok(json!({
        "data": {"dataset_version": {"before": dataset(previous)?, "after": known.dataset_version}},
        "model": {"run": known.run, "study": known.study_hash, "bundle": known.bundle_digest},
        "figures": {"before": figures(previous)?, "after": figures(Some(model))?},
        "gates": known.gates,
    }))
}

pub(crate) fn digest(evidence: &str) -> String {
    format!("{:x}", Sha256::digest(evidence.as_bytes()))
}

const SELECT: &str = "SELECT id, kind, model, previous, epoch, answers, cause, requested_by, actor, reason, at, evidence \
                      FROM changes";

fn list(db: &Connection, rest: &str, value: impl ToValue) -> Result<Vec<Change>> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE {rest}"))?;
    let mut rows = query.query([value])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

fn read(r: &Row) -> Result<Change> {
    let (kind, at, evidence): (String, String, String) = (r.get(1)?, r.get(10)?, r.get(11)?);
    Ok(Change {
        id: r.get(0)?,
        kind: ChangeKind::ALL
            .into_iter()
            .find(|known| known.code() == kind)
            .ok_or(Error::Corrupt { what: "a change's kind" })?,
        model: ModelVersion(r.get(2)?),
        previous: r.get::<Option<u32>>(3)?.map(ModelVersion),
        epoch: r.get(4)?,
        answers: r.get(5)?,
        cause: r.get(6)?,
        requested_by: r.get(7)?,
        actor: r.get(8)?,
        reason: r.get(9)?,
        at: parse_stamp(&at)?,
        evidence: from_json(&evidence)?,
    })
}
