//! `hoofbeat retrain`: one turn of the cycle.

use anyhow::Result;
use serde_json::json;

use crate::cli::{Global, Retrain, RetrainMode};
use crate::commands::report;
use crate::deployment::Deployment;
use crate::output::{self, Done, table};
use crate::pipeline::retrain::{self, Measured, Turn};

/// Exit status 3 when the study's gates do not hold for the challenger: the champion stays.
pub(super) fn run(global: &Global, command: &Retrain) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let turn = match command.mode {
        RetrainMode::Orphan => retrain::orphan(&deployment, command.dry_run)?,
    };
    output::print(global.json, &turn, || text(&turn))?;
    Ok(Done::held(turn.challenger.as_ref().is_none_or(|challenger| challenger.gates_hold)))
}

fn text(turn: &Turn) -> String {
    let cases = &turn.cases;
    let mut lines = vec![format!(
        "{} confirmed orphan cases between dataset versions {} and {}",
        cases.found, turn.since_dataset_version, turn.dataset_version
    )];
    let left_out = [
        (cases.held_out, "their patients belong to the validation or test set, which no model learns from"),
        (cases.outside, "they do not fit the champion's study"),
        (cases.unclassed, "the champion knows no orphan disease of their severity: `hoofbeat train` does"),
    ];
    let told = left_out.iter().filter(|(count, _)| *count > 0);
    lines.extend(told.map(|(count, why)| format!("  {count:>6} left out: {why}")));
    for (code, count) in &cases.diseases {
        let name = if code.is_empty() { "(no disease code)" } else { code };
        lines.push(format!("  {count:>6} added: {name}"));
    }
    match &turn.challenger {
        None => lines.push(format!("nothing to learn: {} stays the champion", turn.champion)),
        Some(challenger) => lines.extend(challenger_text(turn, challenger)),
    }
    lines.join("\n")
}

fn challenger_text(turn: &Turn, challenger: &Measured) -> Vec<String> {
    let name = challenger.model.map_or_else(|| "dry run".to_owned(), |model| model.to_string());
    let number = |value: &serde_json::Value| value.as_f64().map_or("-".to_owned(), |v| format!("{v:.4}"));
    let mut rows = vec![vec!["validation set".to_owned(), turn.champion.to_string(), name.clone()]];
    let pairs = challenger.compared.iter();
    rows.extend(
        pairs.map(|(figure, pair)| {
            vec![(*figure).to_owned(), number(&pair.champion), number(&pair.challenger)]
        }),
    );
    let mut lines = vec![table(&rows), "gates".to_owned()];
    lines.push(report::gates(&json!({ "verdicts": challenger.validation["gates"] })));
    lines.push(match (challenger.promoted, challenger.gates_hold, challenger.model.is_some()) {
        (true, ..) => format!(
            "{name} is the champion now, after {}; `hoofbeat model rollback` goes back",
            turn.champion
        ),
        (false, true, false) => "the gates hold; nothing was stored".to_owned(),
        (false, false, false) => "the gates do not hold; nothing was stored".to_owned(),
        (false, true, true) => format!("{name} passed its gates and was not promoted"),
        (false, false, true) => {
            format!("the gates do not hold: {name} stays a candidate, {} the champion", turn.champion)
        }
    });
    lines
}
