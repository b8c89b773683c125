//! The registry against real files, threads and processes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing test is what it is for")]

mod alerts;
mod audit_chain;
mod certificates;
mod champions;
mod changes;
mod conclusions;
mod crash;
mod jobs;
mod opinions;
mod postgres;
mod postgres_server;
mod queue;
mod records;
mod sources;
mod tls;
mod trials;

use std::path::Path;

use registry::{Act, ModelVersion, NewModel, NewRun, Registry};
use serde_json::json;
use time::{OffsetDateTime, macros::datetime};

pub const NOON: OffsetDateTime = datetime!(2026-01-02 12:00:00 UTC);

/// An act whose key is its only variable.
pub fn act(key: &str) -> Act<'_> {
    Act { key, actor: "ana", reason: "test", at: NOON }
}

/// Starts run `id` and registers its model as a candidate, bundle directory included.
pub fn candidate(registry: &Registry, id: &str) -> ModelVersion {
    let parameters = json!({"learner": "xgboost", "eta": 0.05});
    let run = NewRun {
        id,
        started_at: NOON,
        dataset_version: 3,
        study_hash: "s",
        seed: u64::MAX,
        parameters: &parameters,
    };
    registry.start_run(&run).unwrap();
    let version = registry.take_version(id).unwrap();
    let bundle_path = format!("models/{version}");
    std::fs::create_dir_all(registry.data_dir().join(&bundle_path)).unwrap();
    let new = NewModel { version, bundle_path: &bundle_path, bundle_digest: id };
    registry.register(&new, &act(&format!("register-{id}"))).unwrap();
    version
}

/// A candidate that passed its gates.
pub fn validated(registry: &Registry, id: &str) -> ModelVersion {
    let version = candidate(registry, id);
    registry.validate(version, &json!({"f1_common": "holds"}), &act(&format!("validate-{id}"))).unwrap();
    version
}

/// The registry of a folder, in SQLite or, in the run on PostgreSQL, there.
pub fn open(dir: &Path) -> Registry {
    match std::env::var(postgres::SERVER) {
        Ok(server) => Registry::connect(&postgres::database(&server, dir), dir).unwrap(),
        Err(_) => Registry::open(dir).unwrap(),
    }
}

/// Whether a query over one key finds something, asked behind the registry's back.
pub(crate) fn exists(dir: &Path, query: &str, key: &str) -> bool {
    match std::env::var(postgres::SERVER) {
        Ok(server) => {
            let address = postgres::database(&server, dir);
            let mut raw = ::postgres::Client::connect(&address, ::postgres::NoTls).unwrap();
            raw.query_opt(&query.replace("?1", "$1"), &[&key]).unwrap().is_some()
        }
        Err(_) => {
            let raw = rusqlite::Connection::open(dir.join("registry.db")).unwrap();
            raw.prepare(query).unwrap().exists([key]).unwrap()
        }
    }
}

/// Changes the database behind the registry's back.
pub(crate) fn behind(dir: &Path, sql: &str) {
    match std::env::var(postgres::SERVER) {
        Ok(server) => {
            let address = postgres::database(&server, dir);
            ::postgres::Client::connect(&address, ::postgres::NoTls).unwrap().batch_execute(sql).unwrap();
        }
        Err(_) => {
            let raw = rusqlite::Connection::open(dir.join("registry.db")).unwrap();
            raw.execute_batch(sql).unwrap();
        }
    }
}
