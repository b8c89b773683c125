//! Sections about how the model was made, and where its alarm stands.

use serde_json::Value;

use super::document::Section;
use super::{Author, list, reading, word};

pub(super) fn development(a: &Author<'_>) -> Section {
    let (w, record) = (a.w, a.record());
    let mut section = Section::new("development", w.t("card-development"));
    section.text(w.t("card-method"));
    let rounds: Vec<String> = list(&record["rounds"]).map(Value::to_string).collect();
    let columns: Vec<&str> = list(&record["columns"]).map(word).collect();
    let mut facts = vec![
        a.fact("card-learner", word(&record["parameters"]["learner"])),
        a.fact("card-columns", format!("{}: {}", columns.len(), columns.join(", "))),
        a.fact("card-seed", a.subject.run.seed.to_string()),
    ];
    if !rounds.is_empty() {
        facts.push(a.fact("card-rounds", rounds.join(", ")));
    }
    section.facts(facts);
    section.heading(w.t("card-parameters"));
    section.table(a.header(&["card-parameter", "value"]), flat(&record["parameters"]), false);
    section.heading(w.t("card-calibrating"));
    section.text(w.t("card-calibrating-text"));
    let calibration = &record["calibration"];
    let row = |key: &str, before: &str, after: &str| {
        vec![w.t(key), a.number(&calibration[before], 4), a.number(&calibration[after], 4)]
    };
    if !calibration.is_null() {
        let rows = vec![
            row("card-calibrating-orphan", "orphan_before", "orphan_after"),
            row("card-calibrating-groups", "groups_before", "groups_after"),
        ];
        section.table(a.header(&["card-error-of", "card-before", "card-after"]), rows, true);
    }
    section.heading(w.t("card-explaining"));
    section.text(w.t("card-explaining-text"));
    section
}

/// The leaves of a JSON document, named by their way.
fn flat(value: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    walk(value, String::new(), &mut rows);
    rows
}

fn walk(value: &Value, way: String, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let way = if way.is_empty() { name.clone() } else { format!("{way}.{name}") };
                walk(member, way, rows);
            }
        }
        // A setting that is not in use.
        Value::Null => {}
        Value::String(text) => rows.push(vec![way, text.clone()]),
        value => rows.push(vec![way, value.to_string()]),
    }
}

pub(super) fn alarm(a: &Author<'_>) -> Section {
    let (w, alarm) = (a.w, &a.record()["alarm"]);
    let mut section = Section::new("alarm", w.t("card-alarm"));
    let plan = &a.study().alarm;
    let [recall, confidence, aim] = [plan.recall, plan.confidence, plan.aim].map(|share| w.percent(share, 0));
    section
        .text(w.args("card-alarm-text", &[("recall", &recall), ("confidence", &confidence), ("aim", &aim)]));
    if !alarm.is_null() {
        let threshold = match alarm["threshold"].as_f64() {
            Some(threshold) => w.number(threshold, 4),
            None => w.t("card-no-threshold"),
        };
        section.facts(vec![
            a.fact("card-threshold", threshold),
            a.fact("card-positives", alarm["positives"].to_string()),
            a.fact("card-index", alarm["index"].to_string()),
        ]);
    }
    section.text(w.t("card-alarm-effect"));
    let Some((_, report)) = a.report() else { return section };
    section.heading(w.t("card-price"));
    let names = [
        "orphan_recall",
        "orphan_precision",
        "orphan_omission",
        "alerts_per_1000",
        "number_needed_to_review",
        "f1_common",
        "f1_common_without_alarm",
    ];
    let figures = reading::find_report(report).map(|found| reading::figures(found, &names, a.study(), w));
    let rows = figures.unwrap_or_default().into_iter().map(|figure| figure.row(w)).collect();
    let mut header = a.header(&["figure", "value", "interval"]);
    header.push("n".to_owned());
    section.table(header, rows, true);

    section.heading(w.t("card-decision-curve"));
    let value = |key: &str| report[key]["value"].as_f64();
    if let (Some(from), Some(to)) = (value("orphan_omission"), value("orphan_precision")) {
        let (from_text, to_text) = (w.percent(from, 2), w.percent(to, 1));
        section.text(if from < to {
            w.with2("card-alarm-helps", "from", &from_text, "to", &to_text)
        } else {
            w.t("card-alarm-helps-not")
        });
    }
    section.text(w.t("card-decision-curve-text"));
    let rows = list(&report["decision_curve"]).map(|at| {
        let benefit = |key: &str| {
            // Per 1,000 patients: net benefits are small numbers.
            let value = at[key]["value"].as_f64().map(|benefit| w.number(1000.0 * benefit, 1));
            value.unwrap_or_else(|| reading::because(word(&at[key]["undefined"]), a.study(), w))
        };
        let threshold = w.percent(at["threshold"].as_f64().unwrap_or_default(), 1);
        vec![threshold, benefit("by_alarm"), benefit("by_probability"), benefit("everybody")]
    });
    let header = a.header(&["card-refer-from", "card-by-alarm", "card-by-probability", "card-everybody"]);
    section.table(header, rows.collect(), true);
    section
}
