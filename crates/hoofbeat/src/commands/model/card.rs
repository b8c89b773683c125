//! `hoofbeat model card`: all that is known of a model, as a document.

use std::io::{Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use clinical::{Language, Study};
use learn::bundle::files;
use registry::Model;
use serde_json::json;
use serve::card::{self, Subject};

use crate::cli::{CardFormat, Global};
use crate::deployment::Deployment;
use crate::output::{self, Done};

pub(super) fn run(
    global: &Global,
    deployment: &Deployment,
    model: &Model,
    format: CardFormat,
    language: Language,
    out: Option<&Path>,
) -> Result<Done> {
    let text = write(deployment, model, format, language)?;
    match out {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
            let value = json!({ "model": model.version, "format": format.name(), "language": language, "file": path });
            output::print(global.json, &value, || {
                format!("the card of {} is written to {}", model.version, path.display())
            })?;
        }
        // The document is the result, in its own form.
        None => {
            let mut stdout = stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()?;
        }
    }
    Ok(Done::Well)
}

fn write(deployment: &Deployment, model: &Model, format: CardFormat, language: Language) -> Result<String> {
    let path = deployment.bundle_dir(model).join(files::STUDY);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let study = Study::parse(&text).with_context(|| format!("{} is not valid", path.display()))?;
    if study.digest() != model.study_hash {
        anyhow::bail!("{} is not the study that {} was made with", path.display(), model.version);
    }
    let run = deployment.registry.run(&model.run)?;
    let evaluations = deployment.registry.evaluations(model.version)?;
    let test = deployment.registry.test_opening(model.version)?;
    let datasets = serde_json::to_value(deployment.lake.versions()?)?;
    let subject = Subject {
        study: &study,
        model,
        run: &run,
        validation: evaluations.first().map(|evaluation| &evaluation.report),
        test: test.as_ref(),
        datasets: &datasets,
    };
    match format {
        CardFormat::Markdown => Ok(card::markdown(&subject, language)),
        CardFormat::Html => Ok(card::html(&subject, language)?),
    }
}
