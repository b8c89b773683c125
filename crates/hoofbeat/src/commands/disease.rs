//! `hoofbeat disease`: rare diseases as Orphanet describes them.

use anyhow::{Result, bail};
use clinical::orphanet::{self, Disease as Known};
use serde_json::json;

use crate::cli::{Disease, Global};
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::diseases;

/// Findings in a text, at most; `--json` has all.
const SHOWN: usize = 20;

pub(super) fn run(global: &Global, command: &Disease) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    match command {
        Disease::Show { code } => {
            let Some(found) = orphanet::disease(code) else {
                bail!(
                    "`{code}` is not known; ORPHAcodes look like ORPHA:586, and `hoofbeat disease import FILE` brings newer ones in"
                );
            };
            output::print(global.json, &json!({ "code": code, "disease": found }), || text(code, &found))?;
        }
        Disease::Import { files } => {
            let imported = diseases::import(&deployment, files)?;
            output::print(global.json, &imported, || {
                let lines = imported.files.iter().map(|(name, count)| format!("{name}: {count} diseases"));
                format!(
                    "{}\n{} diseases are known now",
                    lines.collect::<Vec<_>>().join("\n"),
                    imported.diseases
                )
            })?;
        }
    }
    Ok(Done::Well)
}

fn text(code: &str, disease: &Known) -> String {
    let mut lines = vec![code.to_owned()];
    lines.extend(disease.names.iter().map(|(language, name)| format!("name ({language})   {name}")));
    if let Some(prevalence) = &disease.prevalence {
        let point = prevalence.per_100_000.map(|point| format!(", {point} of 100,000")).unwrap_or_default();
        lines.push(format!("prevalence  {}{point} ({})", prevalence.class, prevalence.geography));
    }
    for (name, list) in [("onset      ", &disease.onset), ("inheritance", &disease.inheritance)] {
        if !list.is_empty() {
            lines.push(format!("{name} {}", list.join(", ")));
        }
    }
    for (system, codes) in &disease.references {
        lines.push(format!("{system}: {}", codes.iter().map(String::as_str).collect::<Vec<_>>().join(", ")));
    }
    for finding in disease.findings.iter().take(SHOWN) {
        lines.push(format!("  {} {} ({})", finding.code, finding.label, finding.frequency));
    }
    if disease.findings.len() > SHOWN {
        lines.push(format!("  and {} more findings: --json has all", disease.findings.len() - SHOWN));
    }
    lines.join("\n")
}
