//! Whatever a client sends is answered with the fitting 4xx, every field named, and nothing else.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    house::{House, JSON, patient, with},
    model::{Broken, ClosedForm},
};

const PATH: &str = "/api/v1/predictions";

#[tokio::test]
async fn every_wrong_value_is_named_at_once() {
    let house = House::open().await;
    let body = json!({
        "patient_id": 7, "age_years": "54", "gender": "other", "systolic_mmhg": 300,
        "diastolic_mmhg": 86.5, "exercise_days_per_month": null
    });
    let reply = house.post(&format!("{PATH}?explain=severity"), &body).await;
    assert_eq!(reply.status, 422);
    assert_eq!(
        reply.problems(),
        [
            "age_years:wrong_type",
            "gender:unknown_code",
            "blood_type:missing",
            "systolic_mmhg:out_of_range",
            "diastolic_mmhg:wrong_type",
            "exercise_days_per_month:missing",
            "patient_id:wrong_type",
        ]
    );
    let problem = reply.json();
    assert_eq!(problem["instance"], PATH);
    assert_eq!(problem["errors"][3]["min"], 50);
    assert_eq!(problem["errors"][3]["max"], 280);
    assert!(problem["errors"][1].get("min").is_none());
    assert_eq!(problem["errors"][3]["message"], "Sistólica: debe estar entre 50 y 280 mmHg");
    let english = house.client().await;
    let mut english = english;
    let reply = english.send("POST", PATH, &[JSON, ("accept-language", "en")], body.to_string()).await;
    assert_eq!(reply.header("content-language"), "en");
    assert_eq!(reply.json()["errors"][3]["message"], "Systolic must be between 50 and 280 mmHg");
    assert_eq!(reply.json()["title"], "Some values are not valid");
}

#[tokio::test]
async fn single_values_get_their_code() {
    let house = House::open().await;
    let mut client = house.client().await;
    for (field, value, code) in [
        ("age_years", json!(-1), "out_of_range"),
        ("age_years", json!(121), "out_of_range"),
        ("age_years", json!(1e300), "out_of_range"),
        ("age_years", json!(54.5), "wrong_type"),
        ("age_years", json!(true), "wrong_type"),
        ("age_years", json!([54]), "wrong_type"),
        ("age_years", json!({"value": 54}), "wrong_type"),
        ("age_years", json!(""), "wrong_type"),
        ("gender", json!(1), "wrong_type"),
        ("gender", json!("Female"), "unknown_code"),
        ("gender", json!(""), "missing"),
        ("blood_type", json!("0"), "unknown_code"),
        ("systolic_mmhg", json!(86), "inconsistent"),
        ("exercise_days_per_month", json!(32), "out_of_range"),
        ("patient_id", json!("x".repeat(129)), "out_of_range"),
    ] {
        let reply =
            client.send("POST", PATH, &[JSON], with(patient(), field, value.clone()).to_string()).await;
        assert_eq!(reply.status, 422, "{field} {value}");
        assert_eq!(reply.problems(), [format!("{field}:{code}")], "{value}");
    }
    for (field, value) in [
        ("age_years", json!(54.0)),
        ("patient_id", json!("é".repeat(128))),
        ("patient_id", Value::Null),
        ("unknown", json!({"deep": [1, 2]})),
    ] {
        let reply = client.send("POST", PATH, &[JSON], with(patient(), field, value).to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[tokio::test]
async fn broken_bodies_are_400_or_422_and_the_connection_lives_on() {
    let house = House::open().await;
    let mut client = house.client().await;
    let valid = patient().to_string();
    let long_key = format!("{{\"{}\":1}}", "k".repeat(100_000));
    let deep = format!("{{\"age_years\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let unclosed = "[".repeat(1_000_000);
    let cases: Vec<(&[u8], u16)> = vec![
        (b"", 400),
        (b"{", 400),
        (b"not json", 400),
        (b"{\"age_years\": NaN}", 400),
        (b"{\"age_years\": Infinity}", 400),
        (b"{'age_years': 5}", 400),
        (b"{\"age_years\": 5,}", 400),
        (b"{\"age_years\": 5} {}", 400),
        (b"{\"age_years\": 5, \"age_years\": 5}", 400),
        (b"{\"gender\": \"\xff\xfe\"}", 400),
        (b"\xff\xfe{\x00}\x00", 400),
        (b"{\"gender\": \"\\ud800\"}", 400),
        (unclosed.as_bytes(), 400),
        (b"{}", 422),
        (b"[]", 422),
        (b"null", 422),
        (b"\"text\"", 422),
        (b"5", 422),
        (deep.as_bytes(), 422),
        (long_key.as_bytes(), 422),
        (b"{\"age_years\": 1e999999}", 422),
        (b"{\"age_years\": 123456789012345678901234567890}", 422),
        (b"{\"age_years\": -0.0000000000000000000000001}", 422),
        (valid.as_bytes(), 200),
    ];
    for (body, status) in cases {
        let reply = client.send("POST", PATH, &[JSON], body.to_vec()).await;
        let head = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(reply.status, status, "{head}: {}", reply.text());
        if status >= 400 {
            reply.problems();
        }
    }
    for (media, status) in [
        ("text/plain", 415),
        ("application/xml", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=latin1", 415),
        ("application/json;charset=utf-8", 200),
    ] {
        let reply = client.send("POST", PATH, &[("content-type", media)], valid.clone()).await;
        assert_eq!(reply.status, status, "{media}");
    }
    let gzip = client.send("POST", PATH, &[JSON, ("content-encoding", "gzip")], valid.clone()).await;
    assert_eq!(gzip.status, 415);
    let explain = client.send("POST", &format!("{PATH}?explain=moon"), &[JSON], valid).await;
    assert_eq!((explain.status, explain.problems()), (422, vec!["explain:unknown_code".to_owned()]));
}

#[tokio::test]
async fn more_than_a_mebibyte_is_413_announced_or_not() {
    let house = House::open().await;
    let large = format!("{{\"x\":\"{}\"}}", "a".repeat(3 << 20));
    let reply = house.client().await.send("POST", PATH, &[JSON], large.clone()).await;
    assert_eq!(reply.status, 413);
    reply.problems();

    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in large.as_bytes().chunks(65_536) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
        stream.write_all(piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("application/problem+json"));

    // Just below the limit it is read and checked.
    let fits = format!("{{\"x\":\"{}\"}}", "a".repeat((1 << 20) - 8));
    assert_eq!(fits.len(), 1 << 20);
    assert_eq!(house.client().await.send("POST", PATH, &[JSON], fits).await.status, 422);
}

#[tokio::test]
async fn addresses_and_methods_that_are_not_served() {
    let house = House::open().await;
    let mut client = house.client().await;
    for path in [
        "/nothing",
        "/api/v1/nothing",
        "/api/v1/predictions/",
        "/api/v1/predictions/not-a-uuid",
        "/api/v1/predictions/00000000-0000-0000-0000-000000000000",
        "/%ff",
        "/api/v1/models/m-9999",
        "/api/v1/models/x",
        "/assets/../Cargo.toml",
    ] {
        let reply = client.send("GET", path, &[], "").await;
        assert_eq!(reply.status, 404, "{path}");
        reply.problems();
    }
    for (method, path, allow) in [
        ("GET", PATH, "POST"),
        ("DELETE", PATH, "POST"),
        ("PUT", "/api/v1/models", "GET,HEAD"),
        ("BREW", "/healthz", "GET,HEAD"),
    ] {
        let reply = client.send(method, path, &[], "").await;
        assert_eq!((reply.status, reply.header("allow")), (405, allow), "{method} {path}");
        reply.problems();
    }
    let head = client.send("HEAD", "/healthz", &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let page = client.send("GET", "/nothing", &[crate::house::HTML], "").await;
    assert_eq!(page.status, 404);
    assert!(page.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn foreign_hosts_and_foreign_pages_are_refused() {
    let house = House::open().await;
    let mut client = house.client().await;
    let body = patient().to_string();
    let reply = client.send("GET", "/healthz", &[("host", "evil.example")], "").await;
    assert_eq!(reply.status, 421);
    for extra in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        let reply = client.send("POST", PATH, &[JSON, extra], body.clone()).await;
        assert_eq!(reply.status, 403, "{extra:?}");
        reply.problems();
    }
    for extra in [("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8501")] {
        assert_eq!(client.send("POST", PATH, &[JSON, extra], body.clone()).await.status, 200, "{extra:?}");
    }
}

#[tokio::test]
async fn without_the_log_there_is_no_answer() {
    let house = House::open().await;
    *house.log.0.broken.lock().unwrap() = true;
    let reply = house.post(PATH, &patient()).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, "5"));
    reply.problems();
    *house.log.0.broken.lock().unwrap() = false;
    assert_eq!(house.post(PATH, &patient()).await.status, 200);
    assert_eq!(house.log.0.pages.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_model_is_a_fault_and_the_server_lives_on() {
    let house = House::open().await;
    for panics in [false, true] {
        let sound = ClosedForm::new(clinical::Study::default_study().clone(), "m-0002", 1.0);
        *house.throne.current.write().unwrap() = Some(std::sync::Arc::new(Broken { sound, panics }));
        let reply = house.post(PATH, &patient()).await;
        assert_eq!(reply.status, 500);
        reply.problems();
        assert_eq!(house.get("/healthz").await.status, 200);
    }
    assert!(house.log.0.pages.lock().unwrap().is_empty());
}
