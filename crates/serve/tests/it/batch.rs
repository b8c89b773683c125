//! Batches: an answer or an error a row, in order, whatever the other rows hold.

use serde_json::{Value, json};

use crate::house::{House, JSON, patient, with};

const PATH: &str = "/api/v1/predictions/batch";

#[tokio::test]
async fn one_bad_row_never_spoils_the_rest() {
    let house = House::open().await;
    let rows =
        json!([patient(), {"age_years": 1}, with(patient(), "age_years", json!(20)), 5, null, [patient()]]);
    let reply = house.post(PATH, &rows).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    let lines = reply.json();
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), 6);
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], at);
        assert_eq!(line.get("result").is_some(), at == 0 || at == 2, "{line}");
        assert_eq!(line.get("error").is_some(), at != 0 && at != 2, "{line}");
    }
    assert_eq!(lines[1]["error"]["status"], 422);
    assert_eq!(lines[1]["error"]["errors"].as_array().unwrap().len(), 5);
    let mut alone = house.predict(&patient()).await;
    let mut together = lines[0]["result"].clone();
    for answer in [&mut alone, &mut together] {
        answer.as_object_mut().unwrap().retain(|key, _| key != "prediction_id" && key != "created_at");
    }
    assert_eq!(alone, together);
    let id = lines[2]["result"]["prediction_id"].as_str().unwrap();
    assert_eq!(house.get(&format!("/api/v1/predictions/{id}")).await.status, 200);
}

#[tokio::test]
async fn lines_in_lines_out() {
    let house = House::open().await;
    let body = format!("{}\n\n{{broken\n{}\r\n", patient(), with(patient(), "gender", json!("x")));
    let media = ("content-type", "application/x-ndjson");
    let reply = house.client().await.send("POST", &format!("{PATH}?explain=orphan"), &[media], body).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["result"]["explanation"]["class"], "orphan");
    assert_eq!(lines[1]["error"]["status"], 400);
    assert_eq!(lines[2]["error"]["errors"][0]["code"], "unknown_code");
}

#[tokio::test]
async fn large_and_empty_batches() {
    let house = House::with(crate::model::study_of(&["gender", "exercise"])).await;
    let mut client = house.client().await;
    let rows: Vec<Value> =
        (0..1500).map(|at| json!({"gender": "male", "exercise_days_per_month": at % 40})).collect();
    let reply = client.send("POST", PATH, &[JSON], serde_json::to_string(&rows).unwrap()).await;
    let lines = reply.json();
    assert_eq!(lines.as_array().unwrap().len(), 1500);
    for (at, line) in lines.as_array().unwrap().iter().enumerate() {
        assert_eq!(line["index"], at);
        assert_eq!(line.get("result").is_some(), at % 40 <= 31);
    }
    // A group that is exactly full is followed by the end.
    let full = serde_json::to_string(&rows[..512]).unwrap();
    assert_eq!(client.send("POST", PATH, &[JSON], full).await.json().as_array().unwrap().len(), 512);
    assert_eq!(client.send("POST", PATH, &[JSON], "[]").await.json(), json!([]));
    let none = client.send("POST", PATH, &[("content-type", "application/x-ndjson")], "").await;
    assert_eq!((none.status, none.body.len()), (200, 0));
    // More than one mebibyte is in order here.
    let padded = format!("[{}{{}}]", " ".repeat(3 << 20));
    assert_eq!(client.send("POST", PATH, &[JSON], padded).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_batch_is_refused_before_anything_is_logged() {
    let house = House::open().await;
    let mut client = house.client().await;
    let half = format!("[{},", patient());
    for (body, status) in [("", 400), ("{}", 400), ("[1", 400), ("[1]x", 400), (half.as_str(), 400)] {
        let reply = client.send("POST", PATH, &[JSON], body.to_owned()).await;
        assert_eq!(reply.status, status, "{body}");
        reply.problems();
    }
    let reply = client.send("POST", PATH, &[("content-type", "text/csv")], "a,b").await;
    assert_eq!(reply.status, 415);
    assert!(house.log.0.pages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn rows_that_the_log_cannot_keep_are_errors() {
    let house = House::open().await;
    *house.log.0.broken.lock().unwrap() = true;
    let lines = house.post(PATH, &json!([patient(), 5])).await.json();
    assert_eq!((&lines[0]["error"]["status"], &lines[1]["error"]["status"]), (&json!(503), &json!(422)));
}
