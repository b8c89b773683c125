//! Monitoring: quiet while nothing changes, and by name where something does; alerts from the first sight to the end.

use serde_json::{Value, json};

use crate::harness::{Deployment, Dice, Server, random_patient, rows, trained};

/// Writes a case file made from a synthetic one, row by row.
fn changed(
    deployment: &Deployment,
    name: &str,
    rows_asked: u32,
    seed: u32,
    change: impl Fn(usize, &mut Value),
) {
    deployment.ok(&format!("synth --rows {rows_asked} --seed {seed} --out plain.csv"));
    let mut cases = rows(&deployment.read("plain.csv"));
    let columns: Vec<String> =
        deployment.read("plain.csv").lines().next().unwrap().split(',').map(str::to_owned).collect();
    let mut text = columns.join(",") + "\n";
    for (at, case) in cases.iter_mut().enumerate() {
        case["case_id"] = json!(format!("{name}-{at}"));
        case["patient_id"] = json!(format!("p-{name}-{at}"));
        case["source"] = json!(name);
        change(at, case);
        let fields: Vec<&str> = columns.iter().map(|column| case[column].as_str().unwrap()).collect();
        text += &(fields.join(",") + "\n");
    }
    deployment.write(&format!("{name}.csv"), &text);
}

fn number(case: &Value, field: &str) -> i64 {
    case[field].as_str().unwrap().parse().unwrap()
}

/// Rules of a turn with their lights: those that are `light`.
fn lit<'a>(turn: &'a Value, light: &str) -> Vec<(&'a str, &'a str)> {
    let rules = turn["rules"].as_array().unwrap().iter().filter(|rule| rule["light"] == light);
    rules.map(|rule| (rule["rule"].as_str().unwrap(), rule["subject"].as_str().unwrap())).collect()
}

fn open_alerts(deployment: &Deployment) -> Vec<Value> {
    deployment.json("alert list").as_array().unwrap().clone()
}

#[test]
fn a_quiet_window_is_quiet_and_a_changed_one_names_what_changed_and_where() {
    let deployment = trained().copy();
    // The champion knows the first dataset version; the second is more of the same.
    let quiet = deployment.json("monitor");
    assert_eq!((&quiet["model"], &quiet["seen"]["arrived"]), (&json!("m-0001"), &json!(2000)));
    assert_eq!(lit(&quiet, "red"), []);
    assert!(quiet["drift"]["comparisons"].as_array().unwrap().len() >= 10);
    assert!(quiet["performance"]["arrived"]["f1_common"]["value"].as_f64().unwrap() > 0.5);
    assert_eq!(open_alerts(&deployment), [] as [Value; 0]);

    // The ward's pressures rise by 15 mmHg; a device of the emergency room swaps every fourth pair.
    changed(&deployment, "ward", 1500, 31, |_, case| {
        for field in ["systolic_mmhg", "diastolic_mmhg"] {
            case[field] = json!((number(case, field) + 15).min(180).to_string());
        }
        if number(case, "systolic_mmhg") <= number(case, "diastolic_mmhg") {
            case["diastolic_mmhg"] = json!((number(case, "systolic_mmhg") - 1).to_string());
        }
    });
    changed(&deployment, "emergency", 600, 32, |at, case| {
        if at % 4 == 0 {
            let systolic = case["systolic_mmhg"].take();
            case["systolic_mmhg"] = case["diastolic_mmhg"].take();
            case["diastolic_mmhg"] = systolic;
        }
    });
    deployment.ok("ingest ward.csv --source ward");
    deployment.ok("ingest emergency.csv --source emergency");
    let run = deployment.run("monitor --json").exits(3);
    let turn = run.json();
    let red = lit(&turn, "red");
    for expected in [("drift.feature", "ward:systolic_mmhg"), ("quality.swapped", "emergency")] {
        assert!(red.contains(&expected), "no {expected:?} in {red:?}");
    }
    for quiet in
        ["ward:gender", "ward:age_years", "ward:blood_type", "emergency:systolic_mmhg", "reference:age_years"]
    {
        assert!(!red.contains(&("drift.feature", quiet)), "{quiet} in {red:?}");
    }
    for source in ["ward", "reference"] {
        assert!(!red.iter().any(|one| one.0.starts_with("quality") && one.1 == source), "{red:?}");
    }
    let text = deployment.run("monitor").exits(3).stdout;
    assert!(text.contains("ALERT   quality.swapped: source emergency: 24.0 % of 600 rows"), "{text}");
    deployment.assert_well();
}

#[test]
fn an_alert_is_told_once_looked_after_ended_and_comes_back() {
    let deployment = trained().copy();
    changed(&deployment, "emergency", 600, 33, |at, case| {
        if at % 4 == 0 {
            let systolic = case["systolic_mmhg"].take();
            case["systolic_mmhg"] = case["diastolic_mmhg"].take();
            case["diastolic_mmhg"] = systolic;
        }
    });
    deployment.ok("ingest emergency.csv --source emergency");
    deployment.run("monitor").exits(3);
    let first = open_alerts(&deployment);
    let swapped = first.iter().find(|alert| alert["rule"] == "quality.swapped").unwrap();
    assert_eq!((&swapped["subject"], &swapped["raisings"]), (&json!("emergency"), &json!(1)));
    let id = swapped["id"].as_u64().unwrap();
    let again = deployment.run("monitor --json").exits(3).json();
    assert_eq!(again["alerts"]["raised"], json!([]));
    assert_eq!(open_alerts(&deployment).len(), first.len());

    assert_eq!(deployment.json(&format!("alert ack {id} --reason looking"))["state"], "acknowledged");
    let server = Server::start(&deployment);
    let mut client = server.client();
    let listed = client.get("/api/v1/monitoring/alerts?state=acknowledged").json();
    assert_eq!(listed["alerts"][0]["id"], id);
    let resolved =
        client.post(&format!("/api/v1/monitoring/alerts/{id}/resolve"), &json!({"reason": "mended"}));
    assert_eq!((resolved.status, &resolved.json()["state"]), (200, &json!("resolved")));
    assert_eq!(client.post(&format!("/api/v1/monitoring/alerts/{id}/acknowledge"), &json!({})).status, 409);
    assert_eq!(client.post("/api/v1/monitoring/alerts/9999/resolve", &json!({})).status, 404);
    assert_eq!(client.post("/api/v1/monitoring/alerts/one/resolve", &json!({})).status, 404);
    assert_eq!(client.get("/api/v1/monitoring/alerts?state=new").status, 422);

    // Nothing was mended: the next look finds it again.
    let back = deployment.run("monitor --json").exits(3).json();
    assert_eq!(back["alerts"]["raised"], json!([id]));
    let metrics = client.get("/metrics").text().to_owned();
    assert!(
        metrics
            .contains("hoofbeat_alerts{rule=\"quality.swapped\",subject=\"emergency\",state=\"raised\"} 1")
    );
    assert!(metrics.contains("hoofbeat_monitoring_figure{figure=\"f1_common\",end=\"low\"}"), "{metrics}");
    let audit = client.get("/api/v1/audit?limit=1000").json();
    let told: Vec<&str> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["subject"] == "quality.swapped:emergency")
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["alert.raise", "alert.acknowledge", "alert.resolve", "alert.reopen"]);
    deployment.assert_well();
}

#[test]
fn what_is_served_is_compared_too_and_figures_are_read_over_rest() {
    let deployment = trained().copy();
    let server = Server::start(&deployment);
    let mut client = server.client();
    assert_eq!(client.get("/api/v1/monitoring/drift").json()["run"], Value::Null);
    // Patients uniformly over every range are nobody's patients.
    let mut dice = Dice(5);
    for _ in 0..300 {
        client.predict(&random_patient(&mut dice));
    }
    let turn = deployment.run("monitor --window 7d --json").exits(3).json();
    assert_eq!(turn["seen"]["served"], 300);
    let red = lit(&turn, "red");
    assert!(red.contains(&("drift.feature", "served:age_years")), "{red:?}");
    assert!(red.iter().any(|one| one.0 == "drift.answer"), "{red:?}");
    assert!(!red.iter().any(|one| one.1.starts_with("arrived:")), "{red:?}");
    let expected = &turn["performance"]["expected"]["orphan_recall"];
    assert!(expected["high"].as_f64().unwrap() - expected["low"].as_f64().unwrap() >= 0.1, "{expected}");

    for part in ["drift", "performance", "quality"] {
        let answer = client.get(&format!("/api/v1/monitoring/{part}")).json();
        assert_eq!((&answer["run"], &answer[part]), (&turn["run"], &turn[part]), "{part}");
    }
    assert_eq!(client.get("/api/v1/monitoring/performance").json()["history"].as_array().unwrap().len(), 1);
    // No patient's value leaves through messages.
    let alerts = deployment.run("alert list --json").exits(0).stdout;
    assert!(alerts.contains("served:age_years") && !alerts.contains("systolic_mmhg\":"));
}

/// Where all alarms are reviewed the alarmed are missing among the cases that come besides: what is known of either group counts
/// for all of it.
#[test]
fn the_orphan_recall_is_everybodys_though_only_the_alarmed_are_reviewed() {
    let deployment = trained().copy();
    let server = Server::start(&deployment);
    let (mut client, mut dice) = (server.client(), Dice(5));
    let answers: Vec<Value> = (0..300).map(|_| client.predict(&random_patient(&mut dice))).collect();
    let id = |answer: &&Value| answer["prediction_id"].as_str().unwrap().to_owned();
    let alarmed = |answer: &&Value| answer["rarity"]["class"] == "orphan";
    let others: Vec<String> =
        answers.iter().filter(|answer| !alarmed(answer)).map(|answer| id(&answer)).collect();
    let alarmed: Vec<String> = answers.iter().filter(alarmed).map(|answer| id(&answer)).collect();
    assert!(alarmed.len() >= 10 && others.len() >= 100, "{} alarms", alarmed.len());
    let recall = |deployment: &Deployment| {
        let turn = deployment.run("monitor --window 7d --json").exits(3).json();
        turn["performance"]["arrived"]["orphan_recall"]["value"].as_f64().unwrap()
    };
    let of_arrived = recall(&deployment);

    // Two in three alarmed are orphan cases; of the others a hundred are heard of, and five of them are.
    deployment.ok("review suggest -n 0");
    let reviews = client.get("/api/v1/reviews?state=open&limit=500").json();
    let reviews = reviews["reviews"].as_array().unwrap();
    assert_eq!(reviews.len(), alarmed.len());
    let mut found = 0;
    for (at, review) in reviews.iter().enumerate() {
        let orphan = at % 3 > 0;
        found += u64::from(orphan);
        let (rarity, code) = if orphan { ("orphan", json!("ORPHA:586")) } else { ("common", Value::Null) };
        let finding =
            json!({ "reviewer": "Ana", "severity": "chronic", "rarity": rarity, "disease_code": code });
        let path = format!("/api/v1/reviews/{}/resolution", review["id"]);
        assert_eq!(client.post(&path, &finding).status, 200);
    }
    let mut outcomes = "prediction_id,severity,rarity,disease_code,confirmed_at\n".to_owned();
    for (at, id) in others.iter().take(100).enumerate() {
        let orphan = if at < 5 { "orphan,ORPHA:586" } else { "common," };
        outcomes += &format!("{id},chronic,{orphan},2026-03-01\n");
    }
    deployment.write("outcomes.csv", &outcomes);
    deployment.ok("outcome add outcomes.csv --source ehr");
    let missed = others.len() as f64 * 0.05;
    let expected = found as f64 / (found as f64 + missed);
    let corrected = recall(&deployment);
    assert!((corrected - expected).abs() < 1e-9, "{corrected} {expected}");
    assert!((of_arrived - corrected).abs() > 1e-3, "{of_arrived}");
    server.stop();
}

#[test]
fn wrong_windows_are_refused_and_a_deployment_without_model_says_so() {
    let deployment = Deployment::empty();
    assert!(deployment.run("monitor").exits(1).reason().contains("no champion"));
    for line in [
        "monitor --window 0d",
        "monitor --window soon",
        "monitor --since yesterday",
        "monitor --window 3d --since 2026-01-01",
    ] {
        deployment.run(line).exits(2);
    }
    assert!(trained().run("monitor --since 2099-01-01").exits(1).reason().contains("ends before it begins"));
    assert!(deployment.run("alert ack 7").exits(1).reason().contains("no alert 7"));
    assert_eq!(deployment.ok("alert list").trim(), "no alert is open");
}
