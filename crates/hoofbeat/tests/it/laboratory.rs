//! A laboratory value is one stanza of the study and no code: it goes from a file to an explained answer, by the
//! command line and by REST. The set of possible patients is then too large for a table.

use serde_json::{Value, json};

use crate::harness::{Deployment, Dice, Server, replaced, small_study};

/// As the contract gives it.
const GLUCOSE: &str = r#"
[[feature]]
name = "fasting_glucose"
kind = "number"
input = "fasting_glucose_mg_dl"
label = { es = "Glucosa en ayunas", en = "Fasting glucose" }
unit = "mg/dL"
min = 40
max = 600
loinc = "1558-6"
"#;

const FEATURES: [&str; 6] = ["age", "blood_pressure", "blood_type", "exercise", "fasting_glucose", "gender"];

pub(crate) fn study() -> String {
    // Twelve rounds are enough to learn one strong value.
    replaced(&small_study(), "rounds = 60", "rounds = 12") + GLUCOSE
}

/// A synthetic cohort with one column more: high in chronic disease, else normal.
pub(crate) fn cohort(deployment: &Deployment) {
    deployment.run("--study plain.toml synth --rows 2500 --seed 11 --out plain.csv").exits(0);
    let mut reader = csv::Reader::from_path(deployment.path("plain.csv")).unwrap();
    let mut writer = csv::Writer::from_path(deployment.path("laboratory.csv")).unwrap();
    let mut header = reader.headers().unwrap().clone();
    let severity = header.iter().position(|name| name == "severity").unwrap();
    header.push_field("fasting_glucose_mg_dl");
    writer.write_record(&header).unwrap();
    let mut dice = Dice(11);
    for mut record in reader.records().map(Result::unwrap) {
        let chronic = &record[severity] == "chronic";
        let glucose = if chronic { dice.between(130, 320) } else { dice.between(65, 115) };
        record.push_field(&glucose.to_string());
        writer.write_record(&record).unwrap();
    }
    writer.flush().unwrap();
}

/// The same patient with a low and a high value, and with values that are refused.
pub(crate) const CASES: &str = "case_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month,fasting_glucose_mg_dl
low,54,female,O,128,78,6,85
high,54,female,O,128,78,6,240
bad,54,female,O,128,78,6,601
none,54,female,O,128,78,6,
";

fn patient(glucose: i64) -> Value {
    json!({
        "age_years": 54, "gender": "female", "blood_type": "O", "systolic_mmhg": 128, "diastolic_mmhg": 78,
        "exercise_days_per_month": 6, "fasting_glucose_mg_dl": glucose,
    })
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Six contributions that add up to the displayed probability.
fn assert_explained(answer: &Value) {
    let lines = answer["explanation"]["contributions"].as_array().unwrap();
    let mut features: Vec<&str> = lines.iter().map(|line| line["feature"].as_str().unwrap()).collect();
    features.sort_unstable();
    assert_eq!(features, FEATURES);
    let class = answer["severity"]["class"].as_str().unwrap();
    let sum: f64 = lines.iter().map(|line| number(&line["contribution"])).sum();
    let told = number(&answer["explanation"]["base_value"]) + sum;
    let shown = number(&answer["severity"]["probabilities"][class]);
    assert!((told - shown).abs() <= 1e-6, "the explanation adds up to {told}, not {shown}");
}

#[test]
fn fasting_glucose_goes_from_a_file_to_an_explained_answer() {
    let deployment = Deployment::with_study(&study());
    deployment.write("plain.toml", &small_study());
    let facts = deployment.json("study check");
    assert_eq!((&facts["predictor"], &facts["possible_patients"]), (&json!("direct"), &json!(154_880 * 561)));
    cohort(&deployment);
    let ingested = deployment.json("ingest laboratory.csv --source laboratory");
    assert_eq!((&ingested["accepted"], &ingested["ignored_columns"]), (&json!(2_500), &json!({})));
    let trained = deployment.run("train --seed 1 --json");
    assert!([0, 3].contains(&trained.code), "{}", trained.stderr);
    deployment.ok("model promote m-0001 --override-gates --reason laboratory");

    // The command line.
    deployment.write("asked.csv", CASES);
    let scored = deployment.json("predict --in asked.csv --out scored.ndjson --explain");
    assert_eq!(
        scored["refused_by_reason"],
        json!({ "fasting_glucose_mg_dl:out_of_range": 1, "fasting_glucose_mg_dl:missing": 1 })
    );
    let lines: Vec<Value> =
        deployment.read("scored.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(number(&lines[1]["p_chronic"]) > number(&lines[0]["p_chronic"]) + 0.3, "{lines:?}");
    assert!(number(&lines[1]["contribution_fasting_glucose"]) > 0.1, "{}", lines[1]);

    // There is no list of possible patients to write or to check one by one.
    for line in ["model export m-0001 --table table.csv", "model verify m-0001"] {
        assert!(deployment.run(line).exits(1).reason().contains("trees"), "{line}");
    }

    // REST and the page say the same.
    let server = Server::start(&deployment);
    let mut client = server.client();
    for (glucose, line) in [(85, &lines[0]), (240, &lines[1])] {
        let answer = client.predict(&patient(glucose));
        assert_explained(&answer);
        let chronic = number(&answer["severity"]["probabilities"]["chronic"]);
        assert!((chronic - number(&line["p_chronic"])).abs() < 1e-12);
        let value = answer["explanation"]["contributions"].to_string();
        assert!(value.contains(&format!("{glucose} mg/dL")), "{value}");
    }
    let refused = client.post("/api/v1/predictions", &patient(601));
    assert_eq!(
        (refused.status, refused.issues()),
        (422, vec!["fasting_glucose_mg_dl:out_of_range".to_owned()])
    );
    let page = client.get("/");
    assert!(
        page.text().contains("name=\"fasting_glucose_mg_dl\"") && page.text().contains("Glucosa en ayunas")
    );
    assert!(client.get("/?lang=en").text().contains("Fasting glucose"));
    assert!(client.get("/openapi.json").text().contains("fasting_glucose_mg_dl"));
    server.stop();
    deployment.assert_well();
}
