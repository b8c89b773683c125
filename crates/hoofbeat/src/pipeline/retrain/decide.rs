//! Decide: the gates' verdict becomes a promotion, a hold or a question to a second person, and in any case a record.

use std::collections::BTreeMap;

use anyhow::Result;
use registry::{Cause, ChangeKind, Decision, Error, Model, Replaces};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Measured, Turn};
use crate::config::Approval;
use crate::deployment::{self, Deployment};
use crate::pipeline::promote::act_as;

/// Who asks for a turn.
#[derive(Debug, Clone)]
pub struct Request {
    /// `schedule`, or a person with where they act.
    pub by: String,
}

impl Request {
    /// The person at the command line.
    pub fn by_hand() -> Request {
        Request { by: deployment::actor() }
    }
}

/// What a turn ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// The challenger is the champion.
    Promoted,
    /// A gate or limit does not hold, or the champion changed meanwhile: it stays.
    Held,
    /// All holds; a second person has to approve.
    Waits,
    /// All holds; the challenger first answers unseen beside the champion.
    Shadow,
    /// There was nothing new.
    Nothing,
    /// A dry run decides nothing.
    Rehearsed,
}

/// Figures whose intervals a record keeps.
const RECORDED: [&str; 8] = [
    "f1_common",
    "macro_f1",
    "orphan_recall",
    "orphan_precision",
    "orphan_average_precision",
    "alerts_per_1000",
    "log_loss",
    "calibration_error",
];

/// Decides on a registered and measured challenger, and records why.
pub(super) fn decide(
    deployment: &Deployment,
    request: &Request,
    model: &Model,
    run: &str,
    turn: &mut Turn,
) -> Result<()> {
    let Some(measured) = turn.challenger.as_mut() else { return Ok(()) };
    let cause = format!("retrain:{}", turn.mode);
    let mut evidence = evidence(deployment, model, run, measured, turn.since_dataset_version, &turn.cases)?;
    evidence["shadow_days"] = json!(deployment.study.cycle.shadow_days);
    let cause = Cause { cause: &cause, requested_by: &request.by, evidence: Some(&evidence), answers: None };
    let failed = measured.comparison.because(&measured.validation);
    let decision = |kind| Decision { kind, model: model.version, previous: Some(turn.champion), cause };
    let record = |kind, reason: &str| {
        act_as(deployment, &request.by, reason, |act| {
            Ok(deployment.registry.record_decision(&decision(kind), act)?.id)
        })
    };
    if !measured.gates_hold {
        turn.decision = DecisionKind::Held;
        turn.change = Some(record(ChangeKind::Hold, &failed.join("; "))?);
        turn.because = failed;
        return Ok(());
    }
    let verdicts = json!({ "verdicts": measured.validation["gates"] });
    act_as(deployment, &request.by, "the gates hold on the validation set", |act| {
        Ok(deployment.registry.validate(model.version, &verdicts, act)?)
    })?;
    let holds = format!("{}: the gates hold", cause.cause);
    let (kind, reason) = match (deployment.study.cycle.shadow_days, deployment.config.cycle.approval) {
        (1.., _) => (ChangeKind::Shadow, "the gates hold; it answers unseen first"),
        (0, Approval::SecondPerson) => (ChangeKind::Wait, "the gates hold; a second person decides"),
        (0, Approval::Automatic) => (ChangeKind::Promotion, holds.as_str()),
    };
    if kind != ChangeKind::Promotion {
        turn.decision = if kind == ChangeKind::Wait { DecisionKind::Waits } else { DecisionKind::Shadow };
        turn.because = vec![reason.to_owned()];
        turn.change = Some(record(kind, reason)?);
        return Ok(());
    }
    // Only in place of the model that it was compared with.
    let replaces = Replaces::Only(Some(turn.champion));
    let key = uuid::Uuid::now_v7().to_string();
    let act = registry::Act { key: &key, actor: &request.by, reason, at: deployment.now() };
    match deployment.registry.promote_for(model.version, replaces, &cause, &act) {
        Ok(promotion) => {
            measured.promoted = promotion.changed;
            turn.decision = DecisionKind::Promoted;
            turn.because = vec![reason.to_owned()];
            turn.change = deployment.registry.changes_of(model.version)?.last().map(|change| change.id);
        }
        Err(Error::ChampionMoved { found, .. }) => {
            let found = found.map_or_else(|| "none".to_owned(), |version| version.to_string());
            let because = format!("the champion became {found} while the challenger was made");
            turn.decision = DecisionKind::Held;
            turn.change = Some(record(ChangeKind::Hold, &because)?);
            turn.because = vec![because];
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Data, figures before and after with intervals, gates, difference and verification: what a change is judged by later.
fn evidence(
    deployment: &Deployment,
    model: &Model,
    run: &str,
    measured: &Measured,
    since: u64,
    cases: &super::Cases,
) -> Result<Value> {
    let Measured { comparison, validation, .. } = measured;
    let champion = serde_json::to_value(&comparison.champion)?;
    let side = |figures: &Value| -> BTreeMap<&str, Value> {
        RECORDED.into_iter().map(|name| (name, figures[name].clone())).collect()
    };
    let apart: BTreeMap<&str, &::evaluate::Figure> =
        comparison.compared.iter().map(|(name, pair)| (name.as_str(), &pair.difference)).collect();
    let verification = &validation["verification"];
    let recorded = deployment.registry.run(run)?;
    Ok(json!({
        "data": {
            "dataset_version": {"before": since, "after": model.dataset_version},
            "cases": cases,
            "set": "validation",
            "patients": validation["patients"],
        },
        "model": {"run": run, "study": model.study_hash, "bundle": model.bundle_digest, "seed": recorded.seed},
        "figures": {"before": side(&champion), "after": side(validation), "difference": apart},
        "gates": {"verdicts": validation["gates"]},
        "limits": comparison.limits,
        "difference": comparison.difference,
        "verification": verification.get("holds").map(|holds| json!({
            "holds": holds, "patients": verification["patients"], "bounds": verification["bounds"],
        })),
    }))
}
