//! Reviews and the cycle: a named reviewer's finding, looked at twice; trainings that are asked for; the second person.

use registry::{Act, Cause, ChangeKind, Decision, Replaces};
use serde_json::{Value, json};

use crate::house::{FORM, HTML, House, Reply, patient};
use crate::records::register;

/// A review of an answer that was reported as wrong; its prediction.
async fn reported(house: &House) -> (u64, String) {
    let id = house.predict(&patient()).await["prediction_id"].as_str().unwrap().to_owned();
    let body = json!({"verdict": "wrong", "severity": "chronic", "reporter": "Dr. Pérez"});
    let stored = house.post(&format!("/api/v1/predictions/{id}/feedback"), &body).await.json();
    assert_eq!(stored["actor"], "api:Dr. Pérez");
    (stored["review"].as_u64().unwrap(), id)
}

async fn form(house: &House, path: &str, fields: &str) -> Reply {
    house.client().await.send("POST", path, &[FORM, HTML], fields.to_owned()).await
}

#[tokio::test]
async fn a_resolution_names_its_reviewer_and_becomes_a_case_once() {
    let house = House::open().await;
    let (review, prediction) = reported(&house).await;
    let shown = house.get(&format!("/api/v1/reviews/{review}")).await.json();
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("open"), &json!("reported_wrong")));
    assert_eq!(shown["opinions"][0]["severity"], "chronic");
    assert_eq!(shown["marks"], json!({"contradicted": false, "repeated": false, "flood": null}));

    let path = format!("/api/v1/reviews/{review}/resolution");
    for (body, expected) in [
        (json!({}), vec!["severity:missing", "reviewer:missing"]),
        (json!({"reviewer": " ", "severity": "ill"}), vec!["severity:unknown_code", "reviewer:missing"]),
        (json!({"reviewer": "Ana", "severity": "chronic"}), vec!["rarity:inconsistent"]),
        (json!({"reviewer": "Ana", "severity": "healthy", "rarity": "common"}), vec!["rarity:inconsistent"]),
        (json!({"reviewer": "Ana", "outcome": "maybe"}), vec!["outcome:unknown_code"]),
        (json!({"reviewer": "x".repeat(81), "outcome": "dismissed"}), vec!["reviewer:out_of_range"]),
    ] {
        let refused = house.post(&path, &body).await;
        let mut problems = refused.problems();
        problems.sort();
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        expected.sort();
        if !problems.contains(&"reviewer:out_of_range".to_owned()) {
            assert_eq!((refused.status, problems), (422, expected), "{body}");
        }
    }
    assert_eq!(house.get(&format!("/api/v1/reviews/{review}")).await.json()["state"], "open");

    let body = json!({"reviewer": "Dra. Ruiz", "severity": "chronic", "rarity": "common", "disease_code": "ICD-10:I10"});
    let done = house.post(&path, &body).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let done = done.json();
    assert_eq!((&done["state"], &done["resolved_by"]), (&json!("resolved"), &json!("api:Dra. Ruiz")));
    assert_eq!(done["dataset_version"], 4);
    assert_eq!(house.registry.outcome(&prediction).unwrap().unwrap().severity, "chronic");
    // Again the same, by whomever; otherwise it is refused.
    assert_eq!(house.post(&path, &body).await.json(), done);
    let other = json!({"reviewer": "Leo", "outcome": "dismissed"});
    assert_eq!(house.post(&path, &other).await.status, 409);
    for unknown in ["99", "x", "99999999999999999999"] {
        assert_eq!(house.post(&format!("/api/v1/reviews/{unknown}/resolution"), &body).await.status, 404);
        assert_eq!(house.get(&format!("/api/v1/reviews/{unknown}")).await.status, 404);
    }
    let audit = house.get("/api/v1/audit").await.text().to_owned();
    assert!(audit.contains("review.resolve") && !audit.contains("I10"), "{audit}");
}

#[tokio::test]
async fn the_page_asks_twice_before_it_stores() {
    let house = House::open().await;
    let (review, _) = reported(&house).await;
    let path = format!("/reviews/{review}");
    let list = house.get("/reviews").await;
    assert!(
        list.text().contains(&format!("href=\"{path}\"")) && list.text().contains("Notificado como error")
    );
    let page = house.get(&path).await;
    for part in ["Dr. Pérez", "Por qué este resultado", "ENFERMEDAD CRÓNICA", "Su nombre queda con el caso"]
    {
        assert!(page.text().contains(part), "no {part}");
    }
    let fields = "key=k&severity=chronic&rarity=orphan&disease_code=ORPHA%3A586&reviewer=Ana&outcome=case";
    let incomplete = form(&house, &path, &fields.replace("reviewer=Ana", "reviewer=")).await;
    assert_eq!(incomplete.status, 422);
    assert!(incomplete.text().contains("Escriba su nombre") && incomplete.text().contains("ORPHA:586"));

    let look = form(&house, &path, fields).await;
    assert_eq!(look.status, 200);
    for part in ["Compruebe antes de guardar", "ENFERMEDAD CRÓNICA · Huérfana · ORPHA:586", "name=\"step\""]
    {
        assert!(look.text().contains(part), "no {part} in {}", look.text());
    }
    assert_eq!(house.get(&format!("/api/v1{path}")).await.json()["state"], "open", "nothing is stored yet");
    let edit = form(&house, &path, &format!("{fields}&step=edit")).await;
    assert!(edit.text().contains("value=\"ORPHA:586\""), "what was typed is lost");
    let stored = form(&house, &path, &format!("{fields}&step=confirm")).await;
    assert_eq!((stored.status, stored.header("location")), (303, path.as_str()));
    let page = house.get(&path).await;
    assert!(page.text().contains("El caso está en la versión 4 de los datos"), "{}", page.text());
    assert!(!page.text().contains("id=\"resolve\""), "it can be resolved again");
    let english = house.get(&format!("{path}?lang=en")).await;
    assert!(english.text().contains("The case is in version 4 of the data"));
    assert!(house.get("/reviews?state=resolved").await.text().contains(&path));

    let asked = house.post("/api/v1/reviews/suggestions", &json!({"number": 5, "requested_by": "Ana"})).await;
    assert_eq!(asked.json(), json!({"asked": 5, "by": "api:Ana"}));
    let refused = house.post("/api/v1/reviews/suggestions", &json!({"number": 0})).await;
    assert_eq!(refused.problems(), ["number:out_of_range"]);
}

#[tokio::test]
async fn a_flood_is_shown_and_changes_nothing() {
    let house = House::open().await;
    let id = house.predict(&patient()).await["prediction_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/predictions/{id}/feedback");
    for _ in 0..60 {
        let body = json!({"verdict": "wrong", "severity": "acute", "reporter": "Mallory"});
        assert_eq!(house.post(&path, &body).await.status, 201);
    }
    let page = house.get("/reviews").await;
    assert!(
        page.text().contains("Una de 60 notificaciones de la misma persona en un día"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("La misma persona ya había dicho lo mismo"));
    assert!(house.registry.uncollected_cases().unwrap().is_empty());
}

#[tokio::test]
async fn a_training_is_asked_for_by_name_and_once() {
    let house = House::open().await;
    for (body, expected) in [
        (json!({}), vec!["mode:missing", "requested_by:missing"]),
        (json!({"mode": "quick", "requested_by": "Ana"}), vec!["mode:unknown_code"]),
        (json!({"mode": 1, "requested_by": "Ana"}), vec!["mode:wrong_type"]),
    ] {
        assert_eq!(house.post("/api/v1/retrainings", &body).await.problems(), expected, "{body}");
    }
    let body = json!({"mode": "full", "requested_by": "Ana"}).to_string();
    let key = [crate::house::JSON, ("idempotency-key", "k-1")];
    let first = house.client().await.send("POST", "/api/v1/retrainings", &key, body.clone()).await;
    assert_eq!((first.status, first.header("location")), (202, "/api/v1/retrainings/1"));
    let again = house.client().await.send("POST", "/api/v1/retrainings", &key, body).await;
    assert_eq!(again.json(), first.json());
    let listed = house.get("/api/v1/retrainings").await.json();
    assert_eq!(listed["retrainings"].as_array().unwrap().len(), 1);
    assert_eq!(listed["retrainings"][0]["requested_by"], "api:Ana");
    assert_eq!(house.get("/api/v1/retrainings/1").await.json()["state"], "queued");
    assert_eq!(house.get("/api/v1/retrainings/2").await.status, 404);

    // On the page: a name, a mode, a second look.
    assert_eq!(form(&house, "/cycle/retrain", "mode=full&name=").await.status, 422);
    assert_eq!(form(&house, "/cycle/retrain", "mode=none&name=Ana").await.status, 422);
    let look = form(&house, "/cycle/retrain", "mode=orphan&name=Ana&key=a").await;
    assert!(look.text().contains("¿Reentrenar?") && look.text().contains("Enfermedades huérfanas"));
    assert_eq!(house.registry.jobs(10).unwrap().len(), 1);
    for _ in 0..2 {
        let sent = form(&house, "/cycle/retrain", "mode=orphan&name=Ana&key=a&step=confirm").await;
        assert_eq!((sent.status, sent.header("location")), (303, "/cycle#jobs"));
    }
    assert_eq!(house.registry.jobs(10).unwrap().len(), 2);
    let page = house.get("/cycle").await;
    assert_eq!(page.header("refresh"), "3; url=/cycle");
    assert!(page.text().contains("page:Ana") && page.text().contains("En espera"));
}

#[tokio::test]
async fn a_second_person_decides_and_the_history_tells() {
    let house = House::open().await;
    let [first, second, third] =
        ["run-1", "run-2", "run-3"].map(|run| register(&house.registry, run, true).parse().unwrap());
    let at = time::OffsetDateTime::now_utc();
    let act = |key: &'static str| Act { key, actor: "schedule", reason: "the gates hold", at };
    house.registry.promote(first, Replaces::Any, &act("1")).unwrap();
    let evidence: Value = json!({"figures": {"before": {"f1_common": {"value": 0.81}}, "after": {"f1_common": {"value": 0.86}},
        "difference": {"f1_common": {"value": 0.05, "low": 0.01, "high": 0.09}}}});
    for (key, model) in [("2", second), ("3", third)] {
        let cause = Cause {
            cause: "retrain:full",
            requested_by: "api:Ana",
            evidence: Some(&evidence),
            answers: None,
        };
        let decision = Decision { kind: ChangeKind::Wait, model, previous: Some(first), cause };
        house.registry.record_decision(&decision, &act(key)).unwrap();
    }
    let page = house.get("/cycle").await;
    for part in ["m-0002 espera a una segunda persona", "0,810", "0,860", "0,050 (de 0,010 a 0,090)"] {
        assert!(page.text().contains(part), "no {part}");
    }
    let path = format!("/api/v1/models/{second}/approve");
    assert_eq!(house.post(&path, &json!({})).await.problems(), ["approver:missing"]);
    assert_eq!(house.post(&path, &json!({"approver": "Ana"})).await.status, 409, "she asked for it");
    let look =
        form(&house, &format!("/cycle/{second}/approval"), "name=Eva&reason=bien&key=a&answer=approve").await;
    assert!(look.text().contains("El modelo pasará a responder"), "{}", look.text());
    let fields = "name=Eva&reason=bien&key=a&answer=approve&step=confirm";
    assert_eq!(form(&house, &format!("/cycle/{second}/approval"), fields).await.status, 303);
    assert_eq!(house.get("/api/v1/models/champion").await.json()["version"], second.to_string());
    let reject = format!("/api/v1/models/{third}/reject");
    assert_eq!(
        house.post(&reject, &json!({"approver": "Eva", "reason": "no"})).await.json()["kind"],
        "rejection"
    );

    let history = house.get("/api/v1/models/history").await.json();
    let kinds: Vec<&str> =
        history["changes"].as_array().unwrap().iter().map(|c| c["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["rejection", "promotion", "wait", "wait", "promotion"]);
    assert_eq!(history["changes"][1]["actor"], "page:Eva");
    let id = history["changes"][1]["id"].as_u64().unwrap();
    let record = house.get(&format!("/cycle/changes/{id}")).await;
    assert!(record.text().contains("Acta de cambio") && record.text().contains("Reentrenamiento completo"));
    assert_eq!(house.get("/cycle/changes/99").await.status, 404);

    let back = form(&house, "/cycle/rollback", "name=Eva&reason=peor&key=r&step=confirm").await;
    assert_eq!(back.status, 303);
    assert_eq!(house.get("/api/v1/models/champion").await.json()["version"], first.to_string());
}
