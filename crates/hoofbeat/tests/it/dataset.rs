//! The life of a dataset: corrected mappings, going back, compaction, a person's erasure, retention.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Client, Deployment, Server, trained};

const HEADER: &str = "case_id,patient_id,recorded_at,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,\
                      exercise_days_per_month,severity,rarity";

/// Cases of patients `hcb-1000` on, two each; every fifth gives the gender in Spanish letters.
fn cases(numbers: std::ops::Range<u32>, year: u32) -> String {
    let row = |n: u32| {
        let gender = match n % 5 {
            0 => "H",
            n if n % 2 == 0 => "male",
            _ => "female",
        };
        let (severity, rarity) = if n.is_multiple_of(3) { ("healthy", "") } else { ("chronic", "common") };
        format!(
            "c-{n},hcb-{},{year}-03-04,{},{gender},A,120,70,{},{severity},{rarity}\n",
            1000 + n / 2,
            20 + n % 60,
            n % 31
        )
    };
    format!("{HEADER}\n{}", numbers.map(row).collect::<String>())
}

const MAP: &str = "[columns.gender]\nfrom = \"gender\"\nrecode = { H = \"male\" }\n";

fn versions(deployment: &Deployment) -> Vec<(u64, u64)> {
    let list = deployment.json("dataset list");
    let number = |value: &Value| value.as_u64().unwrap();
    list.as_array().unwrap().iter().map(|v| (number(&v["version"]), number(&v["totals"]["rows"]))).collect()
}

#[test]
fn refused_rows_are_released_by_a_corrected_mapping() {
    let deployment = Deployment::empty();
    deployment.write("a.csv", &cases(0..50, 2020));
    let lines: Vec<String> = cases(50..60, 2021).lines().skip(1).map(ndjson).collect();
    deployment.write("b.ndjson", &lines.join("\n"));
    deployment.write("map.toml", MAP);
    deployment.ok("ingest a.csv b.ndjson --source ehr");
    let refused = deployment.json("dataset quarantine --limit 99");
    assert_eq!(refused.as_array().unwrap().len(), 12);

    let plan = deployment.json("dataset release --reason gender --map map.toml --dry-run");
    assert_eq!((&plan["read"], &plan["accepted"]), (&json!(12), &json!(12)));
    assert_eq!(versions(&deployment), [(1, 48)], "a dry run changes nothing");
    let other = deployment.json("dataset release --reason age_years --map map.toml");
    assert_eq!(other["read"], 0);
    let uncorrected = deployment.json("dataset release --source ehr");
    assert_eq!((&uncorrected["accepted"], &uncorrected["refused"]), (&json!(0), &json!(12)));

    let done = deployment.json("dataset release --reason gender:unknown_code --map map.toml");
    assert_eq!(
        (&done["accepted"], &done["refused"], &done["dataset_version"]),
        (&json!(12), &json!(0), &json!(2))
    );
    assert_eq!(versions(&deployment), [(1, 48), (2, 60)]);
    assert_eq!(deployment.json("dataset quarantine").as_array().unwrap().len(), 0);
    assert!(deployment.ok("dataset release --source ehr --map map.toml").contains("no refused row is meant"));
    // The whole file by the right mapping: everything is known, also the rows that came by another way.
    let again = deployment.json("ingest a.csv b.ndjson --source ehr --map map.toml");
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(60)));
    deployment.assert_well();
}

/// A CSV row of [`cases`] as a JSON object.
fn ndjson(row: &str) -> String {
    let fields = HEADER.split(',').map(str::trim).zip(row.split(','));
    let value = |text: &str| text.parse::<i64>().map_or_else(|_| json!(text), Value::from);
    let object: serde_json::Map<String, Value> = fields
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name.to_owned(), value(text)))
        .collect();
    Value::Object(object).to_string()
}

#[test]
fn going_back_compacting_comparing_and_retaining() {
    let deployment = Deployment::empty();
    deployment.write("map.toml", MAP);
    for (n, year) in [(0, 2010), (1, 2015), (2, 2020)] {
        deployment.write("part.csv", &cases(n * 40..(n + 1) * 40, year));
        deployment.ok("ingest part.csv --source ehr --map map.toml");
    }
    assert!(deployment.ok("dataset restore 1").contains("dataset version 4 is version 1 once more"));
    assert!(deployment.ok("dataset restore 4").contains("the newest already"));
    assert_eq!(versions(&deployment), [(1, 40), (2, 80), (3, 120), (4, 40)]);
    assert!(deployment.ok("dataset list").contains("(restored 1)"));
    assert!(deployment.ok("dataset show 4").contains("version 1 once more"));
    // What was left is no longer known: it may come again, corrected.
    let again = deployment.json("ingest part.csv --source ehr --map map.toml");
    assert_eq!((&again["accepted"], &again["new_version"]), (&json!(40), &json!(5)));

    let difference = deployment.json("dataset diff 3 5");
    let counts = ["added", "removed", "patients_added", "patients_removed"]
        .map(|name| difference[name].as_u64().unwrap());
    assert_eq!(counts, [40, 80, 0, 20]);
    assert_eq!(difference["builds_on"], false);
    assert!(deployment.ok("dataset diff 1 2").contains("40 cases and 20 patients added"));
    assert_eq!(
        deployment.run("dataset diff 1 9").exits(1).reason(),
        "hoofbeat: there is no dataset version 9; the newest is 5"
    );

    let before = versions(&deployment);
    let plan = deployment.json("dataset compact --vacuum --dry-run");
    assert_eq!(
        (&plan["files_before"], &plan["files_after"], &plan["deleted"]),
        (&json!(4), &json!(1), &json!(4))
    );
    let done = deployment.json("dataset compact --vacuum");
    assert_eq!((&done["files_after"], &done["deleted"]), (&json!(1), &json!(4)));
    assert_eq!(versions(&deployment), before);

    let plan = deployment.json("dataset retain --older-than 2012-01-01 --dry-run");
    assert_eq!((&plan["rows"], &plan["versions"]), (&json!(40), &json!([1, 2, 3, 4, 5])));
    assert!(deployment.ok("dataset retain --older-than 2012-01-01 --source other").contains("no case"));
    deployment.ok("dataset retain --older-than 2012-01-01");
    assert_eq!(versions(&deployment), [(1, 0), (2, 40), (3, 80), (4, 0), (5, 40)]);
    assert!(deployment.run("dataset retain --older-than soon").exits(1).reason().contains("neither a date"));
    deployment.assert_well();
}

/// Whether any file of the deployment holds this text.
fn anywhere(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(Result::unwrap).any(|entry| {
        if entry.file_type().unwrap().is_dir() {
            return anywhere(&entry.path(), text);
        }
        let bytes = std::fs::read(entry.path()).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn predicted(client: &mut Client, patient: &str) -> String {
    let answer = client.predict(&json!({
        "patient_id": patient, "age_years": 44, "gender": "male", "blood_type": "AB",
        "systolic_mmhg": 150, "diastolic_mmhg": 95, "exercise_days_per_month": 2,
    }));
    answer["prediction_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_erased_person_is_gone_from_everywhere_while_the_server_runs() {
    let deployment = trained().copy();
    deployment.write("map.toml", MAP);
    deployment.write("ward.csv", &cases(0..20, 2020));
    deployment.ok("ingest ward.csv --source ward");
    deployment.ok("train --seed 3");
    let server = Server::start(&deployment);
    let mut client = server.client();
    // hcb-1000 has a refused case (gender H) and an accepted one, a prediction, an opinion on it.
    let (theirs, others) = (predicted(&mut client, "hcb-1000"), predicted(&mut client, "hcb-1001"));
    for id in [&theirs, &others] {
        let opinion = json!({ "verdict": "wrong", "comment": format!("about {id}") });
        assert_eq!(client.post(&format!("/api/v1/predictions/{id}/feedback"), &opinion).status, 201);
    }
    let data = deployment.path("hoofbeat-data");
    assert!(anywhere(&data, &format!("about {theirs}")) && anywhere(&data.join("predictions"), "hcb-1000"));

    deployment.write("who.txt", "hcb-1000\n");
    let plan = deployment.json("dataset erase --patient-file who.txt --dry-run");
    let figures = |report: &Value| {
        let cases = &report["cases"];
        [
            &cases["rows"],
            &cases["quarantined"],
            &report["predictions"],
            &report["feedback"],
            &report["reviews"],
        ]
        .map(|figure| figure.as_u64().unwrap())
    };
    assert_eq!(figures(&plan), [1, 1, 1, 1, 1]);
    assert_eq!(client.get(&format!("/api/v1/predictions/{theirs}")).status, 200, "a dry run erases nothing");

    let done = deployment.json("dataset erase --patient-file who.txt --reason letter-17");
    assert_eq!(figures(&done), [1, 1, 1, 1, 1]);
    assert_eq!(done["models"], json!(["m-0003"]), "the only model of a dataset version with the person");
    assert_eq!(client.get(&format!("/api/v1/predictions/{theirs}")).status, 404);
    let kept = client.get(&format!("/api/v1/predictions/{others}")).json();
    assert_eq!(kept["feedback"].as_array().unwrap().len(), 1);
    let later = predicted(&mut client, "hcb-1002");
    assert_eq!(client.get(&format!("/api/v1/predictions/{later}")).status, 200, "the log goes on");
    assert_eq!(client.get("/api/v1/reviews").json().as_array().map_or(1, Vec::len), 1);
    drop(client);
    server.stop();

    assert!(!anywhere(&data.join("predictions"), "hcb-1000"));
    assert!(!anywhere(&data, &format!("about {theirs}")), "an opinion on the person is left");
    for file in ["registry.db", "registry.db-wal"]
        .map(|name| data.join(name))
        .into_iter()
        .filter(|file| file.exists())
    {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"hcb-1000"), "the audit names the person");
    }
    let again = deployment.json("dataset erase --patient hcb-1000");
    assert_eq!(figures(&again), [0; 5]);
    assert!(
        deployment.run("dataset erase --patient-file /dev/null").exits(1).reason().contains("no pseudonym")
    );
    deployment.assert_well();
}
