//! `hoofbeat train`: a candidate from a dataset version.

use anyhow::Result;
use serde_json::json;

use crate::cli::{Global, Train};
use crate::commands::report;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::asked::Asked;
use crate::pipeline::{train, trials};

/// Exit status 3 when the study's gates do not hold on validation: the candidate stays one.
pub(super) fn run(global: &Global, command: &Train) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let version = deployment.dataset_version(command.dataset_version)?;
    let asked = Asked {
        dataset_version: version,
        learner: command.learner.named(),
        trials: command.trials.unwrap_or(deployment.study.search.trials),
        seed: command.seed,
        workers: command.workers.map(usize::from),
    };
    let trained = train::train(&deployment, asked)?;
    let mut value = json!({
        "model": trained.model, "gates_hold": trained.gates_hold, "validation": trained.report, "training": trained.record,
    });
    if let Some(found) = &trained.search {
        let listed = trials::trials(&deployment, &trained.model.run)?;
        value["search"] = json!({ "summary": found, "trials": listed });
    }
    let searched = trained.search.as_ref().map(trials::found_text).unwrap_or_default();
    output::print(global.json, &value, || {
        format!(
            "{searched}model {} from dataset version {version}, on the validation set:\n{}gates\n{}\n{}",
            trained.model.version,
            report::figures(&trained.report),
            report::gates(&json!({ "verdicts": trained.report["gates"] })),
            match trained.gates_hold {
                true => format!(
                    "the gates hold: `hoofbeat model promote {}` makes it the champion",
                    trained.model.version
                ),
                false => "the gates do not hold: the model stays a candidate".to_owned(),
            }
        )
    })?;
    Ok(Done::held(trained.gates_hold))
}
