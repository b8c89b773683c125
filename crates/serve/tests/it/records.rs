//! Models, datasets, audit: what the registry knows, and the change of champion.

use registry::{Act, NewModel, NewRun, Registry};
use serde_json::json;

use crate::house::House;

pub(crate) fn register(registry: &Registry, run: &str, validated: bool) -> String {
    let at = time::OffsetDateTime::now_utc();
    let key = format!("test-{run}");
    let act = Act { key: &key, actor: "test", reason: "", at };
    let parameters = json!({});
    registry
        .start_run(&NewRun {
            id: run,
            started_at: at,
            dataset_version: 3,
            study_hash: "s",
            seed: 1,
            parameters: &parameters,
        })
        .unwrap();
    let version = registry.take_version(run).unwrap();
    let path = format!("models/{version}");
    registry.register(&NewModel { version, bundle_path: &path, bundle_digest: "d" }, &act).unwrap();
    if validated {
        registry.validate(version, &json!({"passed": true}), &act).unwrap();
    }
    version.to_string()
}

#[tokio::test]
async fn models_are_listed_promoted_and_rolled_back() {
    let house = House::open().await;
    assert_eq!(house.get("/api/v1/models").await.json(), json!({"models": []}));
    assert_eq!(house.get("/api/v1/models/champion").await.status, 404);
    let first = register(&house.registry, "run-1", true);
    let second = register(&house.registry, "run-2", true);
    let candidate = register(&house.registry, "run-3", false);

    let promote = |version: &str| format!("/api/v1/models/{version}/promote");
    let reply = house.post(&promote(&first), &json!({"reason": "first"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["champion"], first.as_str());
    let stale = house.post(&promote(&second), &json!({"replaces": second})).await;
    assert_eq!(stale.status, 409);
    stale.problems();
    let bare = house.client().await.send("POST", &promote(&second), &[], "").await;
    assert_eq!(bare.status, 200);
    assert_eq!(house.post(&promote(&candidate), &json!({})).await.status, 409);
    assert_eq!(house.post(&promote("m-0099"), &json!({})).await.status, 404);
    assert_eq!(house.post(&promote(&first), &json!({"reason": 5})).await.problems(), ["reason:wrong_type"]);

    let champion = house.get("/api/v1/models/champion").await.json();
    assert_eq!((&champion["version"], &champion["stage"]), (&json!(second), &json!("champion")));
    assert_eq!(champion["evaluations"], json!([]));
    let back = house.post("/api/v1/models/rollback", &json!({"reason": "worse"})).await;
    assert_eq!(back.json()["champion"], first.as_str());
    assert_eq!(house.post("/api/v1/models/rollback", &json!({})).await.status, 409);
    let shown = house.get(&format!("/api/v1/models/{second}")).await.json();
    assert_eq!(shown["stage"], "retired");
    let actions = house.get("/api/v1/audit").await.json()["entries"].to_string();
    assert!(actions.contains("model.promote") && actions.contains("model.rollback"), "{actions}");
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let house = House::open().await;
    for run in 0..5 {
        register(&house.registry, &format!("run-{run}"), false);
    }
    let mut seen = Vec::new();
    let mut next = json!(0);
    while !next.is_null() {
        let page = house.get(&format!("/api/v1/audit?limit=3&after={next}")).await.json();
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()));
        next = page["next"].clone();
    }
    assert!(seen.len() >= 5 && seen.iter().enumerate().all(|(at, seq)| *seq == at as u64 + 1), "{seen:?}");
    for (query, problem) in [
        ("limit=0", "limit:out_of_range"),
        ("limit=x", "limit:wrong_type"),
        ("after=-1", "after:wrong_type"),
        ("after=99999999999999999999", "after:wrong_type"),
    ] {
        assert_eq!(house.get(&format!("/api/v1/audit?{query}")).await.problems(), [problem]);
    }
    assert_eq!(house.get("/api/v1/reviews?state=lost").await.problems(), ["state:unknown_code"]);
    assert_eq!(house.get("/api/v1/datasets").await.json()["datasets"][0]["version"], 3);
}
