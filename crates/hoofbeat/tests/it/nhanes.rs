//! Real people's data through the whole line, unedited, and data that are wrong in every way that exports are.
//!
//! The expected counts were taken from the files by a separate script (docs/nhanes.md).

use serde_json::{Value, json};

use crate::harness::{Deployment, replaced, sample, small_study};

/// A deployment with the sample's own study.
fn survey() -> Deployment {
    Deployment::with_study(&std::fs::read_to_string(sample("nhanes/nhanes.study.toml")).unwrap())
}

fn ingest(deployment: &Deployment, cycle: &str) -> Value {
    let file = sample(&format!("nhanes/nhanes_{}.csv.gz", cycle.replace('-', "_")));
    let map = sample(&format!("nhanes/nhanes-{cycle}.map.toml"));
    deployment.json(&format!("ingest {} --source nhanes-{cycle} --map {}", file.display(), map.display()))
}

/// Trains and evaluates: done, but the gates do not hold, and the product says that the inputs cannot do it.
fn assert_insufficient(deployment: &Deployment) -> Value {
    let trained = deployment.run("train --json").exits(3).json();
    assert_eq!(trained["gates_hold"], false);
    let evaluated = deployment.run("evaluate m-0001 --set test --json").exits(3).json();
    let report = evaluated["report"].clone();
    assert_eq!(report["inputs"]["inputs"], "insufficient", "{}", report["inputs"]);
    let text = deployment.run("evaluate m-0001").exits(3).stdout;
    assert!(text.contains("THE INPUTS ARE INSUFFICIENT"), "{text}");
    report
}

#[test]
fn nhanes_2013_2014_is_read_unedited_and_said_to_be_too_little() {
    let deployment = survey();
    let report = ingest(&deployment, "2013-2014");
    assert_eq!((&report["accepted"], &report["refused"]), (&json!(5_689), &json!(424)));
    assert_eq!(report["skipped"], json!({ "under 18": 4_062 }));
    assert_eq!(
        report["refused_by_reason"],
        json!({
            "systolic_mmhg:missing": 397, "diastolic_mmhg:missing": 413,
            "diastolic_mmhg:out_of_range": 9, "exercise_days_per_month:missing": 2,
        })
    );
    let again = ingest(&deployment, "2013-2014");
    assert_eq!(
        (&again["accepted"], &again["duplicates"], &again["quarantined"]),
        (&json!(0), &json!(5_689), &json!(0))
    );

    let figures = assert_insufficient(&deployment);
    let macro_f1 = &figures["macro_f1"];
    let at = |end: &str| macro_f1[end].as_f64().unwrap();
    assert!(at("low") < at("value") && at("value") < at("high"), "{macro_f1}");
    assert!((0.2..0.55).contains(&at("value")), "{macro_f1}");
    // Of 24 orphan patients some three are in the test set: no verdict may rest on them.
    let verdicts = figures["gates"].as_array().unwrap();
    let orphan = verdicts.iter().find(|verdict| verdict["rule"]["metric"] == "orphan_recall").unwrap();
    assert_eq!(orphan["outcome"], "undetermined", "{orphan}");

    // Whoever promotes it all the same has every answer say so.
    deployment.ok("model promote m-0001 --override-gates --reason trial");
    let server = crate::harness::Server::start(&deployment);
    let answer = server.client().predict(&json!({
        "age_years": 54, "gender": "female", "systolic_mmhg": 138, "diastolic_mmhg": 86, "exercise_days_per_month": 6,
    }));
    let warnings: Vec<&Value> = answer["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert!(
        warnings.contains(&&json!("inputs_insufficient")) && warnings.contains(&&json!("gates_failed")),
        "{answer}"
    );
    assert_eq!(
        answer["explanation"]["contributions"].as_array().unwrap().len(),
        4,
        "there is no blood group"
    );
}

#[test]
fn nhanes_2003_2004_has_classes_that_nobody_is_in() {
    let deployment = survey();
    let report = ingest(&deployment, "2003-2004");
    assert_eq!((&report["accepted"], &report["refused"]), (&json!(4_350), &json!(691)));
    assert_eq!(report["skipped"], json!({ "under 20": 5_081 }));
    assert_eq!(
        report["refused_by_reason"],
        json!({ "systolic_mmhg:missing": 639, "diastolic_mmhg:missing": 677, "diastolic_mmhg:out_of_range": 14 })
    );
    let trained = deployment.run("train --json").exits(3).json();
    assert_eq!(trained["training"]["unconfirmed"], 61);
    let figures = &deployment.run("evaluate m-0001 --json").exits(3).json()["report"];
    // Nobody is an orphan patient: there is no recall, and it says why.
    for figure in ["orphan_recall", "orphan_average_precision"] {
        let undefined = figures[figure]["undefined"].as_str();
        assert!(undefined.is_some_and(|because| !because.is_empty()), "{figure}: {}", figures[figure]);
    }
    assert!(!figures.to_string().contains("NaN"));
}

#[test]
fn a_dirty_file_is_quarantined_row_by_row() {
    let deployment = Deployment::empty();
    let dirty = sample("dirty/dirty.csv");
    let report = deployment.json(&format!("ingest {} --source dirty", dirty.display()));
    // Of the good rows one repeats another's identifier.
    assert_eq!(
        (&report["accepted"], &report["duplicates"], &report["refused"]),
        (&json!(6), &json!(1), &json!(32))
    );
    let rows = deployment.json("dataset quarantine --limit 1000");
    let reasons = |line: u64| {
        let row = rows.as_array().unwrap().iter().find(|row| row["row"] == line);
        row.unwrap_or_else(|| panic!("line {line} is not in quarantine"))["reasons"].clone()
    };
    assert_eq!(rows.as_array().unwrap().len(), 32);
    for (line, what, expected) in [
        (4, "a negative pressure", json!(["systolic_mmhg:out_of_range"])),
        (5, "zero pressures", json!(["systolic_mmhg:out_of_range", "diastolic_mmhg:out_of_range"])),
        (6, "16020", json!(["systolic_mmhg:out_of_range"])),
        (7, "a swapped pair", json!(["systolic_mmhg:inconsistent"])),
        (9, "an age in days", json!(["age_years:out_of_range"])),
        (11, "unknown codes", json!(["gender:unknown_code", "blood_type:unknown_code"])),
        (13, "a short row", json!(["row:inconsistent"])),
    ] {
        assert_eq!(reasons(line), expected, "{what}");
    }
    let at_once = reasons(28);
    assert_eq!(at_once.as_array().unwrap().len(), 10, "{at_once}");
    let counted: u64 =
        report["refused_by_reason"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let named: usize =
        rows.as_array().unwrap().iter().map(|row| row["reasons"].as_array().unwrap().len()).sum();
    assert_eq!(counted, named as u64);
    // Without training data enough, training says so.
    let refused = deployment.run("train").exits(1);
    assert!(!refused.reason().is_empty());
    deployment.assert_well();
}

#[test]
fn the_epidemiology_preset_does_not_look_green() {
    // The contract's gates, with fewer rounds.
    let study = ["0.50", "0.10"].iter().zip(["0.85", "0.70"]).fold(small_study(), |text, (from, to)| {
        replaced(&text, &format!("at_least = {from}"), &format!("at_least = {to}"))
    });
    let deployment = Deployment::with_study(&study);
    deployment.ok("synth --rows 6000 --seed 1 --preset epidemiology --out cases.csv");
    deployment.ok("ingest cases.csv --source reference");
    let report = assert_insufficient(&deployment);
    assert_eq!(report["truth"]["preset"], "epidemiology");
    assert_eq!(deployment.run("model promote m-0001").exits(3).stderr, "");
}
