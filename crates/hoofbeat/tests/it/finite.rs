//! What only a finite domain allows, at the command line: every possible patient verified, two models compared
//! answer by answer, a model made again, its parts handed out, its card written.

use serde_json::{Value, json};

use crate::harness::{Answered, Deployment, POSSIBLE_PATIENTS, replaced, rows, small_study, table, trained};

/// People of the shared cohort's first dataset version: every case of the reference cohort is confirmed.
const PEOPLE: u64 = 6_000;

#[test]
fn verification_walks_every_possible_patient_and_weighs_them_by_people() {
    let verified = trained().json("model verify m-0001");
    let found = &verified["verification"];
    assert_eq!((&verified["holds"], &verified["dataset_version"]), (&json!(true), &json!(1)));
    assert_eq!((&found["patients"], &found["people"]), (&json!(POSSIBLE_PATIENTS), &json!(PEOPLE)));
    let alarmed = table("m-0001").rows().filter(|row| row.rarity == "orphan").count();
    assert_eq!(found["alarmed"], alarmed);

    // Every group's people add up, and the answers' means are those of the exported table.
    for by in found["groups"].as_array().unwrap() {
        let groups = by["groups"].as_array().unwrap();
        let people: u64 = groups.iter().map(|group| group["people"].as_u64().unwrap()).sum();
        assert_eq!(people, PEOPLE, "{}", by["feature"]);
    }
    let features: Vec<&Value> = found["groups"].as_array().unwrap().iter().map(|by| &by["feature"]).collect();
    assert_eq!(features, ["age", "gender", "blood_type"]);
    let swapped: Vec<&Value> = found["swaps"].as_array().unwrap().iter().map(|by| &by["feature"]).collect();
    assert_eq!(swapped, ["gender", "blood_type"]);

    // The worst swap of gender is what the table says of the two patients.
    let swap = &found["swaps"][0]["named"][0];
    let answer = |gender: &str| {
        let mut patient = swap["patient"]["values"].clone();
        patient["gender"] = json!(gender);
        // The table is asked with pressures: any that lie in the category.
        let pressures = [
            ("normal", 110, 70),
            ("elevated", 125, 70),
            ("stage_1", 135, 70),
            ("stage_2", 150, 70),
            ("crisis", 190, 70),
        ];
        let (_, systolic, diastolic) = pressures.iter().find(|p| patient["blood_pressure"] == p.0).unwrap();
        patient["systolic_mmhg"] = json!(systolic);
        patient["diastolic_mmhg"] = json!(diastolic);
        table("m-0001").of(&patient)
    };
    let (own, other) = (swap["patient"]["values"]["gender"].as_str().unwrap(), swap["to"].as_str().unwrap());
    assert_ne!(own, other);
    let largest = change(answer(own), answer(other));
    assert!((largest - swap["difference"].as_f64().unwrap().abs()).abs() < 1e-12, "{swap}");
    assert_eq!(swap["status"], json!([answer(own).severity, answer(other).severity]));

    let text = trained().ok("model verify m-0001");
    for word in [
        "neighbours along a number",
        "people by gender",
        "with another blood_type",
        "Age ",
        "declared limits",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

/// The largest change of a probability between two answers.
fn change(a: &Answered, b: &Answered) -> f64 {
    let severities = a.probabilities.iter().zip(&b.probabilities).map(|(a, b)| (a - b).abs());
    severities.chain([(a.orphan - b.orphan).abs()]).fold(0.0, f64::max)
}

#[test]
fn a_limit_that_is_a_gate_fails_the_verification_and_the_model() {
    let deployment = trained().copy();
    let strict =
        replaced(&small_study(), "jump = { at_most = 0.40 } ", "jump = { at_most = 0.01, gate = true } ");
    deployment.write("study.toml", &replaced(&strict, "rounds = 60", "rounds = 4"));
    // Training verifies too: a candidate whose answers jump does not pass its gates.
    let trained = deployment.run("train --dataset-version 1 --seed 3 --json").exits(3).json();
    assert_eq!(trained["gates_hold"], false);
    let verified = deployment.run("model verify m-0003 --json").exits(3).json();
    assert_eq!(verified["holds"], false);
    let bounds = verified["verification"]["bounds"].as_array().unwrap();
    let jump = bounds.iter().find(|bound| bound["kind"] == "jump").unwrap();
    assert_eq!((&jump["holds"], &jump["gate"]), (&json!(false), &json!(true)));
    assert!(jump["found"].as_f64().unwrap() > 0.01);
    assert!(deployment.run("model verify m-0003").exits(3).stdout.contains("FAILS"));
}

#[test]
fn a_difference_is_what_the_two_tables_say() {
    let deployment = trained().copy();
    let compared = deployment.json("model diff m-0001 m-0002 --table changed.csv");
    let (first, second) = (table("m-0001"), table("m-0002"));
    let differs = |(a, b): &(&Answered, &Answered)| {
        a.severity != b.severity || (a.rarity == "orphan") != (b.rarity == "orphan")
    };
    let changed = first.rows().zip(second.rows()).filter(differs).count();
    assert!(changed > 0);
    let found = &compared["difference"];
    assert_eq!((&found["changed"]["patients"], &compared["rows"]), (&json!(changed), &json!(changed)));
    assert_eq!(
        found["all"],
        json!({ "patients": POSSIBLE_PATIENTS, "people": 8_000 }),
        "the second model's people"
    );
    let gained =
        first.rows().zip(second.rows()).filter(|(a, b)| a.rarity != "orphan" && b.rarity == "orphan").count();
    assert_eq!(found["alarm_gained"]["patients"], gained);
    let sum = |member: &str| -> u64 {
        let rows = found["transitions"].as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().unwrap()).map(|extent| extent[member].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("patients"), sum("people")), (POSSIBLE_PATIENTS as u64, 8_000));
    let largest = first.rows().zip(second.rows()).map(|(a, b)| change(a, b)).fold(0.0, f64::max);
    let worst = found["named"][0]["probability"].as_array().unwrap();
    assert!(((worst[0].as_f64().unwrap() - worst[1].as_f64().unwrap()).abs() - largest).abs() < 1e-12);

    // The listed patients are those that change, with their people and both answers.
    let listed = rows(&deployment.read("changed.csv"));
    assert_eq!(listed.len(), changed);
    let people: u64 = listed.iter().map(|row| row["people"].as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(found["changed"]["people"], people);
    for row in &listed {
        let alarm = |side: &str| row[format!("{side}_rarity")] == "orphan";
        assert!(row["from_severity"] != row["to_severity"] || alarm("from") != alarm("to"), "{row}");
    }
    // Other people, the same answers.
    let others = deployment.json("model diff m-0001 m-0002 --dataset-version 1");
    assert_eq!(others["difference"]["all"]["people"], PEOPLE);
    assert_eq!(others["difference"]["changed"]["patients"], changed);
    let same = deployment.json("model diff m-0001 m-0001");
    assert_eq!(same["difference"]["changed"], json!({ "patients": 0, "people": 0 }));
    let text = deployment.ok("model diff m-0001 m-0002");
    for word in ["status or alarm changes", "to chronic", "gender female", "largest shifts among people"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

#[test]
fn a_model_is_made_again_byte_for_byte_and_other_data_are_found_out() {
    let deployment = trained().copy();
    let folder = || std::fs::read_dir(deployment.path("hoofbeat-data")).unwrap().count();
    let before = folder();
    let again = deployment.json("model reproduce m-0001");
    let found = &again["reproduction"];
    assert_eq!((&again["identical"], &found["digests"][0]), (&json!(true), &found["digests"][1]));
    assert!(found["files"].as_array().unwrap().iter().all(|file| file["outcome"] == "same"), "{found}");
    assert_eq!(found["manifest"], json!([]));
    assert_eq!(folder(), before, "the temporary bundle is left behind");
    assert_eq!(deployment.json("model list").as_array().unwrap().len(), 2, "nothing is registered");

    // The same dataset version of another hospital: every file that the data decide differs, and how far is said.
    let other = Deployment::with_study(&small_study());
    other.ok("synth --rows 6000 --seed 9 --out other.csv");
    other.ok("ingest other.csv --source reference");
    let lake = |deployment: &Deployment| deployment.path("hoofbeat-data").join("lake");
    std::fs::remove_dir_all(lake(&deployment)).unwrap();
    std::fs::rename(lake(&other), lake(&deployment)).unwrap();
    let run = deployment.run("model reproduce m-0001 --json").exits(3).json();
    let found = &run["reproduction"];
    assert_eq!(run["identical"], false);
    let file =
        |name: &str| found["files"].as_array().unwrap().iter().find(|file| file["name"] == name).unwrap();
    assert_eq!(file("study.toml")["outcome"], "same");
    assert_eq!(file("table.bin.zst")["outcome"], "differs");
    let moved = file("report.json")["moved"].as_array().unwrap();
    assert!(moved.iter().any(|moved| moved["place"] == "/training/cohort"), "{moved:?}");
    assert!(found["answers"]["patients"].as_u64().unwrap() > 0, "{}", found["answers"]);
    let text = deployment.run("model reproduce m-0001").exits(3).stdout;
    assert!(text.contains("NOT IDENTICAL") && text.contains("holds other cases"), "{text}");
}

#[test]
fn boosters_leave_in_their_own_form_with_what_is_needed_to_use_them() {
    let deployment = trained().copy();
    let exported = deployment.json("model export m-0001 --boosters out");
    let files = exported["boosters"].as_array().unwrap();
    let bundle = deployment.path("hoofbeat-data/models/m-0001");
    for file in files {
        let name = file["file"].as_str().unwrap();
        let written = std::fs::read(deployment.path("out").join(name)).unwrap();
        assert_eq!(written, std::fs::read(bundle.join(file["from"].as_str().unwrap())).unwrap(), "{name}");
    }
    let names: Vec<&str> = files.iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"m-0001-preprocessor.json") && names.contains(&"m-0001-calibration.json"),
        "{names:?}"
    );
    let boosters = names.iter().filter(|name| name.starts_with("m-0001-xgboost-member-")).count();
    assert_eq!(boosters, 5, "one per fold: {names:?}");
    let about: Value = serde_json::from_str(&deployment.read("out/m-0001-boosters.json")).unwrap();
    assert_eq!(about["columns"].as_array().unwrap().len(), 13);
    assert_eq!(about["columns"][0]["name"], "age");
    assert!(about["classes"]["groups"].as_array().unwrap().len() >= 4);
    deployment.run("model export m-0001").exits(2);
}

#[test]
fn a_card_tells_data_figures_and_limits_in_both_languages() {
    let deployment = trained().copy();
    let spanish = deployment.ok("model card m-0001");
    assert!(spanish.starts_with("# Ficha del modelo m-0001"), "{spanish}");
    let english = deployment.ok("model card m-0001 --lang en");
    assert!(english.starts_with("# Model card m-0001"));
    let digest = deployment.json("model show m-0001")["model"]["bundle_digest"].clone();
    for card in [&spanish, &english] {
        assert!(card.contains(digest.as_str().unwrap()));
        assert!(card.contains("first.csv") && card.contains("(7)(i)") && card.contains("| 27c |"), "{card}");
        for key in ["card-", "onc-", "tripod-", "bound-", "undefined-", "NaN"] {
            assert!(!card.contains(key), "{key} is in\n{card}");
        }
    }
    // The test set's figures replace the validation set's once it was opened.
    deployment.json("evaluate m-0001 --set test");
    deployment.ok("model card m-0001 --lang en --out card.html");
    let html = deployment.read("card.html");
    assert!(
        html.starts_with("<!doctype html>") && html.contains("opened once only") && !html.contains("<script")
    );
    let written = deployment.json("model card m-0001 --out card.md");
    assert_eq!((&written["format"], &written["language"]), (&json!("markdown"), &json!("es")));
}
