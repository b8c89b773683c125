//! A simulated span of a small hospital: what happens is noticed, what is owed is done, and the folder is a deployment.

use serde_json::{Value, json};

use crate::harness::Deployment;

fn promise<'a>(simulated: &'a Value, word: &str) -> &'a Value {
    let all = simulated["verdict"].as_array().unwrap();
    all.iter().find(|promise| promise["promise"].as_str().unwrap().contains(word)).unwrap()
}

fn entries<'a>(simulated: &'a Value, mark: &str) -> Vec<&'a str> {
    let all = simulated["timeline"]["entries"].as_array().unwrap().iter();
    all.filter(|entry| entry["mark"] == mark).map(|entry| entry["text"].as_str().unwrap()).collect()
}

#[test]
fn two_months_in_which_everything_happens_are_lived_by_the_real_pipeline() {
    let deployment = Deployment::empty();
    let line = "simulate --months 2 --seed 3 --patients-per-day 60 --history 8000 --reviews-per-week 10 --out hospital --json";
    let run = deployment.run(line).exits(0);
    let simulated = run.json();

    let events: Vec<(&str, &str)> = (simulated["events"].as_array().unwrap().iter())
        .map(|event| (event["what"].as_str().unwrap(), event["from"].as_str().unwrap()))
        .collect();
    let dates = [
        ("orphan", "2026-01-01"),
        ("careless", "2026-01-01"),
        ("device", "2026-01-01"),
        ("pressure", "2026-02-01"),
    ];
    assert_eq!(events, dates);
    for word in
        ["rise of blood pressure", "exchanges pressures", "on their days", "worse challenger", "careless"]
    {
        let promise = promise(&simulated, word);
        assert_eq!(promise["holds"], true, "{promise}");
    }
    // The rise is one alert, with everything that moved in it.
    let alerts = simulated["timeline"]["alerts"].as_array().unwrap();
    let of_pressure: Vec<&Value> =
        alerts.iter().filter(|alert| alert["subject"].as_str().unwrap().contains("pressure")).collect();
    assert_eq!(of_pressure.len(), 1, "{alerts:?}");
    assert_eq!(of_pressure[0]["subject"], "everybody:blood_pressure");
    let raised = entries(&simulated, "alert_raised");
    assert!(
        raised.iter().any(|text| text.contains("systolic_mmhg, diastolic_mmhg, blood_pressure of served")),
        "{raised:?}"
    );
    // The weak study was tried, and the gates held it.
    assert!(entries(&simulated, "held").iter().any(|text| text.starts_with("a weak study by hand")));
    assert_eq!(simulated["timeline"]["looks"].as_array().unwrap().len(), 8);
    // Every wrong report of ten days is marked, and none became a case.
    let careless = &simulated["carelessness"];
    let reports = careless["reports"].as_u64().unwrap();
    assert!(reports > 400, "{careless}");
    assert_eq!(careless, &json!({ "reports": reports, "marked": reports, "wrong_cases": 0 }));

    // What was lived through is an ordinary deployment.
    let history = deployment.run("--config hospital/hoofbeat.toml model history --json").exits(0).json();
    let challenges = simulated["timeline"]["challenges"].as_array().unwrap();
    assert_eq!(history["changes"].as_array().unwrap().len(), challenges.len() + 1);
    let doctor = deployment.run("--config hospital/hoofbeat.toml doctor --json").exits(0).json();
    assert_eq!(doctor["well"], true, "{doctor}");
    // And it is not lived over again.
    let again = deployment.run(line).exits(1);
    assert!(again.reason().contains("hospital is not empty"), "{}", again.reason());
    deployment.run("simulate --months 0").exits(2);
}
