//! Health, readiness, metrics, the API's document, and the bounds on time.

use std::time::Duration;

use clinical::Study;
use serde_json::{Value, json};
use serve::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    house::{HTML, House, PATIENCE, patient},
    model::ClosedForm,
};

/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn ready_only_with_a_champion() {
    let house = House::start(Study::default_study().clone(), Settings::default()).await;
    assert_eq!(house.get("/healthz").await.status, 200);
    let not_yet = house.get("/readyz").await;
    assert_eq!(not_yet.status, 503);
    not_yet.problems();
    let refused = house.post("/api/v1/predictions", &patient()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    let page = house.client().await.send("GET", "/", &[HTML], "").await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("Todavía no hay un modelo en uso"));
    assert_eq!(house.get("/openapi.json").await.status, 200);
    house.throne.set(ClosedForm::new(Study::default_study().clone(), "m-0001", 0.0));
    let ready = house.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["model"]["version"]), (200, &json!("m-0001")));
}

#[tokio::test]
async fn metrics_count_by_route_class_and_model() {
    let house = House::open().await;
    house.predict(&patient()).await;
    house.post("/api/v1/predictions", &json!({})).await;
    house.get("/secret/p-1/path").await;
    let reply = house.get("/metrics").await;
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = reply.text();
    for line in [
        "# TYPE hoofbeat_http_requests_total counter",
        "hoofbeat_http_requests_total{method=\"POST\",route=\"/api/v1/predictions\",status=\"200\"} 1",
        "hoofbeat_http_requests_total{method=\"POST\",route=\"/api/v1/predictions\",status=\"422\"} 1",
        "hoofbeat_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "# TYPE hoofbeat_http_request_duration_seconds histogram",
        "hoofbeat_http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/predictions\"} 2",
        "hoofbeat_refused_values_total{field=\"age_years\",code=\"missing\"} 1",
        "hoofbeat_model_info{version=\"m-0001\",dataset_version=\"3\"} 1",
        "# TYPE hoofbeat_build_info gauge",
        "hoofbeat_build_info{version=\"0.1.0\",commit=\"abc\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    assert_eq!(text.matches("\nhoofbeat_predictions_total{").count(), 1);
    assert!(!text.contains("secret") && !text.contains("# EOF"));
    let open = ("accept", "application/openmetrics-text; version=1.0.0");
    let reply = house.client().await.send("GET", "/metrics", &[open], "").await;
    assert!(reply.header("content-type").starts_with("application/openmetrics-text"));
    assert!(reply.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_api_document_is_made_from_the_study() {
    let house = House::open().await;
    let document = house.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let schema = &document["components"]["schemas"]["Patient"];
    assert_eq!(schema["properties"]["systolic_mmhg"]["minimum"], 50);
    assert_eq!(schema["properties"]["systolic_mmhg"]["maximum"], 280);
    assert_eq!(schema["properties"]["blood_type"]["enum"], json!(["A", "B", "AB", "O"]));
    assert_eq!(schema["required"].as_array().unwrap().len(), 6);
    let required = schema["required"].as_array().unwrap();
    assert!(!required.contains(&json!("patient_id")));
    // The example is a patient that is really answered, and every reference leads somewhere.
    let example = &document["paths"]["/api/v1/predictions"]["post"]["requestBody"]["content"]["application/json"]
        ["example"];
    house.predict(example).await;
    follow(&document, &document);
    // Every documented path is served: none answers 404 for an unknown address.
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let address = path.replace("{id}", "x").replace("{version}", "x");
            let reply = house.client().await.send(&method.to_uppercase(), &address, &[], "").await;
            let unknown = reply.status == 404 && reply.text().contains("No hay nada en esta dirección");
            assert!(!unknown && reply.status != 405, "{method} {path}: {}", reply.text());
        }
    }
    let page = house.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("/api/v1/predictions/batch"));
}

fn follow(part: &Value, document: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| follow(member, document));
        }
        Value::Array(items) => items.iter().for_each(|item| follow(item, document)),
        _ => {}
    }
}

#[tokio::test]
async fn a_client_that_sends_its_head_slowly_is_cut_off() {
    let settings = Settings { head_timeout: SHORT, ..Settings::default() };
    let house = House::start(Study::default_study().clone(), settings).await;
    let mut head = TcpStream::connect(house.address).await.unwrap();
    head.write_all(b"POST /api/v1/predictions HTTP/1.1\r\nhost: loc").await.unwrap();
    // However it ends, it ends.
    let _ = timeout(PATIENCE, head.read_to_end(&mut Vec::new())).await.expect("a slow client was kept");
}

#[tokio::test]
async fn a_client_that_sends_its_body_slowly_is_told_so() {
    let settings = Settings { request_timeout: SHORT, ..Settings::default() };
    let house = House::start(Study::default_study().clone(), settings).await;
    let mut body = TcpStream::connect(house.address).await.unwrap();
    let begin = b"POST /api/v1/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{";
    body.write_all(begin).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, body.read_to_string(&mut answer)).await.expect("a slow client was kept").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let house =
        House::start(Study::default_study().clone(), Settings { connections: 1, ..Settings::default() })
            .await;
    let mut first = house.client().await;
    assert_eq!(first.send("GET", "/healthz", &[], "").await.status, 200);
    let mut second = house.client().await;
    assert!(timeout(SHORT, second.send("GET", "/healthz", &[], "")).await.is_err());
    drop(first);
    let mut third = house.client().await;
    assert_eq!(third.send("GET", "/healthz", &[], "").await.status, 200);
}
