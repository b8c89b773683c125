//! Feedback: stored once, opens a review, is shown with its prediction.

use serde_json::json;

use crate::house::{House, JSON, patient};

#[tokio::test]
async fn feedback_is_stored_and_opens_a_review() {
    let house = House::open().await;
    let id = house.predict(&patient()).await["prediction_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/predictions/{id}/feedback");
    let body = json!({"verdict": "wrong", "severity": "chronic", "rarity": "orphan",
        "disease_code": "ORPHA:558", "comment": "HTA conocida"});
    let key = ("idempotency-key", "abc-1");
    let first = house.client().await.send("POST", &path, &[JSON, key], body.to_string()).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let stored = first.json();
    assert_eq!(stored["verdict"], "wrong");
    assert_eq!(stored["prediction_id"], id.as_str());
    let again = house.client().await.send("POST", &path, &[JSON, key], body.to_string()).await;
    assert_eq!(again.json(), stored);
    let reused = house
        .client()
        .await
        .send("POST", &path, &[JSON, key], json!({"verdict": "confirmed"}).to_string())
        .await;
    assert_eq!(reused.status, 409);
    reused.problems();

    let shown = house.get(&format!("/api/v1/predictions/{id}")).await.json();
    assert_eq!(shown["feedback"], json!([stored]));
    let reviews = house.get("/api/v1/reviews?state=open").await.json();
    assert_eq!(reviews["reviews"][0]["prediction_id"], id.as_str());
    assert_eq!(reviews["reviews"][0]["reason"], "reported_wrong");
    assert_eq!(house.get("/api/v1/reviews?state=resolved").await.json()["reviews"], json!([]));
    let audit = house.get("/api/v1/audit").await.json();
    assert_eq!(audit["entries"][0]["action"], "feedback.record");
    assert_eq!(audit["head"]["seq"], 1);
    assert!(!audit.to_string().contains("HTA conocida"));
}

#[tokio::test]
async fn wrong_feedback_is_named_field_by_field() {
    let house = House::open().await;
    let id = house.predict(&patient()).await["prediction_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/predictions/{id}/feedback");
    for (body, expected) in [
        (json!({}), vec!["verdict:missing"]),
        (json!([]), vec!["verdict:missing"]),
        (json!({"verdict": true}), vec!["verdict:wrong_type"]),
        (
            json!({"verdict": "maybe", "severity": "ill", "rarity": "rare", "comment": 5}),
            vec![
                "comment:wrong_type",
                "verdict:unknown_code",
                "severity:unknown_code",
                "rarity:unknown_code",
            ],
        ),
        (json!({"verdict": "wrong", "severity": "healthy", "rarity": "common"}), vec!["rarity:inconsistent"]),
        (json!({"verdict": "wrong", "comment": "x".repeat(4001)}), vec!["comment:out_of_range"]),
    ] {
        let reply = house.post(&path, &body).await;
        assert_eq!(
            (reply.status, reply.problems()),
            (422, expected.into_iter().map(str::to_owned).collect()),
            "{body}"
        );
    }
    let unknown = house
        .post(
            "/api/v1/predictions/00000000-0000-0000-0000-000000000000/feedback",
            &json!({"verdict": "wrong"}),
        )
        .await;
    assert_eq!(unknown.status, 404);
    assert_eq!(house.get("/api/v1/reviews").await.json()["reviews"], json!([]));
}
