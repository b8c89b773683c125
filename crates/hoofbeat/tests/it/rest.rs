//! REST on a real server: what every answer holds, whatever the patient, and what every other body gets. The
//! client fails on any 5xx.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Value, json};

use crate::harness::{
    Answered, Client, Deployment, Dice, Server, aha_category, random_patient, table, trained,
};

const PATH: &str = "/api/v1/predictions";
const PATIENTS: usize = 2_000;
const FEATURES: [&str; 5] = ["age", "blood_pressure", "blood_type", "exercise", "gender"];
/// The contract's: sums and additivity.
const TOLERANCE: f64 = 1e-6;

/// A client and its hold on the server, which ends with the last client.
struct Guest {
    client: Client,
    _server: Arc<(Deployment, Server)>,
}

impl Deref for Guest {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// One server for the stories that run at a time; each reads only what it wrote. Held weakly, because what
/// a static holds is never dropped and would outlive the tests.
fn client() -> Guest {
    static SERVER: Mutex<Weak<(Deployment, Server)>> = Mutex::new(Weak::new());
    let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let server = shared.upgrade().unwrap_or_else(|| {
        let deployment = trained().copy();
        let server = Server::start(&deployment);
        Arc::new((deployment, server))
    });
    *shared = Arc::downgrade(&server);
    Guest { client: server.1.client(), _server: server }
}

fn patient() -> Value {
    json!({
        "patient_id": "p-1", "age_years": 54, "gender": "female", "blood_type": "O",
        "systolic_mmhg": 138, "diastolic_mmhg": 86, "exercise_days_per_month": 6,
    })
}

fn with(mut patient: Value, field: &str, value: Value) -> Value {
    patient[field] = value;
    patient
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// Label and colour of a class in Spanish, and the label in English.
fn status_of(class: &str) -> (&'static str, &'static str, &'static str) {
    match class {
        "healthy" => ("NO ENFERMO", "NOT ILL", "green"),
        "mild" => ("ENFERMEDAD LEVE", "MILD ILLNESS", "yellow"),
        "acute" => ("ENFERMEDAD AGUDA", "ACUTE ILLNESS", "red"),
        "chronic" => ("ENFERMEDAD CRÓNICA", "CHRONIC ILLNESS", "red"),
        _ => panic!("{class} is not a severity"),
    }
}

fn assert_distribution(answer: &Value) {
    let classes = answer["severity"]["probabilities"].as_object().unwrap();
    assert_eq!(classes.keys().len(), 4);
    assert!(classes.values().all(|p| (0.0..=1.0).contains(&number(p))), "{answer}");
    let sum: f64 = classes.values().map(number).sum();
    assert!((sum - 1.0).abs() <= TOLERANCE, "probabilities sum to {sum}");
    let class = answer["severity"]["class"].as_str().unwrap();
    assert!(
        classes.values().all(|p| number(p) <= number(&classes[class])),
        "{class} is not the most probable"
    );
}

fn assert_status(answer: &Value) {
    let class = answer["severity"]["class"].as_str().unwrap();
    let (label, _, colour) = status_of(class);
    let status = &answer["status"];
    assert_eq!(
        (&status["code"], &status["label"], &status["colour"]),
        (&json!(class), &json!(label), &json!(colour))
    );
    assert!(!status["advice"].as_str().unwrap().is_empty());
}

/// Orphan exactly from the threshold on, none for healthy people, else common.
fn assert_rarity(answer: &Value) {
    let rarity = &answer["rarity"];
    let orphan = number(&rarity["probability_orphan"]);
    assert!((0.0..=1.0).contains(&orphan));
    let expected = match (orphan >= number(&rarity["threshold"]), answer["severity"]["class"] == "healthy") {
        (true, _) => json!("orphan"),
        (false, true) => Value::Null,
        (false, false) => json!("common"),
    };
    assert_eq!(rarity["class"], expected, "{rarity}");
    let warned = answer["warnings"].as_array().unwrap().iter().any(|w| w["code"] == "orphan_suspected");
    assert_eq!(warned, expected == "orphan");
    assert!(rarity["nearest"].is_array());
}

fn assert_explanation(answer: &Value, explained: f64) {
    let explanation = &answer["explanation"];
    let lines = explanation["contributions"].as_array().unwrap();
    let mut features: Vec<&str> = lines.iter().map(|line| line["feature"].as_str().unwrap()).collect();
    features.sort_unstable();
    assert_eq!(features, FEATURES, "one contribution per feature");
    let parts: Vec<f64> = lines.iter().map(|line| number(&line["contribution"])).collect();
    assert!(parts.windows(2).all(|pair| pair[0].abs() >= pair[1].abs()), "largest first: {parts:?}");
    let told = number(&explanation["base_value"]) + parts.iter().sum::<f64>();
    assert!((told - explained).abs() <= TOLERANCE, "the explanation adds up to {told}, not {explained}");
    assert_eq!(explanation["unit"], "probability");
    for line in lines {
        let (value, text) = (line["value"].as_str().unwrap(), line["text"].as_str().unwrap());
        assert!(!value.is_empty() && text.contains(value), "{line}");
    }
}

#[test]
fn two_thousand_patients_get_answers_that_hold_the_contract() {
    let mut client = client();
    let mut dice = Dice(2_000);
    for turn in 0..PATIENTS {
        let patient = random_patient(&mut dice);
        let answer = client.predict(&patient);
        assert_distribution(&answer);
        assert_status(&answer);
        assert_rarity(&answer);
        let class = answer["severity"]["class"].as_str().unwrap();
        assert_eq!(answer["explanation"]["class"], class);
        assert_explanation(&answer, number(&answer["severity"]["probabilities"][class]));
        let pressure = |field: &str| patient[field].as_i64().unwrap();
        let category = aha_category(pressure("systolic_mmhg"), pressure("diastolic_mmhg"));
        assert_eq!(answer["blood_pressure"], category, "{patient}");
        assert_eq!(answer["model"], json!({ "version": "m-0001", "dataset_version": 1 }));
        let (told, exported) = (Answered::of_answer(&answer), table("m-0001").of(&patient));
        assert!(told.agrees(exported, 1e-12), "{patient}: {told:?} is not the table's {exported:?}");

        if turn % 5 == 0 {
            let reply = client.post(&format!("{PATH}?explain=orphan"), &patient);
            let other = reply.json();
            assert_eq!(other["explanation"]["class"], "orphan");
            assert_explanation(&other, number(&other["rarity"]["probability_orphan"]));
            assert_eq!(other["severity"], answer["severity"], "the explanation changes the answer");
        }
    }
}

#[test]
fn every_wrong_value_is_named_and_all_of_them_at_once() {
    let mut client = client();
    let refused = |client: &mut Client, body: &Value| {
        let reply = client.post(PATH, body);
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        reply.issues()
    };
    // The contract's own example: 300/150.
    let mut pair = with(patient(), "systolic_mmhg", json!(300));
    pair["diastolic_mmhg"] = json!(150);
    assert_eq!(refused(&mut client, &pair), ["systolic_mmhg:out_of_range"]);
    for (field, value, code) in [
        ("gender", json!("other"), "unknown_code"),
        ("gender", json!(1), "wrong_type"),
        ("blood_type", json!("O+"), "unknown_code"),
        ("blood_type", Value::Null, "missing"),
        ("age_years", json!(121), "out_of_range"),
        ("age_years", json!(-1), "out_of_range"),
        ("age_years", json!("54"), "wrong_type"),
        ("age_years", json!(54.5), "wrong_type"),
        ("age_years", json!(1e300), "out_of_range"),
        ("diastolic_mmhg", json!(29), "out_of_range"),
        ("diastolic_mmhg", json!([86]), "wrong_type"),
        ("systolic_mmhg", json!(86), "inconsistent"),
        ("systolic_mmhg", json!(true), "wrong_type"),
        ("exercise_days_per_month", json!(32), "out_of_range"),
        ("exercise_days_per_month", json!({}), "wrong_type"),
        ("patient_id", json!(7), "wrong_type"),
    ] {
        assert_eq!(
            refused(&mut client, &with(patient(), field, value.clone())),
            [format!("{field}:{code}")],
            "{value}"
        );
    }
    let all = json!({
        "age_years": 154, "gender": "x", "systolic_mmhg": "high", "diastolic_mmhg": 250, "exercise_days_per_month": -1,
    });
    assert_eq!(
        refused(&mut client, &all),
        [
            "age_years:out_of_range",
            "blood_type:missing",
            "diastolic_mmhg:out_of_range",
            "exercise_days_per_month:out_of_range",
            "gender:unknown_code",
            "systolic_mmhg:wrong_type",
        ]
    );
    let problem = client.post(PATH, &pair).json();
    let range = &problem["errors"][0];
    assert_eq!((&range["min"], &range["max"]), (&json!(50), &json!(280)));
    assert_eq!(range["message"], "Sistólica: debe estar entre 50 y 280 mmHg");
}

#[test]
fn other_bodies_addresses_and_methods_get_their_status() {
    let mut client = client();
    let json = [("content-type", "application/json")];
    let good = patient().to_string();
    let large = format!("{{\"comment\": \"{}\"}}", "x".repeat(1 << 20));
    let bodies: [(&str, &[u8], u16); 11] = [
        ("nothing", b"", 400),
        ("cut off", b"{\"age_years\": 5", 400),
        ("no JSON", b"age_years=54", 400),
        ("NaN", b"{\"age_years\": NaN}", 400),
        ("not UTF-8", b"{\"gender\": \"\xff\"}", 400),
        ("a field twice", b"{\"age_years\": 5, \"age_years\": 6}", 400),
        ("a list", b"[]", 422),
        ("null", b"null", 422),
        ("an empty object", b"{}", 422),
        ("over 1 MiB", large.as_bytes(), 413),
        ("a patient", good.as_bytes(), 200),
    ];
    for (what, body, status) in bodies {
        let reply = client.send("POST", PATH, &json, body);
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        if status >= 400 {
            reply.issues();
        }
    }
    let text = client.send("POST", PATH, &[("content-type", "text/plain")], good.as_bytes());
    assert_eq!(text.status, 415);
    for path in ["/nothing", "/api/v1/predictions/none", "/api/v1/models/m-9999", "/assets/none.css"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    for (method, path) in [("GET", PATH), ("DELETE", PATH), ("PUT", "/api/v1/models"), ("POST", "/metrics")] {
        let reply = client.send(method, path, &[], b"");
        assert_eq!(reply.status, 405, "{method} {path}");
        assert!(!reply.header("allow").is_empty());
    }
}

#[test]
fn one_bad_row_spoils_no_other_of_a_batch() {
    let mut client = client();
    let mut dice = Dice(5);
    let mut rows: Vec<Value> = (0..600).map(|_| random_patient(&mut dice)).collect();
    rows[3] = with(rows[3].clone(), "gender", json!("other"));
    rows[500] = json!("not a patient");
    let check = |lines: &[Value]| {
        assert_eq!(lines.len(), rows.len());
        for (index, (line, row)) in lines.iter().zip(&rows).enumerate() {
            assert_eq!(line["index"], index);
            if [3, 500].contains(&index) {
                assert_eq!((&line["error"]["status"], &line["result"]), (&json!(422), &Value::Null));
            } else {
                assert_distribution(&line["result"]);
                assert!(Answered::of_answer(&line["result"]).agrees(table("m-0001").of(row), 1e-12));
            }
        }
        assert_eq!(lines[3]["error"]["errors"][0]["field"], "gender");
    };
    let path = format!("{PATH}/batch");
    let array = client.post(&path, &json!(rows));
    assert_eq!(array.status, 200);
    check(array.json().as_array().unwrap());

    let ndjson: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let reply = client.send("POST", &path, &[("content-type", "application/x-ndjson")], ndjson.as_bytes());
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    check(&lines);
    let last = lines[599]["result"]["prediction_id"].as_str().unwrap();
    assert_eq!(client.get(&format!("{PATH}/{last}")).status, 200);
    assert_eq!(client.post(&path, &patient()).status, 400, "one patient is no batch");
}

#[test]
fn an_answer_can_be_read_again_with_the_opinions_on_it() {
    let mut client = client();
    let answer = client.predict(&patient());
    let place = format!("{PATH}/{}", answer["prediction_id"].as_str().unwrap());
    let again = |client: &mut Client| client.get(&place).json();
    let mut first = again(&mut client);
    assert_eq!((&first["patient_id"], &first["feedback"]), (&json!("p-1"), &json!([])));
    first.as_object_mut().unwrap().retain(|key, _| key != "patient_id" && key != "feedback");
    assert_eq!(first, answer);

    let feedback = format!("{place}/feedback");
    let opinion = json!({ "verdict": "wrong", "severity": "chronic", "rarity": "orphan", "disease_code": "ORPHA:586", "comment": "x" });
    assert_eq!(client.post(&feedback, &opinion).status, 201);
    assert_eq!(client.post(&feedback, &json!({ "verdict": "confirmed" })).status, 201);
    for (bad, issue) in [
        (json!({}), "verdict:missing"),
        (json!({ "verdict": "maybe" }), "verdict:unknown_code"),
        (json!({ "verdict": "wrong", "severity": "grave" }), "severity:unknown_code"),
        (json!({ "verdict": "wrong", "severity": "healthy", "rarity": "orphan" }), "rarity:inconsistent"),
    ] {
        let reply = client.post(&feedback, &bad);
        assert_eq!((reply.status, reply.issues()), (422, vec![issue.to_owned()]), "{bad}");
    }
    let stored = again(&mut client)["feedback"].clone();
    assert_eq!(stored.as_array().unwrap().len(), 2, "{stored}");
    assert_eq!((&stored[0]["severity"], &stored[1]["verdict"]), (&json!("chronic"), &json!("confirmed")));
    let reviews = client.get("/api/v1/reviews?state=open&limit=1000").json();
    let opened = reviews["reviews"].as_array().unwrap();
    assert!(opened.iter().any(|review| review["prediction_id"] == answer["prediction_id"]), "{reviews}");
    let audit = client.get("/api/v1/audit?limit=1000").json();
    assert!(!audit["entries"].as_array().unwrap().is_empty());
}

#[test]
fn words_follow_the_reader_and_codes_do_not() {
    let mut client = client();
    let body = patient().to_string();
    let mut ask = |language: &str| {
        let headers = [("content-type", "application/json"), ("accept-language", language)];
        let reply = client.send("POST", PATH, &headers, body.as_bytes());
        (reply.header("content-language").to_owned(), reply.json())
    };
    let (spanish, es) = ask("es");
    let (english, en) = ask("en-GB,en;q=0.9,es;q=0.5");
    assert_eq!((spanish.as_str(), english.as_str(), ask("de").0.as_str()), ("es", "en", "es"));
    let class = es["severity"]["class"].as_str().unwrap();
    let (label_es, label_en, _) = status_of(class);
    assert_eq!((&es["status"]["label"], &en["status"]["label"]), (&json!(label_es), &json!(label_en)));
    let line = |answer: &Value| answer["explanation"]["contributions"].to_string();
    assert!(line(&es).contains("138/86 mmHg (Alta 1)") && line(&es).contains("54 años"), "{}", line(&es));
    assert!(line(&en).contains("138/86 mmHg (Stage 1)") && line(&en).contains("54 years"), "{}", line(&en));
    assert_eq!((&es["severity"], &es["rarity"]), (&en["severity"], &en["rarity"]));
}

#[test]
fn the_server_tells_what_it_is() {
    let mut client = client();
    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/readyz").status, 200);
    client.predict(&patient());
    let metrics = client.get("/metrics");
    assert!(
        metrics.text().contains("# TYPE") && metrics.text().contains("predictions"),
        "{}",
        metrics.text()
    );
    let document = client.get("/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [PATH, "/api/v1/predictions/batch", "/api/v1/predictions/{id}", "/api/v1/models/champion"] {
        assert!(!document["paths"][path].is_null(), "{path}");
    }
    assert_eq!(client.get("/docs").status, 200);
    assert_eq!(client.get("/api/v1/models/champion").json()["version"], "m-0001");
    assert_eq!(client.get("/api/v1/models").json()["models"].as_array().unwrap().len(), 2);
    let datasets = client.get("/api/v1/datasets");
    assert!(datasets.status == 200 && datasets.text().contains("\"version\":2"), "{}", datasets.text());
}

#[test]
fn without_a_champion_the_server_lives_but_is_not_ready() {
    let deployment = Deployment::empty();
    let server = Server::start(&deployment);
    assert_eq!(server.client().get("/healthz").status, 200);
    // The one 5xx that is right: there is nothing to answer from, and the client did nothing wrong.
    for (method, path, body) in [
        ("GET", "/readyz", String::new()),
        ("GET", "/", String::new()),
        ("POST", PATH, patient().to_string()),
    ] {
        assert_eq!(server.status(method, path, &body), 503, "{method} {path}");
    }
}
