//! Is the registry sound? What `doctor` asks.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use crate::{
    act::from_json,
    audit::{self, AuditHead, ChainState},
    error::Result,
    schema,
    sql::{Connection, Database, params},
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
        let mut found = Vec::new();
        structure(self.database(), &mut found)?;
        self.read(|db| {
            if let ChainState::Broken { seq, because } = audit::walk(db, anchor)? {
                error(&mut found, format!("the audit chain is broken at row {seq}: {because}"));
            }
            champion(db, &mut found)?;
            changes(db, &mut found)?;
            self.bundles(db, &mut found)?;
            let running: u64 =
                db.query_row("SELECT count(*) FROM runs WHERE state = 'running'", params![], |r| r.get(0))?;
            if running > 0 {
                let message =
                    format!("{running} training runs never reported an end (still running, or killed)");
                found.push(Finding { level: Level::Note, message });
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn bundles(&self, db: &Connection, found: &mut Vec<Finding>) -> Result<()> {
        let mut query = db.prepare_cached(
            "SELECT number, bundle_path FROM models WHERE stage != 'retired' ORDER BY number",
        )?;
        for row in query.query_map(params![], |row| Ok((row.get::<u32>(0)?, row.get::<String>(1)?)))? {
            let (number, path) = row?;
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

fn structure(database: &dyn Database, found: &mut Vec<Finding>) -> Result<()> {
    let version = database.version()?;
    if version != schema::KNOWN {
        error(found, format!("the registry has schema {version}, this program knows {}", schema::KNOWN));
    }
    for damage in database.damage()? {
        error(found, damage);
    }
    Ok(())
}

/// The model in stage `champion` is the one of the last reign, and the audit tells of every reign.
fn champion(db: &Connection, found: &mut Vec<Finding>) -> Result<()> {
    let at_odds: bool = db.query_row(
        "SELECT (SELECT number FROM models WHERE stage = 'champion')
             IS DISTINCT FROM (SELECT model FROM reigns ORDER BY epoch DESC LIMIT 1)",
        params![],
        |r| r.get(0),
    )?;
    if at_odds {
        error(found, "the champion is not the model that was promoted last".to_owned());
    }
    let untold: bool = db.query_row(
        "SELECT (SELECT count(*) FROM reigns)
             != (SELECT count(*) FROM audit WHERE action IN ('model.promote', 'model.rollback'))",
        params![],
        |r| r.get(0),
    )?;
    if untold {
        error(found, "the audit does not tell of every promotion and rollback".to_owned());
    }
    Ok(())
}

/// Every reign since there are change records has one, and each record is the one that the audit tells of.
fn changes(db: &Connection, found: &mut Vec<Finding>) -> Result<()> {
    let untold: u64 = db.query_row(
        "SELECT count(*) FROM reigns WHERE epoch >= (SELECT min(epoch) FROM changes)
             AND epoch NOT IN (SELECT epoch FROM changes WHERE epoch IS NOT NULL)",
        params![],
        |r| r.get(0),
    )?;
    if untold > 0 {
        error(found, format!("{untold} changes of champion have no change record"));
    }
    let mut told: BTreeMap<u64, String> = BTreeMap::new();
    let mut query = db.prepare_cached("SELECT detail FROM audit WHERE action = 'change.record'")?;
    for detail in query.query_map(params![], |r| r.get::<String>(0))? {
        let detail: Value = from_json(&detail?)?;
        if let (Some(id), Some(digest)) = (detail["change"].as_u64(), detail["sha256"].as_str()) {
            told.insert(id, digest.to_owned());
        }
    }
    let mut query = db.prepare_cached("SELECT id, evidence FROM changes ORDER BY id")?;
    for row in query.query_map(params![], |r| Ok((r.get::<u64>(0)?, r.get::<String>(1)?)))? {
        let (id, evidence) = row?;
        if told.get(&id) != Some(&crate::changes::digest(&evidence)) {
            error(found, format!("change record {id} is not the one that the audit tells of"));
        }
    }
    Ok(())
}
