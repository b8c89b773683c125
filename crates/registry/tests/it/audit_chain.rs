//! The chain notices every kind of tampering and names the first row concerned.

use registry::{AuditEntry, ChainState, Registry};
use rusqlite::Connection;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::{act, candidate, open};

/// A registry with six audit rows.
fn audited() -> (TempDir, Registry) {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    for i in 0..3 {
        let model = candidate(&registry, &format!("r{i}"));
        registry.open_test(model, &act("t")).unwrap();
    }
    (dir, registry)
}

/// The same, with the tampering that a test does behind its back.
fn tampered(sql: &str) -> (TempDir, Registry) {
    let (dir, registry) = audited();
    let raw = Connection::open(dir.path().join("registry.db")).unwrap();
    raw.execute_batch("DROP TRIGGER audit_is_append_only_update; DROP TRIGGER audit_is_append_only_delete;")
        .unwrap();
    raw.execute_batch(sql).unwrap();
    (dir, registry)
}

fn broken_at(sql: &str) -> Option<u64> {
    match tampered(sql).1.verify_audit(None).unwrap() {
        ChainState::Whole { rows } => {
            assert_eq!(rows, 6);
            None
        }
        ChainState::Broken { seq, .. } => Some(seq),
    }
}

#[test]
fn verify_names_the_first_broken_row() {
    assert_eq!(broken_at(""), None);
    for column in ["at", "actor", "action", "subject", "reason", "detail", "hash"] {
        let sql = format!("UPDATE audit SET {column} = {column} || ' ' WHERE seq = 3");
        assert_eq!(broken_at(&sql), Some(3), "{column}");
    }
    assert_eq!(broken_at("UPDATE audit SET previous = hash WHERE seq = 4"), Some(4));
    assert_eq!(
        broken_at("UPDATE audit SET actor = actor || reason, reason = '' WHERE seq = 2"),
        Some(2),
        "moved text"
    );
    assert_eq!(broken_at("DELETE FROM audit WHERE seq = 2"), Some(2), "a row taken out");
    assert_eq!(broken_at("DELETE FROM audit WHERE seq = 1"), Some(1), "the first row taken out");
    assert_eq!(broken_at("DELETE FROM audit WHERE seq = 6"), Some(6), "the tail cut off");
    assert_eq!(broken_at("DELETE FROM audit"), Some(1), "everything taken out");
    assert_eq!(
        broken_at(
            "INSERT INTO audit SELECT 7, at, actor, action, subject, reason, detail, hash, hash FROM audit WHERE seq = 6"
        ),
        Some(7)
    );
    let swapped = "UPDATE audit SET seq = 99 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 99";
    assert_eq!(broken_at(swapped), Some(4));
    let (_dir, registry) = tampered("UPDATE audit SET actor = 'nobody' WHERE seq = 3");
    assert!(registry.check(None).unwrap().iter().any(|f| f.message.contains("broken at row 3")));
}

#[test]
fn an_anchor_kept_elsewhere_notices_a_chain_that_was_made_anew() {
    let (dir, registry) = tampered("");
    let anchor = registry.audit_head().unwrap();
    candidate(&registry, "later");
    assert_eq!(registry.verify_audit(Some(&anchor)).unwrap(), ChainState::Whole { rows: 7 });

    // A forger with the file rewrites row 5 and everything after it, hashes and head included.
    let raw = Connection::open(dir.path().join("registry.db")).unwrap();
    let forged = registry.audit(4, 100).unwrap();
    let mut previous = registry.audit(3, 1).unwrap().remove(0).hash;
    for mut row in forged {
        row.actor = "innocent".to_owned();
        let hash = rehash(&raw, &previous, &row);
        raw.execute(
            "UPDATE audit SET actor = ?2, previous = ?3, hash = ?4 WHERE seq = ?1",
            rusqlite::params![row.seq, row.actor, previous, hash],
        )
        .unwrap();
        previous = hash;
    }
    raw.execute("UPDATE audit_head SET hash = ?1", [&previous]).unwrap();
    assert_eq!(
        registry.verify_audit(None).unwrap(),
        ChainState::Whole { rows: 7 },
        "the chain alone cannot know"
    );
    let seen = registry.verify_audit(Some(&anchor)).unwrap();
    assert!(matches!(seen, ChainState::Broken { seq: 6, .. }), "{seen:?}");
}

/// The documented hash, written a second time: SHA-256 over length-prefixed texts.
fn rehash(raw: &Connection, previous: &str, row: &AuditEntry) -> String {
    let (at, detail): (String, String) = raw
        .query_row("SELECT at, detail FROM audit WHERE seq = ?1", [row.seq], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    let mut sha = Sha256::new();
    for text in
        [previous, &row.seq.to_string(), &at, &row.actor, &row.action, &row.subject, &row.reason, &detail]
    {
        sha.update((text.len() as u64).to_le_bytes());
        sha.update(text.as_bytes());
    }
    format!("{:x}", sha.finalize())
}

#[test]
fn ordinary_sql_cannot_change_the_audit() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    candidate(&registry, "r1");
    let raw = Connection::open(dir.path().join("registry.db")).unwrap();
    for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"] {
        assert!(raw.execute(sql, []).unwrap_err().to_string().contains("append-only"));
    }
}

#[test]
fn the_audit_is_read_in_pages() {
    let (_dir, registry) = audited();
    let all = registry.audit(0, 100).unwrap();
    assert_eq!(all.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(registry.audit(2, 3).unwrap(), all[2..5]);
    assert_eq!(all[0].detail, json!({"run": "r0", "bundle_digest": "r0"}));
    assert_eq!(registry.audit_head().unwrap().hash, all[5].hash);
}
