//! Who did what, when and over what: a chain in which each row's SHA-256 covers the row before it.
//!
//! The chain shows that a row was changed, taken out or put in between. Somebody who can write the file can compute a
//! whole new chain; against that, keep [`Registry::audit_head`] somewhere else and give it to [`Registry::verify_audit`].

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    error::Result,
    sql::{Connection, Row, params},
    store::Registry,
};

/// One row of the audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub actor: String,
    /// What was done, such as `model.promote`.
    pub action: String,
    /// What it was done to, such as `m-0001`.
    pub subject: String,
    pub reason: String,
    pub detail: Value,
    /// SHA-256 of this row and, through `previous`, of all rows before it; hexadecimal.
    pub hash: String,
}

/// The end of the chain at some moment. Kept elsewhere, it proves that nothing before it changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of rows.
    pub seq: u64,
    pub hash: String,
}

/// What a walk over the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "chain", rename_all = "snake_case")]
pub enum ChainState {
    Whole {
        rows: u64,
    },
    /// `seq` is the first row that is missing or does not match.
    Broken {
        seq: u64,
        because: &'static str,
    },
}

/// A row as stored: exactly the text that is hashed.
struct Stored {
    seq: u64,
    /// at, actor, action, subject, reason, detail
    fields: [String; 6],
    previous: String,
    hash: String,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        let fields = [r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?];
        Ok(Self { seq: r.get(0)?, fields, previous: r.get(7)?, hash: r.get(8)? })
    }

    /// SHA-256 over the previous hash, the number and every field, each preceded by its length, so that no text
    /// can move from one field to the next unnoticed.
    fn digest(&self) -> String {
        let seq = self.seq.to_string();
        let mut sha = Sha256::new();
        for part in [&self.previous, &seq].into_iter().chain(&self.fields) {
            sha.update((part.len() as u64).to_le_bytes());
            sha.update(part.as_bytes());
        }
        format!("{:x}", sha.finalize())
    }
}

const COLUMNS: &str = "seq, at, actor, action, subject, reason, detail, previous, hash";

/// Adds one row, in the transaction of what it tells of.
pub(crate) fn append(
    tx: &Connection,
    act: &Act<'_>,
    action: &str,
    subject: &str,
    detail: &Value,
) -> Result<()> {
    let head = head(tx)?;
    let mut row = Stored {
        seq: head.seq + 1,
        fields: [
            stamp(act.at)?,
            act.actor.to_owned(),
            action.to_owned(),
            subject.to_owned(),
            act.reason.to_owned(),
            to_json(detail)?,
        ],
        previous: head.hash,
        hash: String::new(),
    };
    row.hash = row.digest();
    let [at, actor, action, subject, reason, detail] = &row.fields;
    tx.prepare_cached(&format!("INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"))?
        .execute(params![row.seq, at, actor, action, subject, reason, detail, row.previous, row.hash])?;
    tx.prepare_cached("UPDATE audit_head SET seq = ?1, hash = ?2")?.execute(params![row.seq, row.hash])?;
    Ok(())
}

fn head(db: &Connection) -> Result<AuditHead> {
    let mut query = db.prepare_cached("SELECT seq, hash FROM audit_head")?;
    query.query_row(params![], |r| Ok(AuditHead { seq: r.get(0)?, hash: r.get(1)? }))
}

/// Rows of the chain in memory.
const WALKED_AT_ONCE: u32 = 1000;

/// Walks the whole chain in constant memory.
pub(crate) fn walk(db: &Connection, anchor: Option<&AuditHead>) -> Result<ChainState> {
    let broken = |seq, because| Ok(ChainState::Broken { seq, because });
    let mut query = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT {WALKED_AT_ONCE}"
    ))?;
    let (mut seq, mut hash) = (0_u64, "0".repeat(64));
    loop {
        let before = seq;
        for row in query.query_map([seq], Stored::from_row)? {
            let row = row?;
            if row.seq != seq + 1 {
                return broken(seq + 1, "the row is missing");
            }
            if row.previous != hash {
                return broken(row.seq, "it does not continue the row before it");
            }
            if row.hash != row.digest() {
                return broken(row.seq, "its content does not match its hash");
            }
            if anchor.is_some_and(|a| a.seq == row.seq && a.hash != row.hash) {
                return broken(row.seq, "it is not the row that the anchor names");
            }
            (seq, hash) = (row.seq, row.hash);
        }
        if seq == before {
            break;
        }
    }
    let end = head(db)?;
    let last = anchor.map_or(end.seq, |a| a.seq.max(end.seq));
    if last > seq {
        return broken(seq + 1, "the row is missing");
    }
    if end.seq != seq || end.hash != hash {
        return broken(seq, "it is not where the chain was said to end");
    }
    Ok(ChainState::Whole { rows: seq })
}

impl Registry {
    /// Rows of the audit after row `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// Storage fails or a row cannot be read.
    pub fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditEntry>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2"
            ))?;
            let rows = query.query_map(params![after, limit], Stored::from_row)?;
            rows.map(|row| entry(row?)).collect()
        })
    }

    /// The end of the chain now.
    ///
    /// # Errors
    /// Storage fails.
    pub fn audit_head(&self) -> Result<AuditHead> {
        self.read(head)
    }

    /// Recomputes the whole chain; names the first row that is missing or changed. With an `anchor` kept elsewhere
    /// it also notices a chain that was rewritten as a whole.
    ///
    /// # Errors
    /// Storage fails. A broken chain is a result, not an error.
    pub fn verify_audit(&self, anchor: Option<&AuditHead>) -> Result<ChainState> {
        self.read(|db| walk(db, anchor))
    }
}

fn entry(row: Stored) -> Result<AuditEntry> {
    let [at, actor, action, subject, reason, detail] = row.fields;
    let (at, detail) = (parse_stamp(&at)?, from_json(&detail)?);
    Ok(AuditEntry { seq: row.seq, at, actor, action, subject, reason, detail, hash: row.hash })
}
