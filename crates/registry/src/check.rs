//! Is the registry sound? What `doctor` asks.

use std::fmt;

use rusqlite::Connection;
use serde::Serialize;

use crate::{
    audit::{self, AuditHead, ChainState},
    error::Result,
    schema,
    store::Registry,
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing; nothing is wrong with what is stored.
    Note,
    /// What is stored is damaged, incomplete or contradicts itself.
    Error,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// A sentence that names what is concerned.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Registry {
    /// Checks the file's structure, its references, the audit chain (against `anchor`, where one was kept elsewhere), the
    /// champion, and that every bundle that may be needed is where it should be. No findings: all is well.
    ///
    /// # Errors
    /// Storage fails. What is wrong with the content is a finding, not an error.
    pub fn check(&self, anchor: Option<&AuditHead>) -> Result<Vec<Finding>> {
        self.read(|db| {
            let mut found = Vec::new();
            structure(db, &mut found)?;
            if let ChainState::Broken { seq, because } = audit::walk(db, anchor)? {
                error(&mut found, format!("the audit chain is broken at row {seq}: {because}"));
            }
            champion(db, &mut found)?;
            self.bundles(db, &mut found)?;
            let running: u64 =
                db.query_row("SELECT count(*) FROM runs WHERE state = 'running'", [], |r| r.get(0))?;
            if running > 0 {
                let message =
                    format!("{running} training runs never reported an end (still running, or killed)");
                found.push(Finding { level: Level::Note, message });
            }
            Ok(found)
        })
    }

    fn bundles(&self, db: &Connection, found: &mut Vec<Finding>) -> Result<()> {
        let mut query =
            db.prepare("SELECT number, bundle_path FROM models WHERE stage != 'retired' ORDER BY number")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (number, path): (u32, String) = (row.get(0)?, row.get(1)?);
            if !self.data_dir().join(&path).exists() {
                let version = crate::ModelVersion(number);
                error(
                    found,
                    format!("the bundle of model {version} is missing ({path} in the data directory)"),
                );
            }
        }
        Ok(())
    }
}

fn error(found: &mut Vec<Finding>, message: String) {
    found.push(Finding { level: Level::Error, message });
}

fn structure(db: &Connection, found: &mut Vec<Finding>) -> Result<()> {
    let version = schema::version(db)?;
    if version != schema::KNOWN {
        error(found, format!("the registry has schema {version}, this program knows {}", schema::KNOWN));
    }
    let mut query = db.prepare("PRAGMA integrity_check (5)")?;
    for line in query.query_map([], |r| r.get::<_, String>(0))? {
        let line = line?;
        if line != "ok" {
            error(found, format!("the registry's file is damaged: {line}"));
        }
    }
    let mut query = db.prepare("PRAGMA foreign_key_check")?;
    for table in query.query_map([], |r| r.get::<_, String>(0))? {
        error(found, format!("a row of table {} refers to one that does not exist", table?));
    }
    Ok(())
}

/// The model in stage `champion` is the one of the last reign, and the audit tells of every reign.
fn champion(db: &Connection, found: &mut Vec<Finding>) -> Result<()> {
    let at_odds: bool = db.query_row(
        "SELECT (SELECT number FROM models WHERE stage = 'champion')
             IS NOT (SELECT model FROM reigns ORDER BY epoch DESC LIMIT 1)",
        [],
        |r| r.get(0),
    )?;
    if at_odds {
        error(found, "the champion is not the model that was promoted last".to_owned());
    }
    let untold: bool = db.query_row(
        "SELECT (SELECT count(*) FROM reigns)
             != (SELECT count(*) FROM audit WHERE action IN ('model.promote', 'model.rollback'))",
        [],
        |r| r.get(0),
    )?;
    if untold {
        error(found, "the audit does not tell of every promotion and rollback".to_owned());
    }
    Ok(())
}
