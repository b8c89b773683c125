//! The answer holds the contract's shape and invariants, in both languages and for any study.

use serde_json::{Value, json};

use crate::{
    house::{House, JSON, patient, with},
    model::{study_of, study_with_glucose},
};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The sums that every answer must hold.
fn check_sums(answer: &Value, features: usize) {
    let classes = answer["severity"]["probabilities"].as_object().unwrap();
    let sum: f64 = classes.values().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    let explanation = &answer["explanation"];
    let parts: Vec<f64> = explanation["contributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["contribution"].as_f64().unwrap())
        .collect();
    assert_eq!(parts.len(), features);
    assert!(parts.windows(2).all(|pair| pair[0].abs() >= pair[1].abs()));
    let class = explanation["class"].as_str().unwrap();
    let shown = match class {
        "orphan" => answer["rarity"]["probability_orphan"].as_f64().unwrap(),
        class => classes[class].as_f64().unwrap(),
    };
    let told = explanation["base_value"].as_f64().unwrap() + parts.iter().sum::<f64>();
    assert!((told - shown).abs() < 1e-9, "{told} is not {shown}");
}

#[tokio::test]
async fn an_answer_has_the_contracts_members_in_order() {
    let house = House::open().await;
    let reply = house.post("/api/v1/predictions", &patient()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("content-language"), "es");
    assert_eq!(reply.header("cache-control"), "no-store");
    // The text, not a parsed map, tells the order.
    let text = reply.text();
    let mut at = 0;
    for member in [
        "prediction_id",
        "created_at",
        "model",
        "version",
        "dataset_version",
        "status",
        "code",
        "label",
        "colour",
        "advice",
        "severity",
        "class",
        "probabilities",
        "healthy",
        "mild",
        "acute",
        "chronic",
        "rarity",
        "class",
        "probability_orphan",
        "threshold",
        "nearest",
        "disease_code",
        "name",
        "probability",
        "blood_pressure",
        "explanation",
        "class",
        "unit",
        "base_value",
        "contributions",
        "feature",
        "value",
        "contribution",
        "text",
        "warnings",
    ] {
        let found = text[at..].find(&format!("\"{member}\":"));
        at += found.unwrap_or_else(|| panic!("{member} is missing or out of place in {text}")) + 1;
    }
    let answer = reply.json();
    check_sums(&answer, 5);
    assert_eq!(answer["model"], json!({"version": "m-0001", "dataset_version": 3}));
    assert_eq!(answer["blood_pressure"], "stage_1");
    assert_eq!(answer["explanation"]["unit"], "probability");
    assert_eq!(answer["explanation"]["class"], answer["severity"]["class"]);
    let created = answer["created_at"].as_str().unwrap();
    assert!(created.ends_with('Z') && created.len() <= 24, "{created}");
    let mut features: Vec<&str> = answer["explanation"]["contributions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["feature"].as_str().unwrap())
        .collect();
    features.sort_unstable();
    assert_eq!(features, ["age", "blood_pressure", "blood_type", "exercise", "gender"]);
}

#[tokio::test]
async fn many_patients_hold_the_invariants() {
    let house = House::open().await;
    let mut client = house.client().await;
    let mut seed = 12345_u32;
    let mut draw = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed / 65_536 % below
    };
    for turn in 0..150 {
        let diastolic = 30 + draw(151);
        let systolic = (diastolic + 1).max(50) + draw(279 - (diastolic + 1).max(50) + 1);
        let (gender, group) = (["female", "male"][draw(2) as usize], ["A", "B", "AB", "O"][draw(4) as usize]);
        let body = json!({
            "age_years": draw(121), "gender": gender,
            "blood_type": group, "systolic_mmhg": systolic,
            "diastolic_mmhg": diastolic, "exercise_days_per_month": draw(32)
        });
        let path = if turn % 2 == 0 { "/api/v1/predictions" } else { "/api/v1/predictions?explain=orphan" };
        let reply = client.send("POST", path, &[JSON], body.to_string()).await;
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        let answer = reply.json();
        check_sums(&answer, 5);
        assert_eq!(answer["explanation"]["class"] == "orphan", turn % 2 == 1);
        let class = answer["severity"]["class"].as_str().unwrap();
        let classes = answer["severity"]["probabilities"].as_object().unwrap();
        assert!(classes.values().all(|p| p.as_f64() <= classes[class].as_f64()));
        assert_eq!(answer["status"]["code"], class);
        let colour = match class {
            "healthy" => "green",
            "mild" => "yellow",
            _ => "red",
        };
        assert_eq!(answer["status"]["colour"], colour);
        assert_eq!(answer["rarity"]["class"].is_null(), class == "healthy");
        let expected = match (systolic, diastolic) {
            (s, d) if s > 180 || d > 120 => "crisis",
            (s, d) if s >= 140 || d >= 90 => "stage_2",
            (s, d) if s >= 130 || d >= 80 => "stage_1",
            (s, _) if s >= 120 => "elevated",
            _ => "normal",
        };
        assert_eq!(answer["blood_pressure"], expected);
    }
}

#[tokio::test]
async fn texts_follow_the_language_and_codes_do_not() {
    let house = House::open().await;
    let mut answers = Vec::new();
    for (accept, language) in [("es", "es"), ("en-GB,en;q=0.9", "en"), ("de", "es")] {
        let headers = [JSON, ("accept-language", accept)];
        let reply =
            house.client().await.send("POST", "/api/v1/predictions", &headers, patient().to_string()).await;
        assert_eq!(reply.header("content-language"), language);
        answers.push(reply.json());
    }
    let status = |at: usize| answers[at]["status"].clone();
    assert_eq!(status(0), status(2));
    assert_eq!(status(0)["code"], status(1)["code"]);
    assert_ne!(status(0)["label"], status(1)["label"]);
    let text = |at: usize| answers[at]["explanation"]["contributions"].to_string();
    assert!(text(0).contains("138/86 mmHg (Alta 1)") && text(0).contains("54 años"), "{}", text(0));
    assert!(text(1).contains("138/86 mmHg (Stage 1)") && text(1).contains("54 years"), "{}", text(1));
}

#[tokio::test]
async fn an_answer_is_shown_again_in_the_language_of_the_request() {
    let house = House::open().await;
    let first = house.predict(&patient()).await;
    let path = format!("/api/v1/predictions/{}", first["prediction_id"].as_str().unwrap());
    let again = house.get(&path).await;
    assert_eq!(again.status, 200);
    let mut again = again.json();
    assert_eq!(again["patient_id"], "p-1");
    assert_eq!(again["feedback"], json!([]));
    again.as_object_mut().unwrap().retain(|key, _| key != "patient_id" && key != "feedback");
    assert_eq!(again, first);
    let english = house.client().await.send("GET", &path, &[("accept-language", "en")], "").await;
    assert_eq!(english.header("content-language"), "en");
    assert_ne!(english.json()["status"]["label"], first["status"]["label"]);
    assert_eq!(english.json()["severity"], first["severity"]);
}

#[tokio::test]
async fn an_answer_survives_its_model() {
    let house = House::open().await;
    let first = house.predict(&patient()).await;
    let path = format!("/api/v1/predictions/{}", first["prediction_id"].as_str().unwrap());
    house.throne.set(crate::model::ClosedForm::new(study_of(&["gender", "exercise"]), "m-0002", 1.0));
    let again = house.get(&path).await.json();
    assert_eq!(again["model"]["version"], "m-0001");
    assert_eq!(again["explanation"], first["explanation"]);
    house.throne.former.write().unwrap().clear();
    assert_eq!(house.get(&path).await.status, 404);
}

#[tokio::test]
async fn what_is_asked_follows_from_the_study() {
    let small = House::with(study_of(&["gender", "exercise"])).await;
    let answer = small.predict(&json!({"gender": "male", "exercise_days_per_month": 12})).await;
    check_sums(&answer, 2);
    assert!(!keys(&answer).contains(&"blood_pressure"));
    assert!(small.get("/").await.text().contains("exercise_days_per_month"));
    assert!(!small.get("/").await.text().contains("age_years"));

    let glucose = House::with(study_with_glucose()).await;
    let missing = glucose.post("/api/v1/predictions", &patient()).await;
    assert_eq!(missing.problems(), ["glucose_mg_dl:missing"]);
    let answer = glucose.predict(&with(patient(), "glucose_mg_dl", json!(126))).await;
    check_sums(&answer, 6);
    assert!(answer["explanation"]["contributions"].to_string().contains("126 mg/dL"));
    assert!(glucose.get("/").await.text().contains("Glucosa en ayunas"));
    let schema = &glucose.get("/openapi.json").await.json()["components"]["schemas"]["Patient"];
    assert_eq!(schema["properties"]["glucose_mg_dl"]["maximum"], 600);
}
