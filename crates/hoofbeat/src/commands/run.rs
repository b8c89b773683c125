//! `hoofbeat run`: training runs and the trials of their searches.

use anyhow::{Context, Result};
use registry::{Run as Recorded, RunState};
use serde_json::json;

use crate::cli::{Global, Run};
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::trials;

pub(super) fn run(global: &Global, command: &Run) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    match command {
        Run::List { limit } => list(global, &deployment, *limit),
        Run::Show { run } => show(global, &deployment, run.as_deref()),
    }
}

fn list(global: &Global, deployment: &Deployment, limit: u32) -> Result<Done> {
    let runs = deployment.registry.runs(limit)?;
    output::print(global.json, &runs, || {
        if runs.is_empty() {
            return "no run yet: `hoofbeat train` makes the first".to_owned();
        }
        let mut rows =
            vec![["run", "state", "started", "dataset", "seed", "asked"].map(str::to_owned).to_vec()];
        rows.extend(runs.iter().map(|run| {
            vec![
                run.id.clone(),
                state(run).to_owned(),
                run.started_at.to_string(),
                run.dataset_version.to_string(),
                run.seed.to_string(),
                asked(run),
            ]
        }));
        output::table(&rows)
    })?;
    Ok(Done::Well)
}

fn show(global: &Global, deployment: &Deployment, id: Option<&str>) -> Result<Done> {
    let run = match id {
        Some(id) => deployment.registry.run(id)?,
        None => deployment.registry.runs(1)?.pop().context("no run yet: `hoofbeat train` makes the first")?,
    };
    let listed = trials::trials(deployment, &run.id)?;
    output::print(global.json, &json!({ "run": run, "trials": listed }), || {
        let mut text = format!(
            "run {}, {}\nstarted {} on dataset version {} with seed {}\n{}\n",
            run.id,
            state(&run),
            run.started_at,
            run.dataset_version,
            run.seed,
            asked(&run),
        );
        if let Some(error) = &run.error {
            text += &format!("{error}\n");
        }
        if !listed.is_empty() {
            text += &format!("\n{}", trials::table(&listed));
        }
        text
    })?;
    Ok(Done::Well)
}

fn state(run: &Recorded) -> &'static str {
    match run.state {
        RunState::Running => "running or interrupted",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
    }
}

/// What was asked for, in a few words.
fn asked(run: &Recorded) -> String {
    let word = |pointer: &str| run.parameters.pointer(pointer).and_then(serde_json::Value::as_str);
    match (run.parameters.pointer("/search/trials"), word("/search/learner")) {
        (Some(trials), Some(learner)) => format!("search of {trials} trials, learner {learner}"),
        _ => format!("{} as the study plans it", word("/parameters/learner").unwrap_or("training")),
    }
}
