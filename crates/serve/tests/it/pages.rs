//! The page without script: form, errors, result, feedback, languages, and what protects them.

use registry::Verdict;
use serde_json::json;

use crate::house::{FORM, HTML, House, Reply, patient};

const GOOD: &str =
    "age_years=67&gender=female&blood_type=A&systolic_mmhg=178&diastolic_mmhg=104&exercise_days_per_month=2";

async fn send(house: &House, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let all: Vec<_> = headers.iter().copied().chain([FORM, HTML]).collect();
    house.client().await.send("POST", path, &all, body.to_owned()).await
}

async fn look(house: &House, path: &str, headers: &[(&str, &str)]) -> Reply {
    let all: Vec<_> = headers.iter().copied().chain([HTML]).collect();
    house.client().await.send("GET", path, &all, "").await
}

async fn classify(house: &House) -> String {
    let sent = send(house, "/", &[], GOOD).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    sent.header("location").to_owned()
}

#[tokio::test]
async fn a_form_becomes_a_case_that_may_be_reloaded() {
    let house = House::open().await;
    let empty = look(&house, "/", &[]).await;
    assert_eq!(empty.status, 200);
    assert!(empty.text().contains("Sin resultado todavía") && empty.text().contains("<html lang=\"es\">"));
    let place = classify(&house).await;
    for value in ["67", "178", "female"] {
        assert!(!place.contains(&format!("={value}")));
    }
    let first = look(&house, &place, &[]).await;
    let second = look(&house, &place, &[]).await;
    assert_eq!(first.status, 200);
    assert_eq!(house.log.0.pages.lock().unwrap().len(), 1);
    let text = first.text();
    // What was typed stays beside the result, which is in words, number, icon and colour.
    for part in [
        "name=\"age_years\"",
        "value=\"67\"",
        "value=\"178\"",
        "value=\"female\" aria-describedby=\"gender-e\" checked",
        "role=\"status\"",
        "178/104 mmHg (Alta 2)",
        "\u{a0}%",
        "Por qué este resultado",
        "Punto de partida",
        "UTC",
        "m-0001",
        "<table class=\"bars\">",
        "<table class=\"wf\">",
        "De cada 100 pacientes",
        "Enfermedad huérfana:",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(second.text().contains("Por qué este resultado"));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(first.header(name), value);
    }
    let policy = first.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"));
    // What the policy forbids is not there.
    assert!(!text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick"));
    assert!(!text.contains("http://") && !text.contains("https://"), "something is loaded from elsewhere");
}

#[tokio::test]
async fn errors_are_said_as_the_interface_says_them_and_nothing_typed_is_lost() {
    let house = House::open().await;
    let body = "age_years=167&gender=x&systolic_mmhg=78&diastolic_mmhg=104&exercise_days_per_month=%3Cb%3E";
    let page = send(&house, "/", &[], body).await;
    assert_eq!(page.status, 422);
    let text = page.text();
    assert!(text.contains("<title>Error: "));
    assert!(text.contains("Revise 5 datos antes de clasificar"));
    assert!(text.contains("role=\"alert\" tabindex=\"-1\" autofocus"));
    let rest = house.post("/api/v1/predictions", &serde_json::json!({"age_years": 167})).await.json();
    let message = rest["errors"][0]["message"].as_str().unwrap();
    assert_eq!(message, "Edad: debe estar entre 0 y 120 años");
    // In the summary, at the field, and as what the script would say.
    assert_eq!(text.matches(message).count(), 3, "{text}");
    assert!(text.contains("<a href=\"#systolic_mmhg\">Sistólica: debe ser mayor que diastólica</a>"));
    for kept in ["value=\"167\"", "value=\"78\"", "value=\"104\"", "value=\"&#60;b&#62;\""] {
        assert!(text.contains(kept), "{kept} is lost");
    }
    assert!(house.log.0.pages.lock().unwrap().is_empty());
    assert_eq!(send(&house, "/", &[], "").await.status, 422);
}

#[tokio::test]
async fn the_language_is_chosen_once_and_kept() {
    let house = House::open().await;
    let english = look(&house, "/?lang=en", &[]).await;
    assert!(english.text().contains("<html lang=\"en\">") && english.text().contains("Patient data"));
    assert_eq!(english.header("set-cookie"), "lang=en; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly");
    let place = classify(&house).await;
    let kept = look(&house, &place, &[("cookie", "lang=en"), ("accept-language", "es")]).await;
    assert!(kept.text().contains("Why this result") && kept.text().contains("178/104 mmHg (Stage 2)"));
    assert!(
        look(&house, &place, &[("accept-language", "en-US")]).await.text().contains("Por qué este resultado")
    );
    assert!(
        look(&house, &place, &[("accept-language", "fr")]).await.text().contains("Por qué este resultado")
    );
    let errors = send(&house, "/", &[("cookie", "lang=en")], "age_years=167").await;
    assert!(errors.text().contains("Age must be between 0 and 120 years"));
}

#[tokio::test]
async fn one_press_agrees_and_a_short_form_differs() {
    let house = House::open().await;
    let place = classify(&house).await;
    let id = place.trim_start_matches("/cases/").to_owned();
    let path = format!("{place}/feedback");
    for _ in 0..2 {
        let sent = send(&house, &path, &[], "verdict=confirmed&key=k-1").await;
        assert_eq!((sent.status, sent.header("location")), (303, format!("{place}#opinion").as_str()));
    }
    let stored = house.registry.feedback(&id).unwrap();
    assert_eq!((stored.len(), stored[0].verdict), (1, Verdict::Confirmed));
    assert!(look(&house, &place, &[]).await.text().contains("Gracias. Consta que el resultado coincide"));

    let page = look(&house, &path, &[]).await;
    assert!(page.text().contains("No lo sé todavía"));
    assert!(!page.text().contains(" checked"), "something is preselected");
    let none = send(&house, &path, &[], "verdict=wrong&key=k-2&comment=HTA%20conocida").await;
    assert_eq!(none.status, 422);
    assert!(none.text().contains("Elija su valoración del caso") && none.text().contains("HTA conocida"));
    let body = "verdict=wrong&key=k-2&severity=chronic&rarity=common&disease_code=ICD-10%3AI10&comment=HTA%20conocida";
    assert_eq!(send(&house, &path, &[], body).await.status, 303);
    assert_eq!(send(&house, &path, &[], "verdict=wrong&key=k-3&severity=unknown").await.status, 303);
    let stored = house.registry.feedback(&id).unwrap();
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[1].severity.as_deref(), Some("chronic"));
    assert_eq!(stored[1].comment.as_deref(), Some("HTA conocida"));
    assert_eq!((stored[2].verdict, stored[2].severity.as_deref()), (Verdict::Wrong, None));
    assert!(look(&house, &place, &[]).await.text().contains("está en la cola de revisión"));
}

#[tokio::test]
async fn no_other_site_may_send_a_form_and_no_other_media() {
    let house = House::open().await;
    let refused = send(&house, "/", &[("sec-fetch-site", "cross-site")], GOOD).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("Petición de otro sitio"));
    assert_eq!(send(&house, "/", &[("origin", "http://evil.example")], GOOD).await.status, 403);
    let json =
        house.client().await.send("POST", "/", &[HTML, crate::house::JSON], patient().to_string()).await;
    assert_eq!(json.status, 415);
    assert!(house.log.0.pages.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_other_pages() {
    let house = House::open().await;
    let card = look(&house, "/model", &[]).await;
    assert_eq!(card.status, 200);
    assert!(card.text().contains("m-0001") && card.text().contains("De 50 a 280 mmHg"), "{}", card.text());
    let missing = look(&house, "/cases/00000000-0000-0000-0000-000000000000", &[]).await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("No existe esta predicción."));
    let text = look(&house, "/", &[]).await.text().to_owned();
    for asset in ["app.css", "tokens.css", "app.js", "theme.js"] {
        let at = text.find(&format!("/assets/{asset}?v=")).unwrap();
        let address = text[at..].split('"').next().unwrap();
        let reply = look(&house, address, &[]).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("cache-control").contains("immutable"));
        let again = look(&house, address, &[("if-none-match", reply.header("etag"))]).await;
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}

#[tokio::test]
async fn the_model_card_tells_figures_and_gates() {
    let house = House::open().await;
    let version = crate::records::register(&house.registry, "run-1", false).parse().unwrap();
    let act = registry::Act { key: "k", actor: "test", reason: "", at: time::OffsetDateTime::now_utc() };
    let gates = json!([{"rule": {"metric": "orphan_recall", "comparison": "at_least", "bound": 0.7}, "outcome": "fails",
        "because": "orphan_recall is 0.61"}]);
    house.registry.validate(version, &gates, &act).unwrap();
    let figure = |value: f64| json!({"value": value, "low": value - 0.02, "high": value + 0.02, "n": 1500});
    let report = json!({"set": "validation", "report": {"patients": 1500, "f1_common": figure(0.873),
        "f1": [figure(0.9), figure(0.8), figure(0.85), figure(0.88)], "orphan_recall": {"undefined": "no orphan patients"}}});
    house.registry.record_evaluation(version, &report, &act).unwrap();
    let text = look(&house, "/model", &[]).await.text().to_owned();
    for part in [
        "0,873",
        "0,853 – 0,893",
        "1500 pacientes",
        "F1 de «Crónica»",
        "no orphan patients",
        "No se cumple",
        "mínimo 0,70",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let english = look(&house, "/model?lang=en", &[]).await;
    assert!(english.text().contains("0.853 – 0.893") && english.text().contains("Does not hold"));
}

#[tokio::test]
async fn the_whole_card_is_a_file_to_keep() {
    let house = House::open().await;
    assert_eq!(look(&house, "/model/card", &[]).await.status, 404, "the registry does not know the model");
    let version: registry::ModelVersion =
        crate::records::register(&house.registry, "run-1", false).parse().unwrap();
    let act = registry::Act { key: "k", actor: "test", reason: "", at: time::OffsetDateTime::now_utc() };
    let figure = json!({"value": 0.873, "low": 0.853, "high": 0.893, "n": 1500});
    let report = json!({"set": "validation", "patients": 1500, "f1_common": figure});
    house.registry.record_evaluation(version, &report, &act).unwrap();
    let html = look(&house, "/model/card", &[]).await;
    assert_eq!((html.status, html.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(html.header("content-disposition"), "attachment; filename=\"m-0001-es.html\"");
    assert!(
        html.text().contains("0,873") && html.text().contains("Ficha del modelo m-0001"),
        "{}",
        html.text()
    );
    let markdown = look(&house, "/model/card?format=markdown&lang=en", &[]).await;
    assert_eq!(markdown.header("content-disposition"), "attachment; filename=\"m-0001-en.md\"");
    assert!(markdown.text().starts_with("# Model card m-0001") && markdown.text().contains("0.873"));
    assert!(look(&house, "/model", &[]).await.text().contains("href=\"/model/card\""));
}
