//! `hoofbeat model`: the registry.

use anyhow::{Result, bail};
use registry::{Act, Model as Registered, Replaces, Stage};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::{Global, Model};
use crate::deployment::{self, Deployment};
use crate::output::{self, Done};
use crate::pipeline::{promote, score::Scorer, trials};

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
        Model::Rollback { reason } => rollback(global, &deployment, &reason),
        Model::Verify { model } => verify(global, &deployment, &deployment.model(&model)?),
        Model::Export { model, table } => {
            let model = deployment.model(&model)?;
            let rows = Scorer::open(&deployment, &model)?.export(&table)?;
            let value = json!({ "model": model.version, "table": table, "rows": rows });
            output::print(global.json, &value, || {
                format!("{rows} possible patients written to {}", table.display())
            })?;
            Ok(Done::Well)
        }
    }
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
        if let Some(report) = facts.pointer("/validation") {
            text += "\nvalidation set\n";
            text += &promote::figures_text(report);
        }
        if let Some(report) = facts.pointer("/test/report").filter(|report| !report.is_null()) {
            text += "\ntest set (opened once)\n";
            text += &promote::figures_text(report);
        }
        if let Some(gates) = &model.gates {
            text += "\ngates\n";
            text += &promote::gates_text(gates);
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
    if model.stage == Stage::Candidate {
        if !over {
            let gates = promote::judged(deployment, model)?;
            output::print(
                global.json,
                &json!({ "model": model.version, "promoted": false, "gates": gates }),
                || {
                    format!(
                        "{} is not promoted, its gates did not hold:\n{}\n`--override-gates --reason TEXT` promotes it all the same and is kept in the audit",
                        model.version,
                        promote::gates_text(&gates)
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
    let act = Act { key: &key, actor: &actor, reason, at: deployment::now() };
    let promotion = deployment.registry.rollback(&act)?;
    output::print(global.json, &promotion, || format!("{} is the champion again", promotion.champion))?;
    Ok(Done::Well)
}

fn verify(global: &Global, deployment: &Deployment, model: &Registered) -> Result<Done> {
    let scorer = Scorer::open(deployment, model)?;
    let Some(found) = scorer.verify() else {
        bail!(
            "{} answers from its trees, not from a table: there is no list of possible patients to verify",
            model.version
        );
    };
    let value = json!({ "model": model.version, "holds": found.holds(), "verification": found, "largest_jump": jump(&scorer, &found) });
    output::print(global.json, &value, || {
        let verdict = if found.holds() {
            "every answer is a proper distribution"
        } else {
            "SOME ANSWERS ARE NOT PROPER"
        };
        let mut text = format!(
            "{}: {} possible patients checked: {verdict}\n  not probabilities {}\n  not summing to 1  {} (largest error {:.1e})\n  alarmed           {}",
            model.version,
            found.patients,
            found.not_probabilities,
            found.not_summing,
            found.largest_sum_error,
            found.alarmed,
        );
        if let Some(jump) = jump(&scorer, &found) {
            text += &format!(
                "\n  largest jump between neighbours: {}",
                jump["text"].as_str().unwrap_or_default()
            );
        }
        text
    })?;
    Ok(Done::held(found.holds()))
}

/// The largest difference between neighbours in words: possible patients, no persons.
fn jump(scorer: &Scorer, found: &learn::verify::Verification) -> Option<Value> {
    let jump = found.largest_jump.as_ref()?;
    let study = scorer.study();
    let feature = study.features().get(jump.feature)?;
    let at = |extra: usize| {
        let levels = study.features().iter().zip(&jump.levels).enumerate();
        let words = levels.map(|(index, (feature, &level))| {
            format!(
                "{} {}",
                feature.name,
                feature.level_code(level + if index == jump.feature { extra } else { 0 })
            )
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let output = study.severities().get(jump.output).map_or("orphan", |class| class.code.as_str());
    let alarm = if jump.crosses_alarm { ", across the alarm's threshold" } else { "" };
    let text = format!(
        "{:+.3} in p({output}) along {} from [{}] to [{}]{alarm}",
        jump.difference,
        feature.name,
        at(0),
        at(1)
    );
    Some(
        json!({ "from": at(0), "to": at(1), "output": output, "difference": jump.difference, "crosses_alarm": jump.crosses_alarm, "text": text }),
    )
}
