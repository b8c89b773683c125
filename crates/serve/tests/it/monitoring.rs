//! What monitoring stored, on the page, over REST and as metrics.

use registry::{Act, AlertFinding, NewModel, NewRun, Registry};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::datetime};

use crate::house::{FORM, HTML, House, Reply};

const START: OffsetDateTime = datetime!(2026-10-01 06:00 UTC);

fn act<'a>(key: &'a str, at: OffsetDateTime) -> Act<'a> {
    Act { key, actor: "monitor", reason: "test", at }
}

fn champion(registry: &Registry) -> registry::ModelVersion {
    let run = NewRun {
        id: "r1",
        started_at: START,
        dataset_version: 3,
        study_hash: "s",
        seed: 1,
        parameters: &json!({}),
    };
    registry.start_run(&run).unwrap();
    let version = registry.take_version("r1").unwrap();
    let new = NewModel { version, bundle_path: "models/m-0001", bundle_digest: "d" };
    registry.register(&new, &act("register", START)).unwrap();
    registry.validate(version, &json!({}), &act("validate", START)).unwrap();
    registry.promote(version, registry::Replaces::Any, &act("promote", START)).unwrap();
    version
}

fn figure(value: f64, n: u64) -> Value {
    json!({"value": value, "low": value - 0.05, "high": value + 0.05, "n": n})
}

fn comparison(group: &str, about: &str, name: &str, distance: f64, drift: &str, labels: &[&str]) -> Value {
    let counts = |shift: usize| -> Vec<u64> {
        (0..labels.len()).map(|at| (10 + 7 * ((at + shift) % 5)) as u64).collect()
    };
    json!({
        "group": group, "about": about, "name": name, "against": "everybody", "test": "kolmogorov_smirnov",
        "statistic": distance, "p": 0.001, "p_classic": 0.001, "p_adjusted": 0.004, "distance": distance, "psi": distance / 2.0,
        "reference": 4200, "window": 300, "drift": drift,
        "bars": {"labels": labels, "reference": counts(0), "window": counts(2)},
    })
}

fn report(recall: f64) -> Value {
    let ages = ["0-9", "10-19", "20-29", "30-39", "40-49", "50-59"];
    let lights = json!({"f1_common": "green", "orphan_recall": if recall < 0.7 { "red" } else { "green" }});
    let classes = |value: f64| vec![figure(value, 100); 4];
    json!({
        "window": {"from": "2026-10-01T00:00:00Z", "to": "2026-10-31T00:00:00Z"},
        "seen": {"served": 300, "arrived": 420, "confirmed": 400, "other_study": 0, "outside": 0},
        "drift": {"limits": {"notable": 0.1, "major": 0.25}, "rate": 0.2, "comparisons": [
            comparison("served", "input", "age_years", 0.31, "major", &ages),
            comparison("served", "input", "blood_type", 0.02, "stable", &["A", "B", "AB", "O"]),
            comparison("served", "category", "blood_pressure", 0.12, "notable", &["normal", "elevated", "stage_1", "stage_2", "crisis"]),
            comparison("served", "answer", "probability_orphan", 0.05, "slight", &["0.0000", "0.0100"]),
            comparison("ward <b>", "input", "age_years", 0.01, "few", &ages),
        ]},
        "performance": {
            "targets": {"f1_common": 0.85, "orphan_recall": 0.7},
            "arrived": {
                "patients": 400, "orphans": 40, "f1_common": figure(0.88, 360), "orphan_recall": figure(recall, 40),
                "orphan_precision": {"undefined": "no alarm"}, "f1": classes(0.9), "precision": classes(0.91), "recall": classes(0.89),
                "lights": lights,
                "diseases": [{"code": "ORPHA:586", "rarity": "orphan", "patients": 12, "recall": figure(0.7, 12),
                    "precision": figure(0.4, 30), "alarmed": figure(0.7, 12)}],
                "calibration": [{"class": "orphan", "patients": 400, "observed": 40, "expected": 21.5, "p": 0.001}],
            },
            "reviewed": null,
            "expected": {"f1_common": figure(0.86, 300), "orphan_recall": figure(0.75, 20), "orphan_precision": figure(0.5, 20)},
        },
        "quality": {"sources": [{"source": "ward <b>", "ingests": 2, "accepted": 300, "refused": 100, "duplicates": 3,
            "reasons": {"systolic_mmhg:inconsistent": 90, "age_years:missing": 10},
            "refused_share": {"now": figure(0.1, 400), "before": {"undefined": "no new row"}, "light": "amber"},
            "swapped_share": {"now": figure(0.25, 400), "before": {"undefined": "no new row"}, "light": "red"}}]},
        "rules": [],
    })
}

/// Three looks, the last with two alerts.
fn looked(registry: &Registry) {
    let model = champion(registry);
    for (number, recall) in [0.8, 0.74, 0.55].into_iter().enumerate() {
        let at = START + Duration::days(30 * number as i64);
        registry.record_monitoring(&format!("look-{number}"), model, at, &report(recall)).unwrap();
    }
    let (drift, swapped) = (
        json!({"distance": 0.31, "psi": 0.16, "patients": 300}),
        json!({"now": figure(0.25, 400), "limit": 0.02}),
    );
    let findings = [
        AlertFinding {
            rule: "drift.feature",
            subject: "served:age_years",
            message: "age drifts",
            detail: &drift,
        },
        AlertFinding { rule: "quality.swapped", subject: "ward <b>", message: "swapped", detail: &swapped },
    ];
    let at = START + Duration::days(60);
    registry.settle_alerts(&findings, &[], &[], &act("settle", at)).unwrap();
}

async fn look(house: &House, path: &str) -> Reply {
    house.client().await.send("GET", path, &[HTML], "").await
}

#[tokio::test]
async fn before_the_first_look_everything_says_so() {
    let house = House::open().await;
    let page = look(&house, "/monitor").await;
    assert!(page.status == 200 && page.text().contains("hoofbeat monitor"), "{}", page.text());
    for part in ["drift", "performance", "quality"] {
        let answer = house.get(&format!("/api/v1/monitoring/{part}")).await.json();
        assert_eq!((&answer["run"], &answer[part]), (&Value::Null, &Value::Null));
    }
    assert_eq!(house.get("/api/v1/monitoring/alerts").await.json(), json!({"alerts": []}));
    assert!(!house.get("/metrics").await.text().contains("hoofbeat_monitoring_figure{"));
}

#[tokio::test]
async fn the_page_tells_what_was_found_in_both_languages_and_needs_no_script() {
    let house = House::open().await;
    looked(&house.registry);
    let page = look(&house, "/monitor").await;
    let text = page.text();
    for part in [
        "2 alertas abiertas",
        "Deriva en Edad · los pacientes clasificados",
        "Distancia 0,31; PSI 0,16; 300 pacientes.",
        "Tensiones intercambiadas en el origen ward &#60;b&#62;",
        "objetivo 0,70",
        "Tensión arterial (categoría)",
        "ORPHA:586",
        "Sistólica, incoherente: 90; Edad, falta: 10",
        "Puesto en uso",
        "0,55 (0,50–0,60; n = 40)",
        "<svg class=\"chart\"",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    // Three looks in the chart and in its table; every chart has a table behind it.
    assert_eq!(text.matches("<circle class=\"f1 dot\"").count(), 6);
    assert_eq!(text.matches("<svg class=\"chart\"").count(), 4);
    assert!(text.matches("<details class=\"alt\">").count() >= 4);
    assert!(!text.contains("<b>ward") && !text.contains("style=\"") && !text.contains("<script>"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("style-src 'self'") && policy.contains("default-src 'none'"));
    let english = look(&house, "/monitor?lang=en").await;
    for part in ["2 open alerts", "Drift in Age · the patients classified", "target 0.70", "Put into use"] {
        assert!(english.text().contains(part), "no {part} in\n{}", english.text());
    }
}

#[tokio::test]
async fn an_alert_is_looked_after_and_ended_by_form() {
    let house = House::open().await;
    looked(&house.registry);
    let sent = |id: &str, body: &str| {
        let (path, body) = (format!("/monitor/alerts/{id}"), body.to_owned());
        let house = &house;
        async move { house.client().await.send("POST", &path, &[FORM, HTML], body).await }
    };
    let id = house.get("/api/v1/monitoring/alerts?state=raised").await.json()["alerts"][0]["id"].to_string();
    let reply = sent(&id, "move=acknowledge").await;
    assert_eq!((reply.status, reply.header("location")), (303, "/monitor#h-alerts"));
    assert!(look(&house, "/monitor").await.text().contains("atendida · page"));
    assert_eq!(sent(&id, "move=resolve").await.status, 303);
    assert_eq!(
        house.get("/api/v1/monitoring/alerts?state=open").await.json()["alerts"].as_array().unwrap().len(),
        1
    );
    assert!(look(&house, "/monitor").await.text().contains("Alertas terminadas"));
    assert_eq!(sent(&id, "move=acknowledge").await.status, 409);
    assert_eq!(sent(&id, "move=away").await.status, 400);
    assert_eq!(sent("x", "move=resolve").await.status, 404);
    let told: Vec<(String, String)> = house
        .registry
        .audit(0, 100)
        .unwrap()
        .into_iter()
        .filter(|entry| entry.actor == "page")
        .map(|entry| (entry.action, entry.actor))
        .collect();
    assert_eq!(
        told.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(),
        ["alert.acknowledge", "alert.resolve"]
    );
}

#[tokio::test]
async fn figures_and_alerts_are_gauges() {
    let house = House::open().await;
    looked(&house.registry);
    let text = house.get("/metrics").await.text().to_owned();
    for line in [
        "hoofbeat_alerts{rule=\"quality.swapped\",subject=\"ward <b>\",state=\"raised\"} 1",
        "hoofbeat_monitoring_figure{figure=\"orphan_recall\",end=\"value\"} 0.55",
        "hoofbeat_monitoring_target{figure=\"f1_common\"} 0.85",
        "hoofbeat_monitoring_drift_distance{group=\"served\",name=\"age_years\"} 0.31",
        "hoofbeat_monitoring_rows{source=\"ward <b>\",result=\"refused\"} 100",
        "hoofbeat_monitoring_run_timestamp_seconds{model=\"m-0001\"} 1796018400",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    house.registry.resolve_alert(1, &[], &act("done", START)).unwrap();
    let text = house.get("/metrics").await.text().to_owned();
    assert_eq!(text.matches("hoofbeat_alerts{").count(), 1, "what is over is no gauge");
    let history = house.get("/api/v1/monitoring/performance").await.json();
    let recalls: Vec<f64> = history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["orphan_recall"]["value"].as_f64().unwrap())
        .collect();
    assert_eq!(recalls, [0.55, 0.74, 0.8]);
}

/// The dashboard file asks for metrics that there are.
#[tokio::test]
async fn the_dashboard_names_metrics_that_exist() {
    let house = House::open().await;
    looked(&house.registry);
    house.predict(&crate::house::patient()).await;
    assert_eq!(house.post("/api/v1/predictions", &json!({})).await.status, 422);
    let text = house.get("/metrics").await.text().to_owned();
    let dashboard = include_str!("../../../../deploy/grafana/hoofbeat.json");
    let parsed: Value = serde_json::from_str(dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let mut named: Vec<&str> = dashboard.split("hoofbeat_").skip(1).collect();
    named.iter_mut().for_each(|name| {
        *name = name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap()
    });
    assert!(named.len() > 15);
    for name in named {
        assert!(text.contains(&format!("\nhoofbeat_{name}")), "no hoofbeat_{name}");
    }
}
