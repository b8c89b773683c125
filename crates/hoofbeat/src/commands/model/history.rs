//! `hoofbeat model history`: the life of the model; and a second person's answer to a challenger.

use anyhow::{Result, bail};
use registry::{Act, Change};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output::{self, Done, table};

/// Longest name of a person, in characters.
const NAME_CHARS: usize = 80;

pub(super) fn run(global: &Global, deployment: &Deployment, limit: u32) -> Result<Done> {
    let changes = deployment.registry.changes(limit)?;
    output::print(global.json, &json!({ "changes": changes }), || {
        if changes.is_empty() {
            return "no decision yet: `hoofbeat model promote MODEL` makes the first".to_owned();
        }
        let head =
            ["when", "decision", "model", "before", "cause", "by", "F1 common", "orphan recall", "why"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(changes.iter().map(row));
        table(&rows)
    })?;
    Ok(Done::Well)
}

fn row(change: &Change) -> Vec<String> {
    let figures = &change.evidence["figures"];
    let side = |side: &str, name: &str| match figures[side][name]["value"].as_f64() {
        Some(value) => format!("{value:.3}"),
        None => "-".to_owned(),
    };
    let both = |name: &str| format!("{} to {}", side("before", name), side("after", name));
    vec![
        output::instant(change.at),
        change.kind.code().to_owned(),
        change.model.to_string(),
        change.previous.map(|version| version.to_string()).unwrap_or_default(),
        change.cause.clone(),
        change.actor.clone(),
        both("f1_common"),
        both("orphan_recall"),
        change.reason.clone(),
    ]
}

/// A second person approves or rejects a challenger that waits.
pub(super) fn answer(
    global: &Global,
    deployment: &Deployment,
    model: &str,
    approver: &str,
    reason: &str,
    approves: bool,
) -> Result<Done> {
    let model = deployment.model(model)?;
    let name = approver.trim();
    if !(1..=NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        bail!("--approver takes a name of 1 to {NAME_CHARS} characters");
    }
    let (key, actor) = (Uuid::now_v7().to_string(), format!("cli:{name}"));
    let act = Act { key: &key, actor: &actor, reason, at: deployment.now() };
    let answered: Value = match approves {
        true => serde_json::to_value(deployment.registry.approve(model.version, &act)?)?,
        false => serde_json::to_value(deployment.registry.reject(model.version, &act)?)?,
    };
    output::print(global.json, &answered, || match approves {
        true => format!("{} is the champion now, approved by {name}", model.version),
        false => format!("{} is rejected by {name}", model.version),
    })?;
    Ok(Done::Well)
}
