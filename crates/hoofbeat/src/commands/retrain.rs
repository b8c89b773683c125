//! `hoofbeat retrain`: one turn of the cycle.

use ::evaluate::Figure;
use anyhow::{Result, bail};
use serde_json::json;

use crate::cli::{Global, Learner, Retrain, RetrainMode};
use crate::commands::report;
use crate::deployment::Deployment;
use crate::output::{self, Done, table};
use crate::pipeline::orphan::Tally;
use crate::pipeline::retrain::{self, Cases, DecisionKind, Measured, Mode, Request, Searching, Turn};
use crate::pipeline::trials;

impl From<RetrainMode> for Mode {
    fn from(mode: RetrainMode) -> Mode {
        match mode {
            RetrainMode::Incremental => Mode::Incremental,
            RetrainMode::Full => Mode::Full,
            RetrainMode::Orphan => Mode::Orphan,
        }
    }
}

/// Exit status 3 when the gates do not hold for the challenger: the champion stays.
pub(super) fn run(global: &Global, command: &Retrain) -> Result<Done> {
    if command.mode != RetrainMode::Full && (command.trials.is_some() || command.learner.is_some()) {
        bail!("--trials and --learner belong to --mode full: the other modes keep the champion's settings");
    }
    let deployment = Deployment::open(global)?;
    let learner = command.learner.map(Learner::named);
    let searching = Searching { trials: command.trials, learner };
    let (mode, request) = (command.mode.into(), Request::by_hand());
    let turn = retrain::searching_turn(&deployment, mode, searching, &request, command.dry_run)?;
    output::print(global.json, &turn, || text(&turn))?;
    Ok(Done::held(turn.challenger.as_ref().is_none_or(|challenger| challenger.gates_hold)))
}

fn text(turn: &Turn) -> String {
    let mut lines = match &turn.cases {
        Cases::Orphans(tally) => orphans(turn, tally),
        Cases::All(batch) => vec![format!(
            "{} confirmed cases came after dataset version {}, {} of them from reviews; the newest is {}",
            batch.added, turn.since_dataset_version, batch.of_reviews, turn.dataset_version
        )],
    };
    lines.extend(turn.search.as_ref().map(|found| trials::found_text(found).trim_end().to_owned()));
    match &turn.challenger {
        None => lines.push(format!("nothing to learn: {} stays the champion", turn.champion)),
        Some(challenger) => lines.extend(challenger_text(turn, challenger)),
    }
    lines.join("\n")
}

fn orphans(turn: &Turn, cases: &Tally) -> Vec<String> {
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
    lines
}

fn challenger_text(turn: &Turn, challenger: &Measured) -> Vec<String> {
    let name = challenger.model.map_or_else(|| "dry run".to_owned(), |model| model.to_string());
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
    let apart = |figure: &Figure| match figure.estimate() {
        Some(e) => format!("{:+.4} ({:+.4} to {:+.4})", e.value, e.low, e.high),
        None => "-".to_owned(),
    };
    let head =
        ["validation set".to_owned(), turn.champion.to_string(), name.clone(), "difference".to_owned()];
    let mut rows = vec![head.to_vec()];
    rows.extend(challenger.comparison.compared.iter().map(|(figure, pair)| {
        vec![figure.clone(), number(pair.champion), number(pair.challenger), apart(&pair.difference)]
    }));
    let mut lines = vec![table(&rows), "gates".to_owned()];
    lines.push(report::gates(&json!({ "verdicts": challenger.validation["gates"] })));
    for limit in &challenger.comparison.limits {
        lines.push(format!("  {:<7} {}", if limit.holds { "holds" } else { "FAILS" }, limit.because));
    }
    lines.push(match turn.decision {
        DecisionKind::Promoted => format!(
            "{name} is the champion now, after {}; `hoofbeat model rollback` goes back",
            turn.champion
        ),
        DecisionKind::Rehearsed if challenger.gates_hold => "the gates hold; nothing was stored".to_owned(),
        DecisionKind::Rehearsed => "the gates do not hold; nothing was stored".to_owned(),
        DecisionKind::Waits => {
            format!("{name} waits for a second person: `hoofbeat model approve {name} --approver NAME`")
        }
        DecisionKind::Shadow => format!("{name} answers unseen beside {} first", turn.champion),
        DecisionKind::Held | DecisionKind::Nothing if challenger.gates_hold => {
            format!("{name} passed its gates and was not promoted: {}", turn.because.join("; "))
        }
        DecisionKind::Held | DecisionKind::Nothing => {
            format!("the gates do not hold: {name} stays a candidate, {} the champion", turn.champion)
        }
    });
    lines
}
