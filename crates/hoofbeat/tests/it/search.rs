//! A search: shown, kept, killed and taken up again; the seed decides the winner, not the clock.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::{Deployment, replaced, small_study};

const TRIALS: usize = 8;

/// A small cohort and a study whose search is over soon.
fn deployment() -> Deployment {
    let study = [
        ("startup = 10", "startup = 4"),
        ("in_flight = 4", "in_flight = 2"),
        ("warmup_trials = 5", "warmup_trials = 2"),
        ("warmup_rounds = 20", "warmup_rounds = 10"),
        ("every = 10", "every = 5"),
        ("# resampling = [", "resampling = ["),
    ]
    .into_iter()
    .fold(small_study(), |study, (from, to)| replaced(&study, from, to));
    let deployment = Deployment::with_study(&study);
    let brief = deployment.read("hoofbeat.toml") + "[registry]\nlease_seconds = 3\n";
    deployment.write("hoofbeat.toml", &brief);
    deployment.ok("synth --rows 5000 --seed 4 --out cohort.csv");
    deployment.ok("ingest cohort.csv --source reference");
    deployment
}

fn line(trials: usize) -> String {
    format!("train --learner xgboost --trials {trials} --seed 3 --json")
}

/// The trials without what the clock decides.
fn timeless(search: &Value) -> Value {
    let mut trials = search["trials"].clone();
    for trial in trials.as_array_mut().unwrap() {
        assert!(trial["seconds"].as_f64().unwrap() > 0.0);
        trial.as_object_mut().unwrap().remove("seconds");
    }
    json!({ "trials": trials, "winner": search["summary"]["winner"], "parameters": search["summary"]["parameters"] })
}

/// The command under way, and the lines that it says.
fn under_way(deployment: &Deployment, line: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut command = deployment.command(line.split(' '));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

#[test]
fn a_killed_search_goes_on_and_finds_the_same_winner() {
    let whole = deployment();
    let killed = whole.copy();
    // A gate may miss its bar on so few cases; the model is made all the same.
    let uninterrupted = whole.run(&line(TRIALS));
    assert!([0, 3].contains(&uninterrupted.code), "{}", uninterrupted.stderr);
    let expected = uninterrupted.json();
    let search = &expected["search"];
    assert_eq!(search["trials"].as_array().unwrap().len(), TRIALS);
    assert_eq!(search["summary"]["trials"], TRIALS);
    assert_eq!(search["summary"]["resumed"], 0);
    assert_eq!(search["trials"][0]["settings"]["eta"], 0.3, "the study's own settings come first");
    assert_eq!(expected["training"]["parameters"], search["summary"]["parameters"]);
    let method = |trial: &Value| trial["shared"]["resampling"].as_str().unwrap().to_owned();
    let methods: Vec<String> = search["trials"].as_array().unwrap().iter().map(method).collect();
    assert_eq!(methods[0], "none", "the study's own choice comes first");
    assert!(methods.contains(&"smote_nc".to_owned()), "{methods:?}");
    let won = &methods[search["summary"]["winner"]["number"].as_u64().unwrap() as usize];
    assert_eq!(expected["training"]["resampling"], **won);
    assert_eq!(expected["training"]["imbalance"]["method"].as_str().unwrap_or("none"), won);
    assert_eq!(uninterrupted.stderr.lines().filter(|line| line.starts_with("trial ")).count(), TRIALS);
    assert!(uninterrupted.stderr.contains("best 0."), "the best so far is shown:\n{}", uninterrupted.stderr);

    // Killed twice, each time after another trial has been kept.
    for kept in [1, 3] {
        let (mut child, mut lines) = under_way(&killed, &line(TRIALS));
        let mut seen: Vec<String> = Vec::new();
        while killed_after(&seen) < kept {
            seen.push(lines.next().unwrap_or_else(|| panic!("it ended by itself:\n{}", seen.join("\n"))));
        }
        let refused = killed.run(&line(TRIALS)).exits(1);
        assert!(refused.reason().contains("in another process"), "{}", refused.reason());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let left = killed.json("run show");
    assert_eq!(left["run"]["state"], "running");
    let left = left["trials"].as_array().unwrap().len();
    assert!((4..TRIALS).contains(&left), "{left} trials were kept");

    let resumed = killed.run(&line(TRIALS));
    assert_eq!(resumed.code, uninterrupted.code, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("going on with run"), "{}", resumed.stderr);
    let found = resumed.json();
    assert_eq!(found["search"]["summary"]["resumed"], left);
    assert_eq!(timeless(&found["search"]), timeless(search));
    assert_eq!(found["validation"], expected["validation"]);
    for file in ["models/member-0.ubj", "models/member-4.ubj", "table.bin.zst"] {
        let of = |deployment: &Deployment| {
            std::fs::read(deployment.path("hoofbeat-data/models/m-0001").join(file)).unwrap()
        };
        assert!(of(&whole) == of(&killed), "{file} differs");
    }
    killed.assert_well();

    // It has ended: the same command is a new run, which finds the same.
    let again = killed.run(&line(TRIALS));
    assert!(!again.stderr.contains("going on"), "{}", again.stderr);
    assert_eq!(timeless(&again.json()["search"]), timeless(search));
    assert_eq!(killed.json("run list").as_array().unwrap().len(), 2);
}

/// Trials that were kept, by what was said.
fn killed_after(seen: &[String]) -> usize {
    seen.iter().filter(|line| line.starts_with("trial ")).count()
}

#[test]
fn a_full_retraining_searches_and_goes_on_with_the_trials_of_a_killed_one() {
    let whole = deployment();
    whole.run("train --seed 3");
    whole.ok("model promote m-0001 --override-gates --reason trying");
    whole.ok("synth --rows 1000 --seed 5 --out more.csv");
    whole.ok("ingest more.csv --source reference");
    let refused = whole.run("retrain --mode incremental --trials 5").exits(1);
    assert!(refused.reason().contains("belong to --mode full"), "{}", refused.reason());
    let killed = whole.copy();
    let done = |deployment: &Deployment, line: &str| {
        let run = deployment.run(line);
        // A gate may miss its bar on so few cases; what was searched is recorded all the same.
        assert!([0, 3].contains(&run.code), "{}", run.stderr);
        run.json()
    };
    let line = format!("retrain --mode full --learner xgboost --trials {TRIALS} --json");
    let rehearsed = done(&whole, &format!("{line} --dry-run"));
    assert_eq!(whole.json("run list").as_array().unwrap().len(), 1, "a dry run stores nothing");
    let turn = done(&whole, &line);
    let found = &turn["search"];
    assert_eq!((&found["trials"], &found["resumed"]), (&json!(TRIALS), &json!(0)));
    assert_eq!(rehearsed["search"], *found);
    let change = &whole.json("model history")["changes"][0];
    assert_eq!(change["evidence"]["search"], json!({ "asked": "xgboost", "found": found }));
    let shown = whole.json("model show m-0002");
    assert_eq!(shown["best_trials"][0]["metric"], found["winner"]["best_metric"]);
    assert_eq!(whole.json("model reproduce m-0002")["identical"], true);

    let (mut child, mut lines) = under_way(&killed, &line);
    let mut seen: Vec<String> = Vec::new();
    while killed_after(&seen) < 3 {
        seen.push(lines.next().unwrap_or_else(|| panic!("it ended by itself:\n{}", seen.join("\n"))));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let again = done(&killed, &line);
    let resumed = again["search"]["resumed"].as_u64().unwrap();
    // The last one may have been killed between being told and being kept.
    assert!((2..TRIALS as u64).contains(&resumed), "{resumed} trials were taken over");
    for fact in ["winner", "parameters", "trials"] {
        assert_eq!(again["search"][fact], found[fact], "{fact}");
    }
    assert_eq!(again["challenger"]["compared"], turn["challenger"]["compared"]);
    let runs = killed.json("run list");
    assert_eq!((&runs[1]["state"], &runs[0]["state"]), (&json!("failed"), &json!("succeeded")));
    assert!(runs[1]["error"].as_str().unwrap().contains("interrupted"), "{runs}");
    let trials = killed.json("run show")["trials"].as_array().unwrap().len();
    assert_eq!(trials, TRIALS);
    killed.assert_well();
}

#[test]
fn a_study_says_whether_full_retrainings_search() {
    let deployment = deployment();
    deployment.run("train --seed 3");
    deployment.ok("model promote m-0001 --override-gates --reason trying");
    deployment.ok("synth --rows 1000 --seed 5 --out more.csv");
    deployment.ok("ingest more.csv --source reference");
    let rehearsed = |deployment: &Deployment, more: &str| {
        let run = deployment.run(&format!("retrain --mode full --dry-run --json {more}"));
        assert!([0, 3].contains(&run.code), "{}", run.stderr);
        run.json()
    };
    assert_eq!(rehearsed(&deployment, "").get("search"), None, "it was not asked to");
    let study = deployment.read("study.toml");
    let asks =
        replaced(&study, "# [cycle.full]\n# trials = 50 ", "[cycle.full]\nlearner = \"mlp\"\ntrials = 2 ");
    let asks = replaced(&asks, "epochs = ", "epochs = 2 # ");
    deployment.write("study.toml", &asks);
    let found = &rehearsed(&deployment, "")["search"];
    assert_eq!((&found["trials"], &found["parameters"]["learner"]), (&json!(2), &json!("mlp")));
    // Who asks by hand says more than the study.
    assert_eq!(rehearsed(&deployment, "--trials 0 --learner xgboost").get("search"), None);
}

#[test]
fn trials_are_shown_by_run_and_by_model_and_none_are_made_unasked() {
    let deployment = deployment();
    let plain = deployment.run("train --seed 3 --json");
    assert!(plain.json().get("search").is_none());
    let none = deployment.json("run show");
    assert_eq!(none["trials"], json!([]));
    assert_eq!(none["run"]["parameters"]["parameters"]["learner"], "xgboost");

    let searched = deployment.run(&line(3)).json();
    let winner = &searched["search"]["summary"]["winner"];
    let facts = deployment.json("model show m-0002");
    let best = facts["best_trials"].as_array().unwrap();
    assert_eq!(best[0]["metric"], winner["best_metric"]);
    assert!(best.iter().all(|trial| trial["state"] == "complete"));
    let text = deployment.ok("model show m-0002");
    assert!(text.contains("best trials of the search") && text.contains("xgboost bins "), "{text}");
    let text = deployment.ok("run list");
    assert!(
        text.contains("search of 3 trials, learner xgboost")
            && text.contains("xgboost as the study plans it"),
        "{text}"
    );
    let first = deployment.json("run list")[1]["id"].as_str().unwrap().to_owned();
    assert_eq!(deployment.json(&format!("run show {first}"))["trials"], json!([]));
    let text = deployment.ok("run show");
    assert_eq!(
        text.lines().filter(|line| line.contains("complete") || line.contains("given up")).count(),
        3,
        "{text}"
    );
    assert!(deployment.run("run show nothing").exits(1).reason().contains("no run nothing"));
}

#[test]
fn a_space_that_the_learner_does_not_have_is_refused_before_anything_is_made() {
    let study = replaced(&small_study(), "[search.mlp]\nhidden", "[search.mlp]\nlayers");
    let deployment = Deployment::with_study(&study);
    let refused = deployment.run("train --trials 5").exits(1);
    assert!(
        refused.reason().contains("[search.mlp], `layers`: unknown field `layers`"),
        "{}",
        refused.reason()
    );
}
