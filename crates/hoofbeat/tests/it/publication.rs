//! What was answered and what became of it, as tables: published, asked in SQL, erased, kept no longer than they may be.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Client, Deployment, Server, repository, trained};

fn predicted(client: &mut Client, patient: Option<&str>, age: u32) -> String {
    let mut asked = json!({
        "age_years": age, "gender": "female", "blood_type": "O",
        "systolic_mmhg": 150, "diastolic_mmhg": 95, "exercise_days_per_month": 2,
    });
    if let Some(patient) = patient {
        asked["patient_id"] = json!(patient);
    }
    client.predict(&asked)["prediction_id"].as_str().unwrap().to_owned()
}

fn sql(deployment: &Deployment, statement: &str, options: &[&str]) -> Vec<Value> {
    let output = deployment.command(["sql", statement, "--json"]).args(options).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(deployment: &Deployment, table: &str) -> u64 {
    sql(deployment, &format!("SELECT count(*) AS n FROM {table}"), &[])[0]["n"].as_u64().unwrap()
}

#[test]
fn answers_and_outcomes_are_published_once_asked_together_and_erased() {
    let deployment = trained().copy();
    assert_eq!(count(&deployment, "predictions") + count(&deployment, "outcomes"), 0);
    let server = Server::start(&deployment);
    let mut client = server.client();
    let ids: Vec<String> =
        (0..6).map(|n| predicted(&mut client, Some(&format!("zebrafish-{}", n / 2)), 30 + n)).collect();
    predicted(&mut client, None, 50);
    let outcomes = |severity: &str, ids: &[String]| {
        let rows = ids.iter().map(|id| format!("{id},{severity},common,ICD-10:I10,2026-01-01\n"));
        let header = "prediction_id,severity,rarity,disease_code,confirmed_at\n";
        deployment.write("outcomes.csv", &format!("{header}{}", rows.collect::<String>()));
        deployment.json("outcome add outcomes.csv --source clinic")
    };
    outcomes("mild", &ids[..4]);

    let published = deployment.json("dataset publish");
    let figures =
        |published: &Value| [&published["predictions"], &published["outcomes"]].map(|n| n.as_u64().unwrap());
    assert_eq!(figures(&published), [7, 4]);
    assert_eq!(figures(&deployment.json("dataset publish")), [0, 0]);
    // A corrected outcome takes the place of the earlier one; what was answered meanwhile comes too.
    outcomes("acute", &ids[..1]);
    predicted(&mut client, None, 51);
    let published = deployment.json("dataset publish");
    assert_eq!((figures(&published), &published["corrected"]), ([1, 1], &json!(1)));
    assert_eq!(figures(&deployment.json("dataset publish --anew")), [0, 4]);
    assert_eq!((count(&deployment, "predictions"), count(&deployment, "outcomes")), (8, 4));

    // As it was answered, in the words of the study; together with what became of it.
    let answer = client.get(&format!("/api/v1/predictions/{}", ids[0])).json();
    let statement = "SELECT p.*, o.severity AS outcome, o.source, o.reviewer FROM predictions p \
                     JOIN outcomes o ON o.prediction_id = p.prediction_id ORDER BY p.age_years";
    let rows = sql(&deployment, statement, &["--identifiers"]);
    assert_eq!(rows.len(), 4);
    let first = &rows[0];
    assert_eq!((&first["prediction_id"], &first["patient_id"]), (&json!(ids[0]), &json!("zebrafish-0")));
    assert_eq!((&first["age_years"], &first["gender"]), (&json!(30), &json!("female")));
    assert_eq!((&first["model_version"], &first["dataset_version"]), (&json!("m-0001"), &json!(1)));
    assert_eq!(first["severity"], answer["severity"]["class"]);
    assert_eq!((&first["outcome"], &first["source"]), (&json!("acute"), &json!("clinic")));
    assert!(first["reviewer"].as_str().unwrap().starts_with("reviewer-"), "{first}");
    for class in ["healthy", "mild", "acute", "chronic"] {
        let (stored, said) = (&first[format!("p_{class}")], &answer["severity"]["probabilities"][class]);
        assert!((stored.as_f64().unwrap() - said.as_f64().unwrap()).abs() < 1e-9, "{class}");
    }
    for (stored, said) in [("p_orphan", "probability_orphan"), ("threshold", "threshold")] {
        let (stored, said) = (first[stored].as_f64().unwrap(), answer["rarity"][said].as_f64().unwrap());
        assert!((stored - said).abs() < 1e-9, "{stored} {said}");
    }
    // Without the right to see identifiers, the same rows meet, and nothing names a patient or an answer.
    let masked = sql(&deployment, statement, &[]);
    let text = serde_json::to_string(&masked).unwrap();
    assert!(
        masked.len() == 4 && !text.contains("zebrafish") && ids.iter().all(|id| !text.contains(id)),
        "{text}"
    );
    assert_eq!(masked[0]["patient_id"], masked[1]["patient_id"]);

    // One person leaves both tables; then everybody, and the log with them.
    let erased = deployment.json("dataset erase --patient zebrafish-0");
    let served = &erased["cases"]["served"];
    assert_eq!(
        (&served["predictions"], &served["outcomes"], &erased["predictions"]),
        (&json!(2), &json!(2), &json!(2))
    );
    assert_eq!((count(&deployment, "predictions"), count(&deployment, "outcomes")), (6, 2));
    assert_eq!(figures(&deployment.json("dataset publish --anew")), [0, 2]);
    let audit = client.get("/api/v1/audit?limit=1000").text().to_owned();
    assert!(audit.contains("published_predictions") && !audit.contains("zebrafish"));
    let kept = deployment.json("dataset retain --older-than 1d");
    assert_eq!((&kept["predictions"], &kept["served"]["predictions"]), (&json!(0), &json!(0)));
    let planned = deployment.json("dataset retain --older-than 0d --dry-run");
    assert_eq!((&planned["predictions"], &planned["served"]["predictions"]), (&json!(6), &json!(6)));
    assert_eq!(count(&deployment, "predictions"), 6);
    let gone = deployment.json("dataset retain --older-than 0d");
    assert_eq!((&gone["predictions"], &gone["served"]["outcomes"]), (&json!(6), &json!(2)));
    assert_eq!((count(&deployment, "predictions"), count(&deployment, "outcomes")), (0, 0));
    assert_eq!(client.get(&format!("/api/v1/predictions/{}", ids[5])).status, 404);
    let later = predicted(&mut client, Some("zebrafish-9"), 60);
    assert_eq!(client.get(&format!("/api/v1/predictions/{later}")).status, 200, "the log goes on");
    assert_eq!(figures(&deployment.json("dataset publish")), [1, 0]);
    drop(client);
    server.stop();
    deployment.assert_well();
}

#[test]
fn a_server_publishes_by_itself_and_other_readers_read_it() {
    let deployment = trained().copy();
    deployment.write("hoofbeat.toml", "study = \"study.toml\"\n[publication]\nevery_seconds = 1\n");
    let server = Server::start(&deployment);
    let mut client = server.client();
    for age in 40..45 {
        predicted(&mut client, Some("p-1"), age);
    }
    let seen = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        count(&deployment, "predictions") == 5
    });
    assert!(seen, "the server did not publish");
    drop(client);
    server.stop();
    // A log that was put back: what it has anew is published, what the table has stays.
    let data = deployment.path("hoofbeat-data");
    let (log, copy) = (data.join("predictions/000001.log"), data.join("copy.log"));
    std::fs::copy(&log, &copy).unwrap();
    let server = Server::start(&deployment);
    predicted(&mut server.client(), None, 70);
    server.stop();
    assert_eq!(deployment.json("dataset publish")["outcomes"], 0);
    assert_eq!(count(&deployment, "predictions"), 6);
    std::fs::rename(&copy, &log).unwrap();
    let noticed = |deployment: &Deployment| {
        let refused = deployment.run("dataset publish").exits(1);
        assert!(refused.reason().contains("dataset publish --anew"), "{}", refused.reason());
        assert!(deployment.run("doctor").exits(3).stdout.contains("dataset publish --anew"));
    };
    noticed(&deployment);
    // As long as the one that is lost: the log ends where it ended before.
    let server = Server::start(&deployment);
    predicted(&mut server.client(), None, 71);
    server.stop();
    noticed(&deployment);
    assert_eq!(deployment.json("dataset publish --anew")["predictions"], 1);
    assert_eq!(count(&deployment, "predictions"), 7);
    assert_eq!(deployment.json("dataset publish")["predictions"], 0);

    let engines =
        std::env::var_os("HOOFBEAT_ENGINES").map_or_else(|| repository().join(".engines"), Into::into);
    let script = "import sys, duckdb; from deltalake import DeltaTable\n\
                  t = DeltaTable(sys.argv[1]); f = [u.removeprefix('file://') for u in t.file_uris()]\n\
                  q = f'SELECT count(*), count(DISTINCT prediction_id), min(p_mild) FROM read_parquet({f!r}, union_by_name = true)'\n\
                  print(t.count(), *duckdb.sql(q).fetchall()[0][:2])";
    let output = Command::new(engines.join("python/bin/python"))
        .args(["-c", script])
        .arg(data.join("lake/predictions"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "7 7 7\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    deployment.assert_well();
}
