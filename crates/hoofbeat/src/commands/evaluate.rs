//! `hoofbeat evaluate`: metrics with confidence intervals.

use anyhow::Result;
use prepare::Set;
use serde_json::{Value, json};

use crate::cli::{Evaluate, EvaluatedSet, Global};
use crate::commands::report;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::evaluate;
use crate::pipeline::promote;

/// Exit status 3 when the study's gates do not hold on the evaluated set.
pub(super) fn run(global: &Global, command: &Evaluate) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let model = deployment.model(&command.model)?;
    let (measured, opened) = match command.set {
        EvaluatedSet::Validation => (evaluate::validation(&deployment, &model)?, None),
        EvaluatedSet::Test => {
            let measure = || evaluate::of_model(&deployment, &model, Set::Test);
            let opened = evaluate::open_test(&deployment, model.version, measure)?;
            let (at, by) = (opened.opening.opened_at.to_string(), opened.opening.opened_by);
            (opened.report, Some(json!({ "at": at, "by": by, "earlier": opened.earlier })))
        }
    };
    let held = promote::held(&measured);
    let value =
        json!({ "model": model.version, "test_opened": opened, "gates_hold": held, "report": measured });
    output::print(global.json, &value, || text(&value, &measured))?;
    Ok(Done::held(held))
}

fn text(value: &Value, measured: &Value) -> String {
    let mut text = format!(
        "model {} on the {} set of dataset version {}: {} patients, {} orphan\n",
        value["model"].as_str().unwrap_or_default(),
        measured["set"].as_str().unwrap_or_default(),
        measured["dataset_version"],
        measured["patients"],
        measured["orphans"]
    );
    if value["test_opened"]["earlier"] == true {
        let by = value["test_opened"]["by"].as_str().unwrap_or_default();
        text += &format!(
            "the test set was opened before, {} by {by}: this is that report\n",
            value["test_opened"]["at"].as_str().unwrap_or_default()
        );
    }
    text += &report::figures(measured);
    text += &report::details(measured);
    text + "gates\n" + &report::gates(&json!({ "verdicts": measured["gates"] }))
}
