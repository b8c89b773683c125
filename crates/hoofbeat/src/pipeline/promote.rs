//! Promote: gates decide, a person may override them in the open; one row of the registry changes.

use anyhow::{Context, Result, bail};
use registry::{Act, Model, Promotion, Replaces};
use serde_json::{Value, json};
use uuid::Uuid;

use super::evaluate::Evaluation;
use crate::deployment::{self, Deployment};

/// Marks a candidate validated when its gates hold on the validation set.
pub fn judge(deployment: &Deployment, model: &Model, evaluation: &Evaluation) -> Result<bool> {
    if !evaluation.gates_hold() {
        return Ok(false);
    }
    let gates = serde_json::to_value(&evaluation.gates)?;
    act(deployment, "the study's gates hold on the validation set", |act| {
        Ok(deployment.registry.validate(model.version, &json!({ "verdicts": gates }), act)?)
    })?;
    Ok(true)
}

/// The verdicts of a candidate's latest evaluation.
pub fn judged(deployment: &Deployment, model: &Model) -> Result<Value> {
    let evaluations = deployment.registry.evaluations(model.version)?;
    let latest =
        evaluations.first().context("the model was never evaluated: `hoofbeat evaluate` does that")?;
    Ok(json!({ "verdicts": latest.report["gates"] }))
}

/// A person takes the responsibility that the gates refused; the reason is kept in the audit.
pub fn override_gates(deployment: &Deployment, model: &Model, reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        bail!("overriding gates needs a reason");
    }
    let mut gates = judged(deployment, model)?;
    gates["overridden"] = json!({ "by": deployment::actor(), "reason": reason });
    act(deployment, reason, |act| Ok(deployment.registry.validate(model.version, &gates, act)?))?;
    Ok(())
}

/// Makes a validated model the champion.
pub fn promote(
    deployment: &Deployment,
    model: &Model,
    replaces: Replaces,
    reason: &str,
) -> Result<Promotion> {
    act(deployment, reason, |act| Ok(deployment.registry.promote(model.version, replaces, act)?))
}

/// Runs one decision of the person or program at the command line.
pub fn act<T>(
    deployment: &Deployment,
    reason: &str,
    decide: impl FnOnce(&Act<'_>) -> Result<T>,
) -> Result<T> {
    debug_assert!(deployment.data_dir.exists());
    let (key, actor) = (Uuid::now_v7().to_string(), deployment::actor());
    decide(&Act { key: &key, actor: &actor, reason, at: deployment::now() })
}

/// Whether somebody promoted the model although its gates had failed.
pub fn was_overridden(model: &Model) -> bool {
    model.gates.as_ref().is_some_and(|gates| !gates["overridden"].is_null())
}

/// The verdicts, a line each.
pub fn gates_text(gates: &Value) -> String {
    let verdicts = gates["verdicts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines: Vec<String> = verdicts
        .iter()
        .map(|verdict| {
            let word = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
            format!("  {:<12} {}", word("outcome"), word("because"))
        })
        .collect();
    if let Some(by) = gates["overridden"]["by"].as_str() {
        lines.push(format!(
            "  overridden by {by}: {}",
            gates["overridden"]["reason"].as_str().unwrap_or_default()
        ));
    }
    lines.join("\n")
}

/// The main figures of a stored evaluation, a line each.
pub fn figures_text(report: &Value) -> String {
    let figure = |value: &Value| match (value["value"].as_f64(), value["undefined"].as_str()) {
        (Some(v), _) => {
            let end = |key: &str| value[key].as_f64().unwrap_or(v);
            format!("{v:.4}  (95 % {:.4} to {:.4}, n = {})", end("low"), end("high"), value["n"])
        }
        (None, Some(because)) => format!("undefined: {because}"),
        (None, None) => "not measured".to_owned(),
    };
    let mut lines = Vec::new();
    for (label, key) in [
        ("F1 of common diseases", "f1_common"),
        ("macro F1, everyone", "macro_f1"),
        ("orphan recall", "orphan_recall"),
        ("orphan precision", "orphan_precision"),
        ("orphan average precision", "orphan_average_precision"),
        ("orphan base rate", "orphan_base_rate"),
        ("alerts per 1,000", "alerts_per_1000"),
        ("log loss", "log_loss"),
        ("calibration error", "calibration_error"),
    ] {
        lines.push(format!("  {label:<26} {}", figure(&report[key])));
    }
    let classes = report["classes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (class, f1) in classes.iter().zip(report["f1"].as_array().map(Vec::as_slice).unwrap_or_default()) {
        lines.push(format!("  {:<26} {}", format!("F1 {}", class.as_str().unwrap_or_default()), figure(f1)));
    }
    lines.push("what these inputs allow at best".to_owned());
    lines.push(format!("  {:<26} {}", "macro F1", figure(&report["input_limit"]["macro_f1"])));
    lines.push(format!(
        "  {:<26} {}",
        "orphan average precision",
        figure(&report["input_limit"]["orphan_average_precision"])
    ));
    let sufficiency = &report["inputs"];
    lines.push(match sufficiency["inputs"].as_str() {
        Some("insufficient") => {
            format!("  THE INPUTS ARE INSUFFICIENT: {}", sufficiency["because"].as_str().unwrap_or_default())
        }
        Some("unclear") => format!(
            "  unclear whether the inputs suffice: {}",
            sufficiency["because"].as_str().unwrap_or_default()
        ),
        _ => "  the inputs are sufficient for the target".to_owned(),
    });
    if let Some(preset) = report["truth"]["preset"].as_str() {
        let truth = |key: &str| report["truth"][key].as_f64().unwrap_or_default();
        lines.push(format!("exactly, over all possible patients of the reference cohort ({preset})"));
        lines.push(format!(
            "  macro F1 {:.4}, best possible {:.4}, regret {:.4}",
            truth("macro_f1"),
            truth("macro_f1_best"),
            truth("macro_f1_regret")
        ));
        lines.push(format!(
            "  orphan average precision {:.4}, best possible {:.4}, regret {:.4}",
            truth("orphan_ap"),
            truth("orphan_ap_best"),
            truth("orphan_ap_regret")
        ));
    }
    lines.join("\n") + "\n"
}
