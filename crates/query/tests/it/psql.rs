//! The real `psql`: what people type into it.

use std::path::Path;
use std::process::Command;

use query::wire::{Endpoint, Tls};

use crate::support::{ANALYST, BOTH, REGISTRAR, SECRET, Served, endpoint, made};

/// PostgreSQL's client.
fn psql() -> &'static str {
    let there = Command::new("psql").arg("--version").output().is_ok();
    assert!(there, "psql is missing: run scripts/setup --tests first (make test does)");
    "psql"
}

/// What psql prints, on both outputs, and whether it was content.
fn ask(served: &Served, (name, password): (&str, &str), options: &str, typed: &str) -> (String, bool) {
    let output = Command::new(psql())
        .args(["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--pset=pager=off", "--command", typed])
        .arg(format!("host=127.0.0.1 port={} user={name} dbname=hoofbeat {options}", served.port))
        .env("PGPASSWORD", password)
        .env_remove("PGOPTIONS")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

#[test]
fn psql_asks_lists_and_describes() {
    let made = made();
    let served = Served::start(endpoint(&made));
    for (typed, words) in [
        ("SELECT count(*) FROM cases", vec!["700", "(1 row)"]),
        ("SELECT gender, count(*) AS n FROM cases GROUP BY gender ORDER BY gender", vec!["female | 350"]),
        ("\\dt", vec!["cases", "quarantine", "dataset_versions"]),
        ("\\dv", vec!["cohort", "quality"]),
        ("\\d", vec!["cases", "cohort"]),
        ("\\d cases", vec!["age_years", "integer", "patient_id", "recorded_at"]),
        ("\\d cohort", vec!["severity", "slot"]),
        ("\\dn", vec!["public"]),
        ("\\l", vec!["hoofbeat"]),
        ("SELECT table_name FROM information_schema.tables", vec!["cases", "cohort"]),
        ("SELECT column_name FROM information_schema.columns WHERE table_name = 'cases'", vec!["slot"]),
        ("SHOW server_version", vec!["server_version"]),
        ("SET statement_timeout = '5s'", vec!["SET"]),
        ("BEGIN", vec!["BEGIN"]),
        ("EXPLAIN SELECT count(*) FROM cases", vec!["plan"]),
    ] {
        let (text, content) = ask(&served, ANALYST, "", typed);
        assert!(content, "{typed}: {text}");
        for word in words {
            assert!(text.contains(word), "`{typed}` does not say `{word}`:\n{text}");
        }
        assert!(!text.contains(SECRET), "{typed}: {text}");
    }
    let (text, content) = ask(&served, ANALYST, "", "SELECT age_year FROM cases");
    assert!(!content && text.contains("did you mean `age_years`?"), "{text}");
    let (text, content) = ask(&served, ANALYST, "", "DROP TABLE cases");
    assert!(!content && text.contains("only statements that read"), "{text}");
    let (text, _) = ask(&served, ANALYST, "", "\\copy cases TO STDOUT");
    assert!(!text.contains(SECRET), "{text}");
    let (text, content) = ask(&served, (ANALYST.0, "wrong"), "", "SELECT 1");
    assert!(!content && text.to_lowercase().contains("password"), "{text}");
    let (text, _) = ask(&served, REGISTRAR, "", "SELECT min(patient_id) FROM cases");
    assert!(text.contains(SECRET), "{text}");
}

/// Large answers by cursor, as Tableau and psql's FETCH_COUNT ask.
#[test]
fn psql_fetches_by_cursor() {
    let made = made();
    let served = Served::start(endpoint(&made));
    let output = Command::new(psql())
        .args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--set=FETCH_COUNT=100",
        ])
        .args(["--command", "SELECT patient_id FROM cases"])
        .arg(format!("host=127.0.0.1 port={} user={} dbname=hoofbeat", served.port, ANALYST.0))
        .env("PGPASSWORD", ANALYST.1)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count() as u64, BOTH, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().all(|line| line.starts_with("patient-")));
}

/// A certificate of its own, as `openssl` makes one; psql checks it.
#[test]
fn psql_speaks_in_private() {
    let made = made();
    let (certificate, key) = (made.folder.path().join("server.crt"), made.folder.path().join("server.key"));
    let made_by = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    let made_by =
        made_by.unwrap_or_else(|error| panic!("openssl is missing ({error}): scripts/setup --tests"));
    assert!(made_by.status.success(), "{}", String::from_utf8_lossy(&made_by.stderr));
    let read = |path: &Path| std::fs::read(path).unwrap();
    let tls = Tls { certificates: read(&certificate), key: read(&key) };
    let served = Served::start(Endpoint { tls: Some(tls), ..endpoint(&made) });
    let checked = format!("sslmode=verify-ca sslrootcert={}", certificate.display());
    let (text, content) = ask(&served, ANALYST, &checked, "\\conninfo");
    assert!(content && text.contains("TLS"), "{text}");
    let (text, content) = ask(&served, ANALYST, &checked, "SELECT count(*) FROM cases");
    assert!(content && text.contains("700"), "{text}");
    let plain = Served::start(endpoint(&made));
    let (text, content) = ask(&plain, ANALYST, "sslmode=require", "SELECT 1");
    assert!(!content, "{text}");
}
