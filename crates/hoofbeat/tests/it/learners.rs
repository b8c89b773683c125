//! Every learner, and several processes for one model, as a user asks for them.

use serde_json::Value;

use crate::harness::{Deployment, binary, small_study, trained};
use crate::laboratory::{self, CASES};

/// What a model's bundle says of who trained it.
fn lineage(deployment: &Deployment, version: &str) -> String {
    let manifest = deployment.read(&format!("hoofbeat-data/models/{version}/manifest.json"));
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["lineage"]["learner"].as_str().unwrap().to_owned()
}

/// A study with too many possible patients for a table, and its cases.
fn without_a_table() -> Deployment {
    let deployment = Deployment::with_study(&laboratory::study());
    deployment.write("plain.toml", &small_study());
    laboratory::cohort(&deployment);
    deployment.ok("ingest laboratory.csv --source laboratory");
    deployment.write("asked.csv", CASES);
    deployment
}

/// `p_chronic` of the asked cases, as a model answers them.
fn chronic(deployment: &Deployment, version: &str) -> Vec<f64> {
    deployment.ok(&format!("predict --in asked.csv --out scored.ndjson --model {version}"));
    let scored = deployment.read("scored.ndjson");
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["p_chronic"].as_f64();
    scored.lines().filter_map(line).collect()
}

#[test]
fn every_learner_makes_a_table() {
    let deployment = trained().copy();
    for (learner, engine, file) in
        [("lightgbm", "lightgbm 4.7.0", "txt"), ("mlp", "mlp (burn 0.22.1)", "safetensors")]
    {
        let run = deployment.run(&format!("train --dataset-version 1 --learner {learner} --seed 3 --json"));
        assert_eq!(run.code, 0, "{}", run.stderr);
        let version = run.json()["model"]["version"].as_str().unwrap().to_owned();
        assert_eq!(lineage(&deployment, &version), engine);
        assert!(deployment.path(&format!("hoofbeat-data/models/{version}/models/member-4.{file}")).is_file());
        deployment.ok(&format!("model verify {version}"));
    }
    assert_eq!(lineage(&deployment, "m-0001"), "xgboost 3.4.1");
    deployment.assert_well();
}

#[test]
fn every_learner_answers_without_a_table() {
    let deployment = without_a_table();
    for learner in ["lightgbm", "mlp"] {
        let run = deployment.run(&format!("train --learner {learner} --seed 1 --json"));
        assert!([0, 3].contains(&run.code), "{}", run.stderr);
        let version = run.json()["model"]["version"].as_str().unwrap().to_owned();
        let [low, high] = chronic(&deployment, &version)[..] else { panic!("two cases are answered") };
        assert!(high > low + 0.3, "{learner}: {low} {high}");
    }
    deployment.assert_well();
}

#[test]
fn several_processes_make_the_model_of_one() {
    let deployment = without_a_table();
    for line in ["train --seed 1 --json", "train --seed 1 --workers 2 --json"] {
        let run = deployment.run(line);
        assert!([0, 3].contains(&run.code), "{}", run.stderr);
    }
    let alone = chronic(&deployment, "m-0001");
    for (alone, together) in alone.iter().zip(chronic(&deployment, "m-0002")) {
        assert!((alone - together).abs() < 1e-6, "{alone} {together}");
    }
    let reason = deployment.run("train --workers 2 --learner mlp").exits(1);
    assert!(reason.reason().contains("only xgboost"), "{}", reason.reason());

    // As configured, and with a process that is killed as soon as it begins.
    let script = "[ {rank} = 0 ] && exec \"$0\" \"$@\"; kill -9 $$";
    let launch = serde_json::json!(["sh", "-c", script, binary()]);
    let config = format!("study = \"study.toml\"\n[distributed]\nworkers = 2\nlaunch = {launch}\n");
    deployment.write("hoofbeat.toml", &config);
    let run = deployment.run("train --seed 1").exits(1);
    assert!(run.reason().contains("number 1 of 2 was ended by signal 9"), "{}", run.reason());
    let models = std::fs::read_dir(deployment.path("hoofbeat-data/models")).unwrap();
    let mut models: Vec<_> = models.map(|entry| entry.unwrap().file_name()).collect();
    models.sort();
    assert_eq!(models, ["m-0001", "m-0002"], "nothing half-made is left");
    deployment.assert_well();
}
