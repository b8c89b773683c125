//! Promote: gates decide, a person may override them in the open; one row of the registry changes.

use anyhow::{Context, Result, bail};
use registry::{Act, Model, Promotion, Replaces, Stage};
use serde_json::{Value, json};
use uuid::Uuid;

use super::evaluate::{self, Evaluation};
use crate::deployment::{self, Deployment};

/// Marks a candidate validated when its gates hold on the validation set.
pub fn judge(deployment: &Deployment, model: &Model, evaluation: &Evaluation) -> Result<bool> {
    if !evaluation.gates_hold {
        return Ok(false);
    }
    let gates = serde_json::to_value(&evaluation.gates)?;
    act(deployment, "the study's gates hold on the validation set", |act| {
        Ok(deployment.registry.validate(model.version, &json!({ "verdicts": gates }), act)?)
    })?;
    Ok(true)
}

/// The gates of the study that is in force now.
#[derive(Debug)]
pub struct Judged {
    pub hold: bool,
    pub verdicts: Value,
}

/// How a model stands to them: by its latest evaluation, and by a new one where another study judged then.
pub fn judged(deployment: &Deployment, model: &Model) -> Result<Judged> {
    let evaluations = deployment.registry.evaluations(model.version)?;
    let latest =
        evaluations.first().context("the model was never evaluated: `hoofbeat evaluate` does that")?;
    let own =
        deployment.study_of(model).with_context(|| format!("the study of {} is gone", model.version))?;
    let judge = deployment.study_in_force(&own)?.digest();
    let report = match latest.report["judged_by"] == judge {
        true => latest.report.clone(),
        false => evaluate::validation(deployment, model)?,
    };
    Ok(Judged { hold: held(&report), verdicts: json!({ "verdicts": report["gates"] }) })
}

/// What stands between a model and its promotion: the gates that do not hold, none where it may be promoted. A champion of
/// before has been judged; and who took the responsibility for a model's gates once, has it.
pub fn hindered(deployment: &Deployment, model: &Model) -> Result<Option<Judged>> {
    let new = matches!(model.stage, Stage::Candidate | Stage::Validated);
    if !new || was_overridden(model) {
        return Ok(None);
    }
    let judged = judged(deployment, model)?;
    let passed = judged.hold && model.stage != Stage::Candidate;
    Ok((!passed).then_some(judged))
}

/// A person takes the responsibility that the gates refused; the reason is kept in the audit.
pub fn override_gates(deployment: &Deployment, model: &Model, reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        bail!("overriding gates needs a reason");
    }
    let mut gates = judged(deployment, model)?.verdicts;
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
    act_as(deployment, &deployment::actor(), reason, decide)
}

/// Runs one decision of somebody who is named.
pub fn act_as<T>(
    deployment: &Deployment,
    actor: &str,
    reason: &str,
    decide: impl FnOnce(&Act<'_>) -> Result<T>,
) -> Result<T> {
    let key = Uuid::now_v7().to_string();
    decide(&Act { key: &key, actor, reason, at: deployment.now() })
}

/// Whether somebody promoted the model although its gates had failed.
pub fn was_overridden(model: &Model) -> bool {
    model.gates.as_ref().is_some_and(|gates| !gates["overridden"].is_null())
}

/// Whether the gates of a stored report hold. Reports from before gates had groups say it verdict by verdict.
pub fn held(report: &Value) -> bool {
    report["gates_hold"].as_bool().unwrap_or_else(|| {
        let verdicts = report["gates"].as_array();
        verdicts.is_some_and(|all| all.iter().all(|verdict| verdict["outcome"] == "holds"))
    })
}
