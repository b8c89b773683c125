//! The same registry in PostgreSQL: this suite runs once more, against a real server.

use std::{
    env,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use ::postgres::{Client, NoTls, error::SqlState};
use registry::{Error, Registry};
use tempfile::tempdir;

use crate::postgres_server::Server;

/// The server's connection string without a database; set in the process that runs the suite on PostgreSQL.
pub(crate) const SERVER: &str = "REGISTRY_TEST_POSTGRES";
const PATIENCE: Duration = Duration::from_secs(120);

/// What looks into, or changes, SQLite's file behind the registry's back.
const OF_THE_FILE: [&str; 10] = [
    "postgres::",
    "tls::",
    "ordinary_sql_cannot_change_the_audit",
    "verify_names_the_first_broken_row",
    "an_anchor_kept_elsewhere",
    "the_database_itself_refuses",
    "a_file_of_the_first_schema",
    "a_newer_programs_file",
    "check_is_silent_when_all_is_well",
    "child_writes_until_killed",
];

/// The database of a test's folder, made where it is missing.
pub(crate) fn database(server: &str, dir: &Path) -> String {
    let name: String =
        dir.file_name().unwrap().to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("t{}", name.to_ascii_lowercase());
    let mut admin = Client::connect(&format!("{server} dbname=postgres"), NoTls).unwrap();
    if let Err(error) = admin.batch_execute(&format!("CREATE DATABASE {name}")) {
        let known = [SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION];
        assert!(error.code().is_some_and(|code| known.contains(code)), "{error}");
    }
    format!("{server} dbname={name}")
}

#[test]
fn the_whole_suite_holds_on_postgresql() {
    let server = Server::start();
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(SERVER, server.address());
    for skipped in OF_THE_FILE {
        command.args(["--skip", skipped]);
    }
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(said.contains(" passed") && !said.contains(" 0 passed"), "{said}");
}

#[test]
fn a_server_that_goes_away_and_comes_back_costs_the_calls_of_that_time_only() {
    let (server, dir) = (Server::start(), tempdir().unwrap());
    let registry = Registry::connect(&database(&server.address(), dir.path()), dir.path()).unwrap();
    let model = crate::validated(&registry, "r0");
    server.crash();
    let since = Instant::now();
    while let Err(error) = registry.promote(model, registry::Replaces::Any, &crate::act("after")) {
        assert!(matches!(error, Error::Storage(_)), "{error}");
        assert!(since.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(registry.champion().unwrap().unwrap().model.version, model);
    registry.finish_run("r0", crate::NOON, &serde_json::json!({})).unwrap();
    assert_eq!(registry.check(None).unwrap(), []);
}

#[test]
fn the_database_keeps_its_promises_behind_the_registrys_back() {
    let (server, dir) = (Server::start(), tempdir().unwrap());
    let address = database(&server.address(), dir.path());
    let registry = Registry::connect(&address, dir.path()).unwrap();
    crate::validated(&registry, "r0");
    crate::validated(&registry, "r1");
    let mut raw = Client::connect(&address, NoTls).unwrap();
    for sql in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit WHERE seq = 1"] {
        let refused = raw.batch_execute(sql).unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("append-only"), "{refused}");
    }
    let two = raw.batch_execute("UPDATE models SET stage = 'champion'").unwrap_err();
    assert_eq!(two.code(), Some(&SqlState::UNIQUE_VIOLATION));
    raw.batch_execute("UPDATE schema_version SET version = 99").unwrap();
    let refused = Registry::connect(&address, dir.path());
    assert!(matches!(refused, Err(Error::NewerSchema { found: 99, .. })));
}

#[test]
fn an_address_that_leads_nowhere_is_named_without_its_password() {
    let dir = tempdir().unwrap();
    for address in ["postgresql://ana:secret@127.0.0.1:1/x", "nonsense ="] {
        let error = Registry::connect(address, dir.path()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
