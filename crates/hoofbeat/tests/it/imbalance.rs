//! Synthetic orphan cases from the study to the run's record: used for training, described, and counted nowhere.

use serde_json::{Value, json};

use crate::harness::{Deployment, replaced, small_study};

fn study(method: &str) -> String {
    replaced(&small_study(), "method = \"none\"", &format!("method = \"{method}\""))
}

/// 5,000 cases, 3,500 of them for training.
fn deployment(method: &str) -> Deployment {
    let deployment = Deployment::with_study(&study(method));
    deployment.ok("synth --rows 5000 --seed 5 --out cases.csv");
    deployment.ok("ingest cases.csv --source reference");
    deployment
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn smote_nc_trains_on_synthetic_cases_and_counts_none_of_them() {
    let deployment = deployment("smote_nc");
    let trained = deployment.json("train --seed 3");
    let training = &trained["training"];
    let made = &training["imbalance"];
    assert_eq!(
        (&made["method"], &made["share"], &made["used"]),
        (&json!("smote_nc"), &json!(0.2), &json!(true))
    );
    // What is counted is real: the training cases, and the validation cases in the report.
    let dataset = deployment.json("dataset show");
    let rows = number(&dataset["totals"]["rows"]);
    assert!((number(&training["training_cases"]) / rows - 0.7).abs() < 0.01);
    assert!((number(&trained["validation"]["patients"]) / rows - 0.15).abs() < 0.01);
    // Every orphan group is there, for each of five members, five times as frequent or so, and described.
    let groups = made["groups"].as_array().unwrap();
    let names: Vec<&str> = groups.iter().map(|group| group["group"].as_str().unwrap()).collect();
    assert_eq!(names, ["mild orphan", "acute orphan", "chronic orphan"]);
    for group in groups {
        let sums = ["real", "synthetic"].map(|of| group[of].as_array().unwrap());
        assert!(sums.iter().all(|members| members.len() == 5));
        assert!(sums[0].iter().zip(sums[1]).all(|(real, made)| number(made) > 3.0 * number(real)), "{group}");
        let fidelity = &group["fidelity"];
        assert_eq!(fidelity["columns"].as_array().unwrap().len(), 5);
        assert_eq!(fidelity["pairs"].as_array().unwrap().len(), 10);
        let share = &fidelity["copies"]["synthetic"]["value"];
        assert!((0.0..1.0).contains(&number(share)), "{share}");
    }
    // Their effect on the odds was taken back.
    let inflation = &made["inflation"];
    let [before, after, share] = ["mean_before", "mean_after", "share"].map(|of| number(&inflation[of]));
    assert!(before > 1.3 * share && (after - share).abs() < (before - share).abs(), "{inflation}");
    // The answers are those of any model.
    let verified = deployment.json("model verify m-0001");
    assert_eq!(verified["holds"], json!(true), "{verified}");
    // The same seed makes the same cases and the same model.
    let again = deployment.json("train --seed 3");
    assert_eq!(again["training"]["imbalance"], *made);
}

#[test]
fn a_network_without_hundreds_of_cases_is_refused_with_its_remedy() {
    let deployment = deployment("gan");
    let refused = deployment.run("train").exits(1);
    assert!(refused.stderr.contains("the GAN needs at least 200 training cases"), "{}", refused.stderr);
    assert!(refused.stderr.contains("method to \"none\""), "{}", refused.stderr);
    assert_eq!(deployment.json("model list"), json!([]));
}
