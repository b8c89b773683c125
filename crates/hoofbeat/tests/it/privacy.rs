//! No value of a patient in a log, a metric or a report: unmistakable ones are planted wherever values come in, with
//! every log line that there is turned on.

use serde_json::{Value, json};

use crate::harness::{Client, Server, output, trained};

/// A pseudonym, a comment, codes that nothing else would say.
const WORD: &str = "zebrafish";
const AGE: &str = "119";
const PRESSURES: (&str, &str) = ("277", "179");

fn patient() -> Value {
    json!({
        "patient_id": "zebrafish-7", "age_years": 119, "gender": "male", "blood_type": "AB",
        "systolic_mmhg": 277, "diastolic_mmhg": 179, "exercise_days_per_month": 29,
    })
}

/// The numbers of a line. Digits within a word are none: a random identifier may hold any.
fn numbers(line: &str) -> Vec<&str> {
    let words = line.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_digit())).collect()
}

/// Whether a line holds a planted value. A lone 277 may be a count of bytes; the pair, or the age with a word
/// about ages, is the patient.
fn gives_away(line: &str) -> bool {
    let (lower, found) = (line.to_ascii_lowercase(), numbers(line));
    let has = |number: &str| found.contains(&number);
    lower.contains(WORD)
        || (has(PRESSURES.0) && has(PRESSURES.1))
        || (has(AGE) && (lower.contains("age") || has(PRESSURES.0) || has("29")))
        || lower.contains("mmhg=2")
        || lower.contains("mmhg\":2")
}

fn assert_clean(what: &str, text: &str) {
    if let Some(line) = text.lines().find(|line| gives_away(line)) {
        panic!("{what} gives a patient away: {line}");
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for line in ["patient ZEBRAFISH-7", "values=[119, 1, 2, 277, 179, 29]", "age_years=119", "277/179 mmHg"] {
        assert!(gives_away(line), "{line}");
    }
    for line in [
        "2026-11-29T17:02 id=0f97-a119",
        "read 277 bytes",
        "POST /api/v1/predictions 200 in 119 us",
        "port 46179",
    ] {
        assert!(!gives_away(line), "{line}");
    }
}

/// Sends the planted values in every way, right and wrong.
fn plant(client: &mut Client) {
    let answer = client.predict(&patient());
    let place = format!("/api/v1/predictions/{}", answer["prediction_id"].as_str().unwrap());
    assert_eq!(client.post("/api/v1/predictions?explain=orphan", &patient()).status, 200);
    assert_eq!(client.get(&place).json()["patient_id"], "zebrafish-7");
    client.post(
        "/api/v1/predictions/batch",
        &json!([patient(), { "gender": WORD, "age_years": 119_277 }, WORD]),
    );
    for bad in [json!({ "gender": WORD, "age_years": "119" }), json!(WORD), json!({ WORD: WORD })] {
        assert_eq!(client.post("/api/v1/predictions", &bad).status, 422);
    }
    let json = [("content-type", "application/json")];
    assert_eq!(client.send("POST", "/api/v1/predictions", &json, b"{\"gender\": zebrafish").status, 400);
    let opinion = json!({ "verdict": "wrong", "comment": "zebrafish 277/179", "disease_code": "zebrafish" });
    assert_eq!(client.post(&format!("{place}/feedback"), &opinion).status, 201);

    let fields = "age_years=119&gender=male&blood_type=AB&systolic_mmhg=277&diastolic_mmhg=179&exercise_days_per_month=29";
    let sent = client.form("/", fields);
    assert_eq!(sent.status, 303, "{}", sent.text());
    let case = sent.header("location").to_owned();
    assert!(!case.contains("119") || numbers(&case).iter().all(|number| *number != AGE), "{case}");
    assert!(client.get(&case).text().contains("277/179 mmHg"));
    assert_eq!(client.form("/", "age_years=119277&gender=zebrafish&systolic_mmhg=277").status, 422);
    assert_eq!(
        client.form(&format!("{case}/feedback"), "verdict=wrong&severity=unknown&comment=zebrafish").status,
        303
    );
    assert_eq!(client.get("/zebrafish").status, 404);
}

#[test]
fn the_server_keeps_patients_out_of_its_logs_and_metrics() {
    for format in ["text", "json"] {
        let deployment = trained().copy();
        deployment.write("hoofbeat.toml", &format!("study = \"study.toml\"\n[log]\nformat = \"{format}\"\n"));
        let server = Server::start_tracing(&deployment);
        let mut client = server.client();
        plant(&mut client);
        let metrics = client.get("/metrics").text().to_owned();
        drop(client);
        server.break_off("POST /zebrafish?age_years=119&systolic_mmhg=277 HT");
        let log = server.stop();
        assert!(log.contains("connection ended early"), "the log does not tell the finest: {log}");
        assert_clean("the log", &log);
        assert_clean("/metrics", &metrics);
    }
}

#[test]
fn commands_keep_patients_out_of_what_they_print() {
    let deployment = trained().copy();
    let header = "case_id,patient_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month\n";
    deployment.write(
        "cases.csv",
        &format!(
            "{header}a,zebrafish-1,119,male,AB,277,179,29\nb,zebrafish-2,119,zebrafish,AB,277,179,29\n\
             c,zebrafish-3,119277,male,AB,277,279,29\n\"zebrafish,119,277,179\n"
        ),
    );
    let run = |line: &str| {
        let output = output(line, deployment.command(line.split(' ')).env("RUST_LOG", "trace"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    for line in [
        "ingest cases.csv --source ward",
        "ingest cases.csv --source ward --json",
        "dataset quarantine",
        "dataset show --json",
        "predict --in cases.csv --out scored.csv",
        "predict --in cases.csv --out scored.csv --json",
        "doctor",
    ] {
        let (code, stdout, stderr) = run(line);
        assert_eq!(code, Some(0), "{line}: {stderr}");
        assert_clean(line, &stdout);
        assert_clean(line, &stderr);
    }
    // Whoever asks for the rows as they came gets them.
    assert!(run("dataset quarantine --raw").1.contains("zebrafish-2"));
    assert!(deployment.read("scored.csv").contains("zebrafish-1"), "an answer names its patient");
}
