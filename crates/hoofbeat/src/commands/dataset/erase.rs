//! `hoofbeat dataset erase`: a person's right to be forgotten.

use std::collections::HashSet;
use std::io::Read;

use anyhow::{Context, Result, bail};

use super::change::removed;
use crate::cli::{Erase, Global};
use crate::deployment::Deployment;
use crate::output;
use crate::pipeline::erase::{self, Erased, Request};
use crate::pipeline::ingest;

pub(super) fn run(global: &Global, deployment: &Deployment, command: &Erase) -> Result<()> {
    let mapping = command.map.as_deref().map(ingest::mapping).transpose()?;
    let request = Request {
        patients: patients(command)?,
        mapping: mapping.as_ref(),
        reason: &command.reason,
        dry_run: command.dry_run,
    };
    let erased = erase::erase(deployment, &request)?;
    output::print(global.json, &erased, || text(&erased))
}

fn patients(command: &Erase) -> Result<HashSet<String>> {
    let text = match (&command.patient, &command.patient_file) {
        (Some(id), _) => id.clone(),
        (None, Some(path)) if path.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
            text
        }
        (None, Some(path)) => {
            std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
        }
        (None, None) => String::new(),
    };
    let patients: HashSet<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if patients.is_empty() {
        bail!("no pseudonym was given: --patient ID, or --patient-file with one a line");
    }
    Ok(patients)
}

fn text(erased: &Erased) -> String {
    let would = if erased.dry_run { "would be " } else { "" };
    let mut lines = vec![removed(&erased.cases, "of the person")];
    lines.push(format!(
        "{} predictions, {} feedbacks and {} reviews {would}erased",
        erased.predictions, erased.opinions.feedback, erased.opinions.reviews
    ));
    if erased.cases.quarantine_unknown > 0 {
        lines.push(format!(
            "{} refused rows do not tell whose they are and stay; --map reads them by the mapping of their ingest",
            erased.cases.quarantine_unknown
        ));
    }
    if !erased.models.is_empty() {
        let models: Vec<String> = erased.models.iter().map(ToString::to_string).collect();
        lines.push(format!("models trained on dataset versions that had these cases: {}", models.join(", ")));
    }
    if let Some(erasure) = erased.erasure {
        lines.push(format!("the audit calls this erasure {erasure}; it does not say whose it is"));
    }
    lines.join("\n")
}
