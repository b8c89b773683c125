//! No value of a patient in logs or metrics: distinctive ones are planted everywhere and looked for.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::house::{FORM, HTML, House, JSON, patient, with};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn planted_values_are_found_nowhere() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // The test runs on one thread, and so does everything that it spawns.
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("the capture works");

    let house = House::open().await;
    let planted = with(with(patient(), "patient_id", json!("ZEBRA-PSEUDONYM")), "systolic_mmhg", json!(271));
    let id = house.predict(&planted).await["prediction_id"].as_str().unwrap().to_owned();
    house.post("/api/v1/predictions/batch", &json!([planted, {"gender": "ZEBRA-GENDER"}])).await;
    for bad in [json!({"gender": "ZEBRA-GENDER", "age_years": 271_828}), Value::from("ZEBRA-TEXT")] {
        house.post("/api/v1/predictions", &bad).await;
    }
    let opinion = json!({"verdict": "wrong", "comment": "ZEBRA-COMMENT", "disease_code": "ZEBRA-CODE"});
    house.post(&format!("/api/v1/predictions/{id}/feedback"), &opinion).await;
    let form = "age_years=271828&gender=ZEBRA-GENDER";
    house.client().await.send("POST", "/", &[FORM, HTML], form).await;
    *house.log.0.broken.lock().unwrap() = true;
    house.client().await.send("POST", "/api/v1/predictions", &[JSON], planted.to_string()).await;
    house.get(&format!("/cases/{id}")).await;

    let logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        logs.contains("the capture works") && logs.contains("no answer without the prediction log"),
        "{logs}"
    );
    let metrics = house.get("/metrics").await.text().to_owned();
    for text in [logs, metrics] {
        for word in ["ZEBRA", "271828", "138/", "p-1"] {
            assert!(!text.contains(word), "{word} in\n{text}");
        }
    }
}
