//! `hoofbeat up` with the built-in study: from nothing to a ready server, and straight to it ever after.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Deployment, Dice, Server, random_patient, small_study};

/// Seventy per cent of them, 10,000, are for training.
const ROWS: &str = "14286";
/// The promises, in the processor's time, which other work on the machine hardly changes: ready after two minutes of it
/// at the first start, and (in release) after one second at any other.
const FIRST: Duration = Duration::from_secs(120);
const SECOND: Duration = Duration::from_secs(5);

#[test]
fn the_first_run_makes_a_champion_near_the_best_possible_one() {
    let deployment = Deployment::empty();
    let server = Server::up(&deployment, ROWS);
    assert!(server.cpu() < FIRST, "the first run took {:?}", server.cpu());
    let said = server.said();
    for word in ["made-up patients", "no medical knowledge", "training", "m-0001 is the champion"] {
        assert!(said.contains(word), "`up` does not say `{word}`:\n{said}");
    }
    let answer = server.client().predict(&random_patient(&mut Dice(1)));
    assert_eq!(answer["model"]["version"], "m-0001");
    server.stop();

    // Scored exactly, over every possible patient, against the best rule that there can be.
    let shown = deployment.json("model show");
    assert_eq!(shown["model"]["stage"], "champion");
    let truth = &shown["validation"]["truth"];
    assert!(truth["macro_f1_regret"].as_f64().unwrap() <= 0.010, "{truth}");
    assert!(truth["orphan_ap_regret"].as_f64().unwrap() <= 0.05, "{truth}");
    assert_eq!(shown["validation"]["inputs"]["inputs"], "sufficient", "{}", shown["validation"]["inputs"]);

    let server = Server::up(&deployment, ROWS);
    assert!(server.cpu() < SECOND, "the second start took {:?}", server.cpu());
    assert!(!server.said().contains("training"), "{}", server.said());
    let again = server.client().predict(&random_patient(&mut Dice(1)));
    assert_eq!((&again["severity"], &again["rarity"]), (&answer["severity"], &answer["rarity"]));
    server.stop();
    deployment.assert_well();
}

#[test]
fn a_first_run_that_was_killed_goes_on_where_it_stopped() {
    let deployment = Deployment::empty();
    let mut command = deployment.command(["up", "--listen", "127.0.0.1:0", "--rows", ROWS]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.into_iter().any(|line| line.starts_with("training on dataset version 1")));
    child.kill().unwrap();
    child.wait().unwrap();
    deployment.assert_well();

    let server = Server::up(&deployment, ROWS);
    assert!(!server.said().contains("made-up patients"), "the cohort was made again:\n{}", server.said());
    server.client().predict(&random_patient(&mut Dice(1)));
    server.stop();
    let versions = deployment.json("dataset list");
    assert_eq!((versions.as_array().unwrap().len(), &versions[0]["totals"]["rows"]), (1, &json!(14_286)));
    deployment.assert_well();
}

#[test]
fn a_study_of_ones_own_needs_data_of_ones_own() {
    let deployment = Deployment::with_study(&small_study());
    let refused = deployment.run("up --listen 127.0.0.1:0").exits(1);
    assert!(refused.reason().contains("hoofbeat ingest"), "{}", refused.reason());
}
