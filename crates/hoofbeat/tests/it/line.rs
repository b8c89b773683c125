//! The whole line at the command line: from case files to answers, each command with its exit status.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use crate::harness::{
    Answered, COLUMNS, Deployment, POSSIBLE_PATIENTS, finished, replaced, rows, small_study, table, trained,
};

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_synthetic_cohort_is_decided_by_its_seed_and_tells_its_truth() {
    let deployment = Deployment::empty();
    for (file, seed) in [("a.csv", 7), ("b.csv", 7), ("c.csv", 8)] {
        deployment.ok(&format!("synth --rows 500 --seed {seed} --truth --out {file}"));
    }
    assert_eq!(deployment.read("a.csv"), deployment.read("b.csv"));
    assert_ne!(deployment.read("a.csv"), deployment.read("c.csv"));
    let rows = rows(&deployment.read("a.csv"));
    assert_eq!(rows.len(), 500);
    for row in &rows {
        let classes =
            ["healthy", "mild", "acute", "chronic"].map(|class| number(row, &format!("true_p_{class}")));
        assert!((classes.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{row}");
        let orphan = number(row, "true_p_orphan");
        assert!((0.0..=1.0 - classes[0] + 1e-9).contains(&orphan), "{row}");
        assert_eq!(row["severity"] == "healthy", row["rarity"] == "", "{row}");
    }
    // Presets and novel diseases are other cohorts.
    for options in ["--preset hard", "--preset easy", "--preset epidemiology", "--novel"] {
        deployment.ok(&format!("synth --rows 500 --seed 7 --truth {options} --out other.csv"));
        assert_ne!(deployment.read("a.csv"), deployment.read("other.csv"), "{options}");
    }
}

#[test]
fn ingesting_again_adds_nothing_and_every_version_is_counted() {
    let deployment = Deployment::empty();
    assert_eq!(deployment.json("dataset list"), json!([]));
    deployment.ok("synth --rows 800 --seed 3 --out cases.csv");
    let first = deployment.json("ingest cases.csv --source reference");
    assert_eq!((&first["accepted"], &first["new_version"]), (&json!(800), &json!(1)));
    let again = deployment.json("ingest cases.csv --source reference");
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(800)));
    assert_eq!((&again["new_version"], &again["dataset_version"]), (&Value::Null, &json!(1)));

    // The same cases in another form are the same cases; further ones make a version.
    for file in ["cases.ndjson.gz", "cases.parquet", "cases.csv.zst"] {
        deployment.ok(&format!("synth --rows 800 --seed 3 --out {file}"));
        let form = deployment.json(&format!("ingest {file} --source reference"));
        assert_eq!((&form["accepted"], &form["duplicates"]), (&json!(0), &json!(800)), "{file}");
    }
    deployment.ok("synth --rows 50 --seed 4 --out more.csv");
    deployment.ok("ingest more.csv cases.csv --source reference");

    let versions = deployment.json("dataset list");
    let totals: Vec<&Value> = versions.as_array().unwrap().iter().map(|v| &v["totals"]["rows"]).collect();
    assert_eq!(totals, [800, 850]);
    let shown = deployment.json("dataset show 1");
    let by_outcome = shown["totals"]["outcomes"].as_array().unwrap();
    assert_eq!(by_outcome.iter().map(|outcome| outcome["rows"].as_u64().unwrap()).sum::<u64>(), 800);
    let healthy =
        rows(&deployment.read("cases.csv")).iter().filter(|row| row["severity"] == "healthy").count();
    let counted = by_outcome.iter().find(|outcome| outcome["severity"] == "healthy").unwrap();
    assert_eq!(counted["rows"], healthy);
    assert!(deployment.ok("dataset show").starts_with("dataset version 2"));
    deployment.assert_well();
}

#[test]
fn refused_rows_are_kept_with_their_reasons_and_can_be_looked_through() {
    let deployment = Deployment::empty();
    deployment.write(
        "cases.csv",
        "case_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month,ward\n\
         a,54,female,O,138,86,6,3B\n\
         b,54,female,O,300,150,6,3B\n\
         c,154,other,O,138,86,6,3B\n",
    );
    let report = deployment.json("ingest cases.csv --source ward-3b");
    assert_eq!((&report["accepted"], &report["refused"]), (&json!(1), &json!(2)));
    assert_eq!(
        report["refused_by_reason"],
        json!({ "systolic_mmhg:out_of_range": 1, "age_years:out_of_range": 1, "gender:unknown_code": 1 })
    );
    assert_eq!(report["ignored_columns"]["cases.csv"], json!(["ward"]));
    let all = deployment.json("dataset quarantine");
    assert_eq!(all.as_array().unwrap().len(), 2);
    let one = deployment.json("dataset quarantine --reason gender --source ward-3b");
    assert_eq!(one[0]["reasons"], json!(["age_years:out_of_range", "gender:unknown_code"]));
    assert_eq!((&one[0]["row"], &one[0]["raw"]), (&json!(4), &Value::Null));
    let raw = deployment.json("dataset quarantine --reason systolic_mmhg:out_of_range --raw");
    assert_eq!(raw[0]["raw"], "b,54,female,O,300,150,6,3B");
    assert_eq!(deployment.json("dataset quarantine --source elsewhere"), json!([]));
    // Twice refused is kept once.
    assert_eq!(deployment.json("ingest cases.csv --source ward-3b")["quarantined"], 0);
    assert_eq!(deployment.json("dataset quarantine").as_array().unwrap().len(), 2);
}

#[test]
fn a_model_is_measured_with_intervals_and_its_test_set_opened_once() {
    let deployment = trained().copy();
    let validation = deployment.json("evaluate m-0001");
    assert_eq!((&validation["gates_hold"], &validation["test_opened"]), (&json!(true), &Value::Null));
    let report = &validation["report"];
    assert_eq!((&report["set"], &report["dataset_version"]), (&json!("validation"), &json!(1)));
    for figure in ["f1_common", "macro_f1", "orphan_recall", "orphan_average_precision", "log_loss"] {
        let at = |end: &str| report[figure][end].as_f64().unwrap();
        assert!(at("low") <= at("value") && at("value") <= at("high"), "{figure}: {}", report[figure]);
        assert!(at("low") < at("high") && report[figure]["n"].as_u64() > Some(0), "{figure}");
    }
    // A reference cohort is also scored exactly, over every possible patient.
    let truth = |key: &str| report["truth"][key].as_f64().unwrap();
    assert!((0.0..0.1).contains(&truth("macro_f1_regret")), "{}", report["truth"]);
    assert!((0.0..0.4).contains(&truth("orphan_ap_regret")), "{}", report["truth"]);
    let regret_without_alarm = truth("macro_f1_best") - truth("macro_f1_without_alarm");
    assert!((0.0..0.1).contains(&regret_without_alarm), "{}", report["truth"]);

    let first = deployment.json("evaluate m-0001 --set test");
    assert_eq!(first["test_opened"]["earlier"], false);
    let second = deployment.json("evaluate m-0001 --set test");
    assert_eq!(second["test_opened"]["earlier"], true);
    assert_eq!(second["report"], first["report"], "the test set was looked at a second time");
    assert!(deployment.ok("evaluate m-0001 --set test").contains("the test set was opened before"));
    assert_eq!(deployment.json("model show m-0001")["test"]["report"], first["report"]);
}

#[test]
fn the_registry_lists_shows_verifies_and_exports() {
    let deployment = trained();
    let models = deployment.json("model list");
    let stages: Vec<(&str, &str)> = models
        .as_array()
        .unwrap()
        .iter()
        .map(|model| (model["version"].as_str().unwrap(), model["stage"].as_str().unwrap()))
        .collect();
    assert!(
        stages.contains(&("m-0001", "champion")) && stages.contains(&("m-0002", "validated")),
        "{stages:?}"
    );
    // Without a version the champion is shown.
    assert_eq!(deployment.json("model show"), deployment.json("model show m-0001"));
    assert_eq!(deployment.json("model show")["model"]["dataset_version"], 1);
    let verified = deployment.json("model verify m-0001");
    assert_eq!(
        (&verified["holds"], &verified["verification"]["patients"]),
        (&json!(true), &json!(POSSIBLE_PATIENTS))
    );

    for row in table("m-0001").rows() {
        assert!((row.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        assert!(row.probabilities.iter().chain([&row.orphan]).all(|p| (0.0..=1.0).contains(p)));
        assert_eq!(row.severity == "healthy", row.rarity.is_empty());
    }
    assert!(table("m-0001").rows().any(|row| row.rarity == "orphan"), "the alarm never sounds");
    assert!(table("m-0001").rows().zip(table("m-0002").rows()).any(|(a, b)| !a.agrees(b, 1e-3)));
    let copy = deployment.copy();
    assert_eq!(copy.json("model export m-0001 --table table.parquet")["rows"], POSSIBLE_PATIENTS);
    let (columns, count) = parquet_shape(&copy.path("table.parquet"));
    assert_eq!((columns, count), (COLUMNS.map(str::to_owned).to_vec(), POSSIBLE_PATIENTS as i64));
}

fn parquet_shape(path: &Path) -> (Vec<String>, i64) {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata();
    let columns = metadata.schema_descr().columns().iter().map(|column| column.name().to_owned()).collect();
    (columns, metadata.num_rows())
}

#[test]
fn champions_follow_each_other_and_come_back() {
    let deployment = trained().copy();
    let champion = || deployment.json("model show")["model"]["version"].clone();
    let promoted = deployment.json("model promote m-0002 --reason newer");
    assert_eq!(
        (&promoted["champion"], &promoted["previous"], &promoted["changed"]),
        (&json!("m-0002"), &json!("m-0001"), &json!(true))
    );
    assert_eq!(champion(), "m-0002");
    assert_eq!(deployment.json("model promote m-0002")["changed"], false);
    let back = deployment.json("model rollback");
    assert_eq!((&back["champion"], &back["previous"]), (&json!("m-0001"), &json!("m-0002")));
    assert_eq!(champion(), "m-0001");
    deployment.assert_well();
}

const BATCH: &str = "case_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month\n\
    one,54,female,O,138,86,6\n\
    two,54,female,O,300,150,6\n\
    three,71,male,AB,185,95,0\n\
    four,,other,O,138,86,six\n";

fn of_batch(age: i64, gender: &str, blood: &str, pressure: (i64, i64), exercise: i64) -> &'static Answered {
    table("m-0001").of(&json!({
        "age_years": age, "gender": gender, "blood_type": blood, "systolic_mmhg": pressure.0,
        "diastolic_mmhg": pressure.1, "exercise_days_per_month": exercise,
    }))
}

#[test]
fn a_file_is_scored_row_by_row_in_every_form() {
    let deployment = trained().copy();
    deployment.write("batch.csv", BATCH);
    let report = deployment.json("predict --in batch.csv --out scored.csv --explain");
    assert_eq!(
        (&report["answered"], &report["refused"], &report["model"]),
        (&json!(2), &json!(2), &json!("m-0001"))
    );
    let scored = rows(&deployment.read("scored.csv"));
    assert_eq!(scored.len(), 4);
    let expected =
        [(0, of_batch(54, "female", "O", (138, 86), 6)), (2, of_batch(71, "male", "AB", (185, 95), 0))];
    for (index, expected) in expected {
        let row = &scored[index];
        assert_eq!((&row["severity"], &row["rarity"]), (&json!(expected.severity), &json!(expected.rarity)));
        assert_eq!(number(row, "p_chronic"), expected.probabilities[3]);
        assert_eq!(number(row, "p_orphan"), expected.orphan);
        for feature in ["age", "gender", "blood_type", "blood_pressure", "exercise"] {
            assert!(number(row, &format!("contribution_{feature}")).abs() <= 1.0);
        }
        assert_eq!(row["error"], "");
    }
    assert_eq!(scored[0]["blood_pressure"], "stage_1");
    assert_eq!((&scored[1]["case_id"], &scored[1]["severity"]), (&json!("two"), &json!("")));
    assert_eq!(scored[1]["error"], "line 3: systolic_mmhg:out_of_range");
    let all = "line 5: age_years:missing; gender:unknown_code; exercise_days_per_month:wrong_type";
    assert_eq!(scored[3]["error"], all);

    deployment.ok("predict --in batch.csv --out scored.ndjson");
    let lines: Vec<Value> =
        deployment.read("scored.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["severity"]), (4, &scored[0]["severity"]));
    assert_eq!(lines[0]["p_orphan"].as_f64().unwrap(), number(&scored[0], "p_orphan"));
    deployment.ok("predict --in batch.csv --out scored.parquet --model m-0002");
    let (columns, count) = parquet_shape(&deployment.path("scored.parquet"));
    assert_eq!((columns[0].as_str(), columns.last().unwrap().as_str(), count), ("case_id", "error", 4));
}

#[test]
fn the_form_of_the_input_does_not_matter() {
    let deployment = trained().copy();
    let scored = ["csv", "csv.gz", "ndjson", "ndjson.zst", "parquet"].map(|form| {
        deployment.ok(&format!("synth --rows 60 --seed 9 --out in.{form}"));
        let report = deployment.json(&format!("predict --in in.{form} --out out.csv --explain"));
        assert_eq!((&report["answered"], &report["refused"]), (&json!(60), &json!(0)), "{form}");
        deployment.read("out.csv")
    });
    assert!(scored.iter().all(|other| *other == scored[0]));
}

#[test]
fn standard_input_is_scored_to_standard_output() {
    let mut child = trained()
        .command(["predict"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(BATCH.as_bytes()).unwrap();
    let output = finished("predict", child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let scored = rows(std::str::from_utf8(&output.stdout).unwrap());
    let answered: Vec<&Value> = scored.iter().map(|row| &row["severity"]).collect();
    let expected = of_batch(54, "female", "O", (138, 86), 6);
    assert_eq!((answered.len(), answered[0].as_str()), (4, Some(expected.severity.as_str())));
}

#[test]
fn a_model_that_fails_its_gates_is_promoted_only_in_the_open() {
    let deployment = trained().copy();
    let strict = replaced(&small_study(), "at_least = 0.50", "at_least = 0.999");
    deployment.write("study.toml", &replaced(&strict, "rounds = 60", "rounds = 4"));
    let run = deployment.run("train --dataset-version 1 --seed 3 --json").exits(3);
    assert_eq!(
        (&run.json()["gates_hold"], &run.json()["model"]["version"]),
        (&json!(false), &json!("m-0003"))
    );
    assert_eq!(deployment.run("evaluate m-0003 --json").exits(3).json()["gates_hold"], false);
    assert_eq!(deployment.run("model promote m-0003 --json").exits(3).json()["promoted"], false);
    deployment.run("model promote m-0003 --override-gates --reason trial").exits(0);
    let shown = deployment.json("model show");
    assert_eq!(shown["model"]["version"], "m-0003");
    assert_eq!(shown["model"]["gates"]["overridden"]["reason"], "trial");
    deployment.assert_well();
}
