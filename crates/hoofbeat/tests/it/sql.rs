//! SQL from the command line, and to the server by PostgreSQL's own client.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Deployment, Server, output, trained};

/// Runs `hoofbeat sql` with a statement as one argument.
fn sql(deployment: &Deployment, statement: &str, options: &[&str]) -> (i32, String, String) {
    let output = output(statement, deployment.command(["sql", statement]).args(options));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn answered(deployment: &Deployment, statement: &str, options: &[&str]) -> String {
    let (code, stdout, stderr) = sql(deployment, statement, options);
    assert_eq!(code, 0, "{statement}: {stderr}");
    stdout
}

#[test]
fn a_dataset_version_is_asked_in_sql() {
    let deployment = trained();
    let count = |options: &[&str]| answered(deployment, "SELECT count(*) AS n FROM cases", options);
    assert_eq!(count(&["--format", "csv"]), "n\n8000\n");
    assert_eq!(count(&["--format", "csv", "--dataset-version", "1"]), "n\n6000\n");
    assert_eq!(count(&["--json"]), "[{\"n\":8000}]\n".trim_end());
    assert!(count(&[]).contains("| 8000 |"));
    // What `dataset show` counts.
    let shown = deployment.json("dataset show");
    let by_severity = answered(
        deployment,
        "SELECT severity, count(*) AS n FROM cases GROUP BY severity",
        &["--format", "json"],
    );
    let by_severity: Vec<Value> = serde_json::from_str(&by_severity).unwrap();
    for row in &by_severity {
        let counts = shown["totals"]["outcomes"].as_array().unwrap().iter();
        let of_severity = counts.filter(|count| count["severity"] == row["severity"]);
        let sum: u64 = of_severity.map(|count| count["rows"].as_u64().unwrap()).sum();
        assert_eq!(row["n"].as_u64(), Some(sum), "{row}");
    }
    let genders =
        answered(deployment, "SELECT DISTINCT gender FROM cases ORDER BY gender", &["--format", "csv"]);
    assert_eq!(genders, "gender\nfemale\nmale\n");
}

#[test]
fn identifiers_are_for_who_asks_for_them() {
    let deployment = Deployment::empty();
    deployment.write(
        "cases.csv",
        "case_id,patient_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month\n\
         zebrafish-case,zebrafish-1,54,female,O,138,86,6\nx,zebrafish-2,154,female,O,138,86,6\n",
    );
    deployment.ok("ingest cases.csv --source ward");
    for statement in ["SELECT * FROM cases", "SELECT * FROM quarantine"] {
        for format in ["table", "csv", "ndjson", "json"] {
            let masked = answered(&deployment, statement, &["--format", format]);
            assert!(!masked.contains("zebrafish"), "{masked}");
            let shown = answered(&deployment, statement, &["--format", format, "--identifiers"]);
            assert!(shown.contains("zebrafish"), "{shown}");
        }
    }
    let pseudonym = || answered(&deployment, "SELECT patient_id FROM cases", &["--format", "csv"]);
    assert_eq!(pseudonym(), pseudonym());
    let key = std::fs::metadata(deployment.path("hoofbeat-data/pseudonyms.key")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(key.permissions().mode() & 0o777, 0o600, "only its owner may read the key");
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let deployment = trained().copy();
    for (statement, options, why) in [
        ("DROP TABLE cases", &[][..], "only statements that read"),
        ("COPY cases TO 'copied.csv'", &[], "COPY is refused"),
        ("SELECT age_year FROM cases", &[], "did you mean `age_years`?"),
        ("SELECT age_year FROM cases", &["--out", "out.csv"], "did you mean `age_years`?"),
        ("SELECT 1/0", &["--out", "out.csv"], ""),
        ("SELECT 1", &["--out", "out.xls"], ".csv, .ndjson"),
        ("SELECT 1", &["--format", "parquet"], "--out FILE"),
        ("SELECT 1", &["--dataset-version", "7"], "7"),
        (
            "SELECT count(*) FROM generate_series(1, 1000000000000) AS s(v) WHERE v % 7 = 3",
            &["--timeout", "1"],
            "stopped after 1 seconds",
        ),
    ] {
        let (code, stdout, stderr) = sql(&deployment, statement, options);
        assert_eq!(code, 1, "{statement}: {stdout}");
        let reason = stderr.lines().last().unwrap_or_default();
        assert!(reason.starts_with("hoofbeat: ") && reason.contains(why), "{statement}: {stderr}");
        assert!(!deployment.path("out.csv").exists() && !deployment.path("out.csv.part").exists());
        assert!(!deployment.path("copied.csv").exists());
    }
    deployment.run("sql").exits(2);
    answered(&deployment, "SELECT patient_id, age_years FROM cases", &["--out", "out.parquet"]);
    assert!(deployment.path("out.parquet").metadata().unwrap().len() > 1000);
    let limited = answered(&deployment, "SELECT age_years FROM cases", &["--max-rows", "3"]);
    assert_eq!(limited.lines().count(), 3 + 4, "{limited}");
}

#[test]
fn a_profile_is_a_text_or_a_document() {
    let deployment = trained();
    let profile = deployment.json("profile");
    assert_eq!(profile["rows"], 8000);
    let columns = profile["columns"].as_array().unwrap();
    let age = columns.iter().find(|column| column["name"] == "age_years").unwrap();
    let bars = age["histogram"].as_array().unwrap();
    assert_eq!(bars.iter().map(|bar| bar["rows"].as_u64().unwrap()).sum::<u64>(), 8000);
    let text = deployment.ok("profile --dataset-version 1");
    assert!(text.contains("6000 cases") && text.contains("female") && text.contains('#'), "{text}");
}

#[test]
fn the_server_speaks_to_psql_and_says_nothing_of_patients() {
    let deployment = trained().copy();
    deployment.write("analyst.password", "of numbers\n");
    deployment.write(
        "hoofbeat.toml",
        "study = \"study.toml\"\n[sql]\nlisten = \"127.0.0.1:0\"\n[[sql.roles]]\nname = \"analyst\"\n\
         password_file = \"analyst.password\"\n",
    );
    let server = Server::start_tracing(&deployment);
    let port = server.sql_port();
    let ask = |password: &str, typed: &str| {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", typed])
            .arg(format!("host=127.0.0.1 port={port} user=analyst dbname=hoofbeat"))
            .env("PGPASSWORD", password);
        let output = output("psql (scripts/setup --tests installs it)", &mut psql);
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(ask("of numbers", "SELECT count(*) FROM cases").0, "8000\n");
    assert!(ask("of numbers", "SELECT min(patient_id) FROM cases").0.starts_with("patient-"));
    assert!(ask("wrong", "SELECT 1").1.to_lowercase().contains("password"));
    for typed in [
        "SELECT count(*) FROM cases WHERE patient_id = 'zebrafish-7' AND age_years = 119",
        "SELECT zebrafish FROM cases",
        "SELEKT 'zebrafish'",
        "SET datafusion.zebrafish = 'zebrafish'",
        "INSERT INTO cases VALUES ('zebrafish')",
        "PREPARE p AS SELECT 'zebrafish'",
        "SELECT CAST('zebrafish' AS INT)",
    ] {
        ask("of numbers", typed);
    }
    ask("zebrafish", "SELECT 1");
    deployment.ok("synth --rows 500 --seed 3 --out third.csv");
    deployment.ok("ingest third.csv --source reference");
    let seen = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        ask("of numbers", "SELECT count(*) FROM cases").0 == "8500\n"
    });
    assert!(seen, "a new dataset version is not seen");
    let log = server.stop();
    let told =
        log.lines().find(|line| line.to_lowercase().contains("zebrafish") || line.contains("of numbers"));
    assert_eq!(told, None, "the log gives away what was asked");
}
