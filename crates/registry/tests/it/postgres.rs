//! The same registry in PostgreSQL: this suite runs once more, against a real server.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ::postgres::{Client, NoTls, error::SqlState};
use registry::{Error, Registry};
use tempfile::{TempDir, tempdir};

/// The server's connection string without a database; set in the process that runs the suite on PostgreSQL.
pub(crate) const SERVER: &str = "REGISTRY_TEST_POSTGRES";
const PATIENCE: Duration = Duration::from_secs(120);

/// What looks into, or changes, SQLite's file behind the registry's back.
const OF_THE_FILE: [&str; 9] = [
    "postgres::",
    "ordinary_sql_cannot_change_the_audit",
    "verify_names_the_first_broken_row",
    "an_anchor_kept_elsewhere",
    "the_database_itself_refuses",
    "a_file_of_the_first_schema",
    "a_newer_programs_file",
    "check_is_silent_when_all_is_well",
    "child_writes_until_killed",
];

/// A server of one's own: a folder, a socket, no port.
pub(crate) struct Server {
    dir: TempDir,
}

impl Server {
    /// # Panics
    /// PostgreSQL is not installed, or does not start.
    pub(crate) fn start() -> Server {
        let dir = tempdir().unwrap();
        let server = Server { dir };
        fs::create_dir(server.data()).unwrap();
        if is_root() {
            // The server refuses to run as root.
            for path in [server.dir.path().to_owned(), server.data()] {
                assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
            }
        }
        server.run("initdb", &["--auth=trust", "--username=hoofbeat", "--no-sync", "--encoding=UTF8"]);
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=200",
            server.dir.path().display()
        );
        server.run("pg_ctl", &["start", "--wait", "--log=/dev/null", &format!("--options={options}")]);
        server
    }

    /// Kills the server's processes, as a failing machine would, and starts them again.
    pub(crate) fn crash(&self) {
        self.run("pg_ctl", &["stop", "--mode=immediate"]);
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=200",
            self.dir.path().display()
        );
        self.run("pg_ctl", &["start", "--wait", "--log=/dev/null", &format!("--options={options}")]);
    }

    pub(crate) fn address(&self) -> String {
        format!("host={} user=hoofbeat", self.dir.path().display())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let path = installed(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.arg("--pgdata").arg(self.data()).args(arguments);
        let status = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{program}: {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["stop", "--mode=immediate"]);
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Debian keeps the server's programs off the path.
fn installed(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(program)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| program.into())
}

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
