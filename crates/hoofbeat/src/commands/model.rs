//! `hoofbeat model`: the registry, and what can be asked of one model or two.

mod card;
mod diff;
mod history;
mod reproduce;
mod verify;

use std::path::Path;

use anyhow::Result;
use registry::{Act, Model as Registered, Replaces};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::{CardFormat, Global, Model};
use crate::commands::report;
use crate::deployment::{self, Deployment};
use crate::output::{self, Done};
use crate::pipeline::promote::{self, Judged};
use crate::pipeline::{export, score::Scorer, trials};

/// Trials that `show` lists.
const BEST_TRIALS: usize = 5;

pub(super) fn run(global: &Global, command: Model) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    match command {
        Model::List => list(global, &deployment),
        Model::Show { model } => show(global, &deployment, model.as_deref()),
        Model::Promote { model, reason, override_gates } => {
            let model = deployment.model(&model)?;
            promote_model(global, &deployment, &model, &reason, override_gates)
        }
        Model::Approve { model, approver, reason } => {
            history::answer(global, &deployment, &model, &approver, &reason, true)
        }
        Model::Reject { model, approver, reason } => {
            history::answer(global, &deployment, &model, &approver, &reason, false)
        }
        Model::History { limit } => history::run(global, &deployment, limit),
        Model::Rollback { reason } => rollback(global, &deployment, &reason),
        Model::Verify { model } => verify::run(global, &deployment, &deployment.model(&model)?),
        Model::Diff { first, second, dataset_version, table } => {
            let models = [deployment.model(&first)?, deployment.model(&second)?];
            diff::run(global, &deployment, &models, dataset_version, table.as_deref())
        }
        Model::Card { model, format, lang, out } => {
            let format =
                format.or_else(|| CardFormat::of_path(out.as_deref()?)).unwrap_or(CardFormat::Markdown);
            let model = deployment.model(&model)?;
            card::run(global, &deployment, &model, format, lang.into(), out.as_deref())
        }
        Model::Reproduce { model } => reproduce::run(global, &deployment, &deployment.model(&model)?),
        Model::Export { model, table, boosters } => {
            let model = deployment.model(&model)?;
            export_model(global, &deployment, &model, table.as_deref(), boosters.as_deref())
        }
    }
}

fn export_model(
    global: &Global,
    deployment: &Deployment,
    model: &Registered,
    table: Option<&Path>,
    folder: Option<&Path>,
) -> Result<Done> {
    let rows = table.map(|path| Scorer::open(deployment, model)?.export(path)).transpose()?;
    let boosters = folder.map(|path| export::boosters(deployment, model, path)).transpose()?;
    let value = json!({
        "model": model.version, "table": table, "rows": rows, "folder": folder, "boosters": boosters,
    });
    output::print(global.json, &value, || {
        let mut text = String::new();
        if let (Some(path), Some(rows)) = (table, rows) {
            text += &format!("{rows} possible patients written to {}\n", path.display());
        }
        if let (Some(path), Some(written)) = (folder, boosters) {
            text += &format!("{} files written to {}\n", written.len() + 1, path.display());
            text += &written.iter().map(|file| format!("  {}\n", file.file)).collect::<String>();
        }
        text
    })?;
    Ok(Done::Well)
}

fn list(global: &Global, deployment: &Deployment) -> Result<Done> {
    let models = deployment.registry.models()?;
    output::print(global.json, &models, || {
        if models.is_empty() {
            return "no model yet: `hoofbeat train` makes the first".to_owned();
        }
        let mut rows = vec![["model", "stage", "dataset", "made", "study"].map(str::to_owned).to_vec()];
        rows.extend(models.iter().map(|model| {
            vec![
                model.version.to_string(),
                model.stage.to_string(),
                model.dataset_version.to_string(),
                model.created_at.to_string(),
                model.study_hash.chars().take(12).collect(),
            ]
        }));
        output::table(&rows)
    })?;
    Ok(Done::Well)
}

/// Everything the registry knows of a model.
fn facts(deployment: &Deployment, model: &Registered) -> Result<Value> {
    let run = deployment.registry.run(&model.run)?;
    let evaluations = deployment.registry.evaluations(model.version)?;
    let test = deployment.registry.test_opening(model.version)?;
    Ok(json!({
        "model": model,
        "run": run,
        "best_trials": best_trials(deployment, model)?,
        "validation": evaluations.first().map(|evaluation| &evaluation.report),
        "test": test,
    }))
}

/// None of a model without a search.
fn best_trials(deployment: &Deployment, model: &Registered) -> Result<Vec<trials::Listed>> {
    let mut best = trials::best(trials::trials(deployment, &model.run)?);
    best.truncate(BEST_TRIALS);
    Ok(best)
}

fn show(global: &Global, deployment: &Deployment, version: Option<&str>) -> Result<Done> {
    let model = match version {
        Some(version) => deployment.model(version)?,
        None => deployment.champion()?,
    };
    let (facts, best) = (facts(deployment, &model)?, best_trials(deployment, &model)?);
    output::print(global.json, &facts, || {
        let mut text = format!(
            "model {}, {}\nmade {} by run {} from dataset version {}\nstudy {}\nbundle {} (digest {})\n",
            model.version,
            model.stage,
            model.created_at,
            model.run,
            model.dataset_version,
            model.study_hash,
            model.bundle_path,
            model.bundle_digest,
        );
        if !best.is_empty() {
            text += &format!("\nbest trials of the search (`hoofbeat run show {}` lists all)\n", model.run);
            text += &trials::table(&best);
            text += "\n";
        }
        if let Some(measured) = facts.pointer("/validation") {
            text += "\nvalidation set\n";
            text += &report::figures(measured);
        }
        if let Some(report) = facts.pointer("/test/report").filter(|report| !report.is_null()) {
            text += "\ntest set (opened once)\n";
            text += &report::figures(report);
        }
        if let Some(gates) = &model.gates {
            text += "\ngates\n";
            text += &report::gates(gates);
        }
        text
    })?;
    Ok(Done::Well)
}

fn promote_model(
    global: &Global,
    deployment: &Deployment,
    model: &Registered,
    reason: &str,
    over: bool,
) -> Result<Done> {
    if let Some(Judged { verdicts: gates, .. }) = promote::hindered(deployment, model)? {
        if !over {
            output::print(
                global.json,
                &json!({ "model": model.version, "promoted": false, "gates": gates }),
                || {
                    format!(
                        "{} is not promoted, its gates did not hold:\n{}\n`--override-gates --reason TEXT` promotes it all the same and is kept in the audit",
                        model.version,
                        report::gates(&gates)
                    )
                },
            )?;
            return Ok(Done::NotHeld);
        }
        promote::override_gates(deployment, model, reason)?;
    }
    let promotion = promote::promote(deployment, model, Replaces::Any, reason)?;
    output::print(global.json, &promotion, || match (promotion.changed, promotion.previous) {
        (false, _) => format!("{} is the champion already", promotion.champion),
        (true, Some(previous)) => format!("{} is the champion now, after {previous}", promotion.champion),
        (true, None) => format!("{} is the champion now", promotion.champion),
    })?;
    Ok(Done::Well)
}

fn rollback(global: &Global, deployment: &Deployment, reason: &str) -> Result<Done> {
    let (key, actor) = (Uuid::now_v7().to_string(), deployment::actor());
    let act = Act { key: &key, actor: &actor, reason, at: deployment.now() };
    let promotion = deployment.registry.rollback(&act)?;
    output::print(global.json, &promotion, || format!("{} is the champion again", promotion.champion))?;
    Ok(Done::Well)
}
