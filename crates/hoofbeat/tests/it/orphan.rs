//! Confirmed orphan cases reach the served answers without a training, whole, and can be taken back.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{
    Answered, Client, Deployment, Dice, Server, Table, random_patient, replaced, small_study, trained,
};

const CLIENTS: u64 = 4;
/// Unknown to the reference cohort.
const DISEASE: &str = "ORPHA:905";
const RETRAIN: &str = "retrain --mode orphan";

/// A patient whom the reference cohort's orphan diseases do not look like.
fn patient() -> Value {
    json!({ "age_years": 9, "gender": "male", "blood_type": "AB", "systolic_mmhg": 191, "diastolic_mmhg": 124,
            "exercise_days_per_month": 30 })
}

/// Twenty confirmed cases of the disease, each of another person.
fn ingest_cases(deployment: &Deployment, name: &str) {
    let mut text = "case_id,patient_id,recorded_at,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,\
                    exercise_days_per_month,severity,rarity,disease_code,confirmed_at\n"
        .to_owned();
    for i in 0..20 {
        text += &format!("{name}-{i},p-{name}-{i},2026-03-01,{},male,AB,191,124,30,", 8 + i % 3);
        text += &format!("chronic,orphan,{DISEASE},2026-03-02\n");
    }
    deployment.write(&format!("{name}.csv"), &text);
    assert_eq!(deployment.json(&format!("ingest {name}.csv --source hospital"))["accepted"], 20);
}

/// A copy of the shared deployment whose champion knows all of its cases.
fn caught_up() -> Deployment {
    let deployment = trained().copy();
    deployment.ok("model promote m-0002");
    deployment
}

fn exported(deployment: &Deployment, version: &str) -> Table {
    deployment.ok(&format!("model export {version} --table {version}.csv"));
    Table::read(&deployment.path(&format!("{version}.csv")))
}

fn versions(deployment: &Deployment) -> usize {
    deployment.json("model list").as_array().unwrap().len()
}

fn manifest(deployment: &Deployment, version: &str) -> Value {
    let text = deployment.read(&format!("hoofbeat-data/models/{version}/manifest.json"));
    serde_json::from_str(&text).unwrap()
}

/// Asks until told to stop, everybody in turn; patients with their answers.
fn hammer(server: &Server, seed: u64, stop: &AtomicBool) -> Vec<(Value, Value)> {
    let (mut client, mut dice) = (server.client(), Dice(seed));
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let asked = if dice.below(4) == 0 { patient() } else { random_patient(&mut dice) };
        let answer = client.predict(&asked);
        answers.push((asked, answer));
    }
    answers
}

/// What a model answers to some patients, without what belongs to the moment of asking.
fn answers(client: &mut Client) -> Vec<String> {
    let mut dice = Dice(77);
    let patients = std::iter::once(patient()).chain((0..40).map(|_| random_patient(&mut dice)));
    let timeless = |asked: Value| {
        let mut answer = client.predict(&asked);
        let fields = answer.as_object_mut().unwrap();
        assert!(fields.remove("prediction_id").is_some() && fields.remove("created_at").is_some());
        answer.to_string()
    };
    patients.map(timeless).collect()
}

fn nearest(answer: &Value) -> Vec<&str> {
    let nearest = answer["rarity"]["nearest"].as_array().unwrap();
    nearest.iter().map(|one| one["disease_code"].as_str().unwrap()).collect()
}

#[test]
fn a_new_disease_is_served_under_load_whole_and_can_be_taken_back() {
    let deployment = caught_up();
    let server = Server::start(&deployment);
    let before = answers(&mut server.client());
    assert!(!before.concat().contains(DISEASE));
    let stop = AtomicBool::new(false);
    let (turn, answered) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || hammer(server, seed, stop))
            })
            .collect();
        let change = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ingest_cases(&deployment, "first");
            let turn = deployment.json(RETRAIN);
            server.wait_for_model("m-0003");
            // Everybody meets the new model, too.
            server.client().predict(&patient());
            turn
        }));
        // A few answers more by each client.
        std::thread::sleep(std::time::Duration::from_millis(200));
        stop.store(true, Ordering::Relaxed);
        let answered: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (change.unwrap(), answered)
    });
    assert_eq!((&turn["champion"], &turn["challenger"]["model"]), (&json!("m-0002"), &json!("m-0003")));
    assert_eq!(
        (&turn["challenger"]["promoted"], &turn["challenger"]["gates_hold"]),
        (&json!(true), &json!(true))
    );
    let (added, held_out) = (&turn["cases"]["added"], &turn["cases"]["held_out"]);
    assert_eq!(added.as_u64().unwrap() + held_out.as_u64().unwrap(), 20);
    assert_eq!(turn["cases"]["diseases"], json!({ DISEASE: added }));

    // Every answer is wholly one model's, and every client met both.
    let tables = ["m-0002", "m-0003"].map(|version| (version, exported(&deployment, version)));
    for of_client in &answered {
        for (version, table) in &tables {
            let dataset = if *version == "m-0002" { 2 } else { 3 };
            let its = of_client.iter().filter(|(_, answer)| answer["model"]["version"] == *version);
            let its: Vec<_> = its.collect();
            assert!(!its.is_empty(), "a client never met {version}");
            for (asked, answer) in its {
                let (told, exported) = (Answered::of_answer(answer), table.of(asked));
                assert!(told.agrees(exported, 1e-12), "{version} does not answer {told:?} but {exported:?}");
                assert_eq!(answer["model"]["dataset_version"], dataset);
                let knows = nearest(answer).contains(&DISEASE);
                assert!(!knows || dataset == 3, "{version} names a disease that it cannot know");
                assert!(knows || dataset == 2 || *asked != patient(), "{version} does not name {DISEASE}");
            }
        }
        let known =
            |(_, answer): &(Value, Value)| tables.iter().any(|(v, _)| answer["model"]["version"] == *v);
        assert!(of_client.iter().all(known));
    }
    let mut client = server.client();
    for (_, answer) in answered.iter().filter_map(|of_client| of_client.last()) {
        let id = answer["prediction_id"].as_str().unwrap();
        assert_eq!(client.get(&format!("/api/v1/predictions/{id}")).json()["rarity"], answer["rarity"]);
    }
    // Told of the disease, first of all, and suspected of it.
    let answer = client.predict(&patient());
    assert_eq!((nearest(&answer)[0], &answer["rarity"]["class"]), (DISEASE, &json!("orphan")));

    deployment.ok("model rollback");
    server.wait_for_model("m-0002");
    assert_eq!(answers(&mut client), before, "rolled back, the old answers come back to the byte");
    server.stop();
    deployment.assert_well();
}

#[test]
fn a_revision_is_decided_by_its_cases_and_says_where_it_comes_from() {
    let deployment = caught_up();
    ingest_cases(&deployment, "first");
    let rehearsed = deployment.json(&format!("{RETRAIN} --dry-run"));
    assert_eq!((&rehearsed["challenger"]["model"], versions(&deployment)), (&Value::Null, 2));
    assert_eq!(deployment.json("model show")["model"]["version"], "m-0002");
    let turn = deployment.json(RETRAIN);
    let figures = |turn: &Value| (turn["cases"].clone(), turn["challenger"]["compared"].clone());
    assert_eq!(figures(&rehearsed), figures(&turn));

    let [parent, child] = ["m-0002", "m-0003"].map(|version| manifest(&deployment, version));
    let lineage = &child["lineage"];
    assert_eq!((&lineage["mode"], &lineage["parent"]), (&json!("orphan"), &json!("m-0002")));
    assert_eq!(lineage["cases_added"], turn["cases"]["added"].to_string());
    assert_eq!(lineage["cases_since_dataset_version"], "2");
    for (name, digest) in parent["files"].as_object().unwrap() {
        let follows = ["few-shot/", "table", "healthy", "nearest", "report"];
        let same = child["files"][name] == *digest;
        let follows = follows.iter().any(|start| name.starts_with(start)) && !name.contains("embedding");
        assert_eq!(same, !follows, "{name}");
    }
    let shown = deployment.json("model show m-0003");
    assert_eq!(shown["run"]["parameters"]["parent"], "m-0002");
    assert_eq!(shown["validation"]["dataset_version"], 3);

    let reproduced = deployment.json("model reproduce m-0003");
    assert_eq!(reproduced["identical"], true, "{reproduced}");
    assert_eq!(reproduced["reproduction"]["origin"]["parent"], "m-0002");

    // From the same parent the same cases make the same model.
    deployment.ok("model rollback");
    deployment.json(RETRAIN);
    let again = manifest(&deployment, "m-0004");
    for file in ["table.bin.zst", "nearest.bin.zst", "few-shot/prototypes.safetensors"] {
        assert_eq!(again["files"][file], child["files"][file], "{file}");
    }
    // Nothing is counted twice.
    let nothing = deployment.json(RETRAIN);
    assert_eq!((&nothing["challenger"], &nothing["cases"]["found"]), (&Value::Null, &json!(0)));
    assert!(deployment.ok(RETRAIN).contains("nothing to learn"));
    assert_eq!(versions(&deployment), 4);

    // From twenty patients on a disease is split by itself: 14 of the next 20 are for training.
    ingest_cases(&deployment, "second");
    let turn = deployment.json(RETRAIN);
    assert_eq!((&turn["cases"]["added"], &turn["cases"]["held_out"]), (&json!(14), &json!(6)));
    assert_eq!(manifest(&deployment, "m-0005")["lineage"]["parent"], "m-0004");
    deployment.assert_well();
}

#[test]
fn a_model_whose_test_set_was_opened_hands_that_on() {
    let deployment = caught_up();
    ingest_cases(&deployment, "first");
    deployment.ok(RETRAIN);
    assert_eq!(deployment.json("model show m-0003")["test"], Value::Null);
    deployment.run("evaluate m-0003 --set test --json").exits(0);
    ingest_cases(&deployment, "second");
    deployment.ok(RETRAIN);
    let test = &deployment.json("model show m-0004")["test"];
    assert_eq!((&test["report"]["set"], &test["report"]["dataset_version"]), (&json!("test"), &json!(4)));
}

#[test]
fn gates_that_do_not_hold_keep_the_champion() {
    let strict = replaced(&small_study(), "at_least = 0.50", "at_least = 0.9999");
    let strict = replaced(&strict, "episodes = 1000", "episodes = 0");
    let deployment = Deployment::with_study(&strict);
    deployment.ok("synth --rows 3000 --seed 5 --out cases.csv");
    deployment.ok("ingest cases.csv --source reference");
    assert!(deployment.run(RETRAIN).exits(1).reason().contains("no champion"));
    deployment.run("train").exits(3);
    deployment.ok("model promote m-0001 --override-gates --reason test");
    ingest_cases(&deployment, "first");
    deployment.run(&format!("{RETRAIN} --dry-run")).exits(3);
    let turn = deployment.run(&format!("{RETRAIN} --json")).exits(3).json();
    assert_eq!(
        (&turn["challenger"]["promoted"], &turn["challenger"]["model"]),
        (&json!(false), &json!("m-0002"))
    );
    assert_eq!(deployment.json("model show")["model"]["version"], "m-0001");
    assert_eq!(deployment.json("model show m-0002")["model"]["stage"], "candidate");
}
