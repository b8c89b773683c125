//! The lake on an object store: the same commands, the same answers.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Deployment, Run};
use crate::s3_server::{ACCESS_KEY, BUCKET, Manner, S3Server, SECRET_KEY};

/// A deployment whose lake lies on a server of its own.
struct OnS3 {
    deployment: Deployment,
    server: S3Server,
}

impl OnS3 {
    fn start(manner: Manner) -> OnS3 {
        let deployment = Deployment::empty();
        let server = S3Server::start(&deployment.path("s3"), manner);
        let credentials =
            if manner == Manner::Careless { "[storage.options]\nskip_signature = \"true\"\n" } else { "" };
        let endpoint = server.endpoint();
        deployment.write(
            "hoofbeat.toml",
            &format!(
                "[storage]\nurl = \"s3://{BUCKET}/lake\"\nendpoint = \"{endpoint}\"\nallow_http = true\n\
                 retry_seconds = 1\nlease_seconds = 4\n{credentials}"
            ),
        );
        OnS3 { deployment, server }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.deployment.command(line.split_whitespace());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    }

    fn run(&self, line: &str) -> Run {
        Run::of(line, self.command(line))
    }

    fn json(&self, line: &str) -> Value {
        self.run(&format!("{line} --json")).exits(0).json()
    }
}

/// A document without what differs from run to run.
fn steady(mut document: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| key != "ingest_id" && key != "created_at");
                map.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut document);
    document
}

#[test]
fn commands_answer_on_s3_as_on_local_disk() {
    let (local, s3) = (Deployment::empty(), OnS3::start(Manner::Careful));
    local.ok("synth --rows 1500 --seed 3 --out first.csv");
    local.ok("synth --rows 100 --seed 4 --out second.parquet");
    let dirty = crate::harness::sample("dirty/dirty.csv");
    std::fs::copy(dirty, local.path("dirty.csv")).unwrap();
    for file in ["first.csv", "second.parquet", "dirty.csv"] {
        std::fs::copy(local.path(file), s3.deployment.path(file)).unwrap();
    }
    for line in [
        "ingest first.csv --source reference",
        "ingest first.csv --source reference",
        "ingest second.parquet dirty.csv --source ehr",
        "dataset list",
        "dataset show",
        "dataset show 1",
        "dataset diff 1 2",
        "dataset quarantine --raw",
    ] {
        assert_eq!(steady(local.json(line)), steady(s3.json(line)), "{line}");
    }
    assert!(!s3.deployment.path("hoofbeat-data/lake").exists(), "something of the lake is on local disk");
    let found = s3.json("doctor");
    assert_eq!(found["well"], true, "{found}");
    assert!(
        found.to_string().contains(&format!("s3://{BUCKET}/lake/: it can be read and written")),
        "{found}"
    );
    // `--storage` wins over the configuration; nothing is there yet.
    assert_eq!(s3.json("dataset list --storage elsewhere"), json!([]));
}

#[test]
fn a_server_that_is_gone_is_one_clear_line_and_a_repeat_works_when_it_is_back() {
    let mut s3 = OnS3::start(Manner::Careful);
    s3.deployment.ok("synth --rows 200 --seed 3 --out cases.csv");
    s3.server.kill();
    for line in ["ingest cases.csv --source ehr", "dataset list"] {
        let mut command = s3.command(line);
        command.env("RUST_LOG", "debug");
        let run = Run::of(line, command).exits(1);
        let reason = run.reason();
        assert!(reason.contains("127.0.0.1") && reason.contains("run the command again"), "{reason}");
        assert!(!run.stderr.contains(SECRET_KEY), "a secret in the log");
    }
    let found = s3.run("doctor --json").exits(3).json();
    assert!(found.to_string().contains("\"check\":\"storage\""), "{found}");
    s3.server.restart();
    assert_eq!(s3.json("ingest cases.csv --source ehr")["accepted"], 200);
    assert_eq!(s3.json("doctor")["well"], true);
}

#[test]
fn doctor_says_when_a_storage_does_not_keep_its_promises() {
    let s3 = OnS3::start(Manner::Careless);
    let found = s3.run("doctor --json").exits(3).json();
    let wrong =
        found["checks"].as_array().unwrap().iter().find(|finding| finding["state"] == "wrong").unwrap();
    assert_eq!(wrong["check"], "storage");
    assert!(wrong["message"].as_str().unwrap().contains("8 of 8 writers"), "{wrong}");
}
