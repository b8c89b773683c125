//! `hoofbeat study`: the study as it is used.

use anyhow::Result;
use serde_json::json;

use crate::cli::{Global, Study};
use crate::config::Config;
use crate::deployment;
use crate::output::{self, Done};

pub(super) fn run(global: &Global, command: &Study) -> Result<Done> {
    let study = deployment::study(global, &Config::load(global)?)?;
    let possible = study.domain().size();
    let facts = json!({
        "name": study.name(),
        "digest": study.digest(),
        "features": study.features().iter().map(|feature| &feature.name).collect::<Vec<_>>(),
        "inputs": study.inputs().iter().map(|input| &input.name).collect::<Vec<_>>(),
        "columns": clinical::Encoding::of(&study).names(),
        "severities": study.severities().iter().map(|class| &class.code).collect::<Vec<_>>(),
        "possible_patients": possible,
        "predictor": match possible {
            Some(size) if size <= study.predictor.table_limit => "tabulated",
            _ => "direct",
        },
        "source": study.source(),
    });
    output::print(global.json, &facts, || match command {
        Study::Show => study.source().to_owned(),
        Study::Check => format!(
            "the study `{}` is valid: {} features, {} possible patients",
            study.name(),
            study.features().len(),
            possible.map_or_else(|| "too many to count".to_owned(), |size| size.to_string())
        ),
    })?;
    Ok(Done::Well)
}
