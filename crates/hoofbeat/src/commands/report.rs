//! Stored reports as text: figures with their intervals, verdicts, diseases, groups.
//!
//! Reports are read as data, so that one stored by an earlier version still prints.

use serde_json::Value;

use crate::output;

/// Figures of everybody, in the order in which they are printed.
const MAIN: [(&str, &str); 14] = [
    ("F1 of common diseases", "f1_common"),
    ("  without the alarm", "f1_common_without_alarm"),
    ("macro F1, everyone", "macro_f1"),
    ("orphan recall", "orphan_recall"),
    ("orphan precision", "orphan_precision"),
    ("orphan among unalarmed", "orphan_omission"),
    ("alerts per 1,000", "alerts_per_1000"),
    ("alerts per orphan found", "number_needed_to_review"),
    ("orphan average precision", "orphan_average_precision"),
    ("orphan base rate", "orphan_base_rate"),
    ("Brier score", "brier"),
    ("log loss", "log_loss"),
    ("calibration error", "calibration_error"),
    ("answered", "answered"),
];

/// The verdicts, a line each.
pub(super) fn gates(gates: &Value) -> String {
    let mut lines: Vec<String> = list(&gates["verdicts"])
        .map(|verdict| {
            let group = &verdict["group"];
            let about = match (group["feature"].as_str(), group["name"].as_str()) {
                (Some(feature), Some(name)) => format!("{feature} {name}: "),
                _ => String::new(),
            };
            format!("  {:<12} {about}{}", word(&verdict["outcome"]), word(&verdict["because"]))
        })
        .collect();
    if let Some(by) = gates["overridden"]["by"].as_str() {
        lines.push(format!("  overridden by {by}: {}", word(&gates["overridden"]["reason"])));
    }
    lines.join("\n")
}

/// The main figures of an evaluation.
pub(super) fn figures(report: &Value) -> String {
    let mut text = String::new();
    for (label, key) in MAIN.into_iter().filter(|(_, key)| !report[key].is_null()) {
        text += &format!("  {label:<26} {}\n", figure(&report[key]));
    }
    text += &severities(report);
    text += "what these inputs allow at best\n";
    for (label, key) in [("macro F1", "macro_f1"), ("orphan average precision", "orphan_average_precision")] {
        text += &format!("  {label:<26} {}\n", figure(&report["input_limit"][key]));
    }
    text += &sufficiency(&report["inputs"]);
    text += &truth(&report["truth"]);
    text
}

/// F1, precision and recall of each severity.
fn severities(report: &Value) -> String {
    let columns = ["f1", "precision", "recall"];
    let mut rows = vec![["  by severity", "n", "F1", "precision", "recall"].map(str::to_owned).to_vec()];
    for (class, code) in list(&report["classes"]).enumerate() {
        let mut row = vec![
            format!("  {}", word(code)),
            report["f1"][class]["n"].as_u64().unwrap_or_default().to_string(),
        ];
        row.extend(columns.map(|key| short(&report[key][class])));
        rows.push(row);
    }
    output::table(&rows) + "\n"
}

fn sufficiency(inputs: &Value) -> String {
    let because = word(&inputs["because"]);
    match inputs["inputs"].as_str() {
        Some("insufficient") => format!("  THE INPUTS ARE INSUFFICIENT: {because}\n"),
        Some("unclear") => format!("  unclear whether the inputs suffice: {because}\n"),
        _ => "  the inputs are sufficient for the target\n".to_owned(),
    }
}

/// Exact figures where the data are a reference cohort.
fn truth(truth: &Value) -> String {
    let Some(preset) = truth["preset"].as_str() else { return String::new() };
    let number = |key: &str| truth[key].as_f64().unwrap_or_default();
    let line = |name: &str, key: &str| {
        let [value, best, regret] = ["", "_best", "_regret"].map(|suffix| number(&format!("{key}{suffix}")));
        format!("  {name} {value:.4}, best possible {best:.4}, regret {regret:.4}\n")
    };
    format!("exactly, over all possible patients of the reference cohort ({preset})\n")
        + &line("macro F1", "macro_f1")
        + &line("orphan average precision", "orphan_ap")
}

/// For whom the alarm is worth having, disease by disease, and group by group.
pub(super) fn details(report: &Value) -> String {
    alarm_helps(report) + &diseases(report) + &groups(report)
}

/// The alarm beats referring nobody and everybody exactly for thresholds between the share of orphan patients among
/// the unalarmed and that among the alarmed.
fn alarm_helps(report: &Value) -> String {
    let value = |key: &str| report[key]["value"].as_f64();
    match (value("orphan_omission"), value("orphan_precision")) {
        (Some(from), Some(to)) if from < to => format!(
            "the alarm is worth more than referring nobody or everybody to a doctor who would refer from a \
             probability between {from:.4} and {to:.4} on\n"
        ),
        (Some(_), Some(_)) => {
            "the alarm is worth nothing here: referring nobody or everybody is as good\n".to_owned()
        }
        _ => String::new(),
    }
}

fn diseases(report: &Value) -> String {
    let mut rows =
        vec![["  disease", "rarity", "n", "recall", "precision", "alarmed"].map(str::to_owned).to_vec()];
    rows.extend(list(&report["diseases"]).map(|disease| {
        let figures = ["recall", "precision", "alarmed"].map(|key| short(&disease[key]));
        let mut row = vec![format!("  {}", word(&disease["code"])), word(&disease["rarity"]).to_owned()];
        row.push(disease["patients"].to_string());
        row.extend(figures);
        row
    }));
    let lead =
        "by disease: recall is the alarm's for an orphan disease, the right severity's for a common one\n";
    if rows.len() > 1 { format!("{lead}{}\n", output::table(&rows)) } else { String::new() }
}

fn groups(report: &Value) -> String {
    let Some(features) = report["subgroups"].as_object() else { return String::new() };
    let keys = ["f1_common", "orphan_recall", "alerts_per_1000", "calibration_error"];
    let header = ["  group", "n", "F1 common", "orphan recall", "alerts per 1,000", "calibration error"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (feature, groups) in features {
        rows.extend(list(groups).map(|group| {
            let mut row =
                vec![format!("  {feature} {}", word(&group["name"])), group["patients"].to_string()];
            row.extend(keys.map(|key| short(&group[key])));
            row
        }));
    }
    format!("by group\n{}\n", output::table(&rows))
}

/// A figure with its interval and the number it rests on.
fn figure(figure: &Value) -> String {
    match (interval(figure), figure["undefined"].as_str()) {
        (Some((value, low, high)), _) => {
            format!("{value:.4}  (95 % {low:.4} to {high:.4}, n = {})", figure["n"])
        }
        (None, Some(because)) => format!("undefined: {because}"),
        (None, None) => "not measured".to_owned(),
    }
}

/// The same for a table's cell.
fn short(figure: &Value) -> String {
    match (interval(figure), figure["undefined"].as_str()) {
        (Some((value, low, high)), _) => format!("{value:.3} ({low:.3} to {high:.3})"),
        (None, Some(because)) => format!("undefined: {because}"),
        (None, None) => "not measured".to_owned(),
    }
}

fn interval(figure: &Value) -> Option<(f64, f64, f64)> {
    let value = figure["value"].as_f64()?;
    let end = |key: &str| figure[key].as_f64().unwrap_or(value);
    Some((value, end("low"), end("high")))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
