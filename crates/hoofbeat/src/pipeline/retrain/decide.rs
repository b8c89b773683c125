//! Decide: the gates' verdict becomes a promotion, a hold or a question to a second person, and in any case a record.
//!
//! The challenger is registered by the same transaction: of a turn that is killed there is all or nothing.

use std::collections::BTreeMap;

use anyhow::Result;
use registry::{Attempt, Cause, Change, ChangeKind, Conclusion, Decision, Job, Made, NewModel};
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
    /// The attempt at the job that asks; none by hand.
    pub attempt: Option<Attempt>,
}

impl Request {
    /// The person at the command line.
    pub fn by_hand() -> Request {
        Request { by: deployment::actor(), attempt: None }
    }

    /// A job that is under way.
    pub fn of_job(job: &Job) -> Request {
        Request { by: job.requested_by.clone(), attempt: Some(job.under_way()) }
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

/// Registers a measured challenger, decides on it and records why; ends its run, and the job that asked for it.
pub(super) fn decide(
    deployment: &Deployment,
    request: &Request,
    new: &NewModel<'_>,
    run: &str,
    turn: &mut Turn,
) -> Result<()> {
    let Some(measured) = &turn.challenger else { return Ok(()) };
    let cause = format!("retrain:{}", turn.mode);
    let (kind, because) = intended(deployment, measured, &cause);
    let evidence = evidence(deployment, new, run, measured, turn)?;
    let report = measured.validation.clone();
    let gates = measured.gates_hold.then(|| json!({ "verdicts": report["gates"] }));
    let conclusion = Conclusion {
        decision: Decision {
            kind,
            model: new.version,
            // Only in place of the model that it was compared with.
            previous: Some(turn.champion),
            cause: Cause {
                cause: &cause,
                requested_by: &request.by,
                evidence: Some(&evidence),
                answers: None,
            },
        },
        made: Some(Made { run, model: new, report: &report, gates: gates.as_ref() }),
        attempt: request.attempt,
    };
    act_as(deployment, &request.by, &because.join("; "), |act| {
        let told = |change: &Change| {
            turn.settle(
                change,
                if change.kind == kind { because.clone() } else { vec![change.reason.clone()] },
            );
            turn.summary()
        };
        Ok(deployment.registry.conclude(&conclusion, act, told)?)
    })?;
    Ok(())
}

/// What the gates and the study let happen, and why.
fn intended(deployment: &Deployment, measured: &Measured, cause: &str) -> (ChangeKind, Vec<String>) {
    if !measured.gates_hold {
        return (ChangeKind::Hold, measured.comparison.because(&measured.validation));
    }
    let (kind, reason) = match (measured.judge.cycle.shadow_days, deployment.config.cycle.approval) {
        (1.., _) => (ChangeKind::Shadow, "the gates hold; it answers unseen first".to_owned()),
        (0, Approval::SecondPerson) => {
            (ChangeKind::Wait, "the gates hold; a second person decides".to_owned())
        }
        (0, Approval::Automatic) => (ChangeKind::Promotion, format!("{cause}: the gates hold")),
    };
    (kind, vec![reason])
}

impl Turn {
    /// Takes over what was recorded.
    fn settle(&mut self, change: &Change, because: Vec<String>) {
        self.decision = match change.kind {
            ChangeKind::Promotion => DecisionKind::Promoted,
            ChangeKind::Wait => DecisionKind::Waits,
            ChangeKind::Shadow => DecisionKind::Shadow,
            _ => DecisionKind::Held,
        };
        if let Some(measured) = &mut self.challenger {
            measured.promoted = change.kind == ChangeKind::Promotion;
        }
        self.because = because;
        self.change = Some(change.id);
    }
}

/// Data, figures before and after with intervals, gates, difference and verification: what a change is judged by later.
fn evidence(
    deployment: &Deployment,
    new: &NewModel<'_>,
    run: &str,
    measured: &Measured,
    turn: &Turn,
) -> Result<Value> {
    let Measured { comparison, validation, judge, .. } = measured;
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
            "dataset_version": {"before": turn.since_dataset_version, "after": recorded.dataset_version},
            "cases": turn.cases,
            "set": "validation",
            "patients": validation["patients"],
        },
        "model": {"run": run, "study": recorded.study_hash, "bundle": new.bundle_digest, "seed": recorded.seed},
        "search": turn.search.as_ref().map(|found| json!({"asked": recorded.parameters["search"]["learner"], "found": found})),
        "figures": {"before": side(&champion), "after": side(validation), "difference": apart},
        "gates": {"verdicts": validation["gates"], "study": judge.digest()},
        "limits": comparison.limits,
        "difference": comparison.difference,
        "shadow_days": judge.cycle.shadow_days,
        "verification": verification.get("holds").map(|holds| json!({
            "holds": holds, "patients": verification["patients"], "bounds": verification["bounds"],
        })),
    }))
}
