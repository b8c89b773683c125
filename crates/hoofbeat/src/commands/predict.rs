//! `hoofbeat predict`: batch scoring.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Write, stdin, stdout};

use anyhow::{Context, Result};
use interop::{CaseFile, PredictionWriter, Reading, Row, TableFormat};
use serde_json::json;

use crate::cli::{Global, Predict};
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::{ingest, score::Scorer};

const REPORT_EVERY: u64 = 1 << 12;

/// Scores every row; a row that is refused appears with its reasons and spoils no other.
pub(super) fn run(global: &Global, command: &Predict) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let model = match &command.model {
        Some(version) => deployment.model(version)?,
        None => deployment.champion()?,
    };
    let scorer = Scorer::open(&deployment, &model)?;
    let mapping = command.map.as_deref().map(ingest::mapping).transpose()?;
    let now = (deployment.now().unix_timestamp_nanos() / 1000) as i64;
    let reading =
        Reading { study: scorer.study(), mapping: mapping.as_ref(), source: "predict", ingested_at: now };
    let mut cases = match &command.input {
        Some(path) => CaseFile::open(path, reading).with_context(|| path.display().to_string())?,
        None => CaseFile::stream(Box::new(stdin()), None, reading).context("standard input")?,
    };
    let (format, out): (TableFormat, Box<dyn Write + Send>) = match &command.out {
        Some(path) => {
            let format = TableFormat::from_path(path)?;
            let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
            (format, Box::new(file))
        }
        None => (TableFormat::CSV, Box::new(stdout())),
    };
    let mut writer = PredictionWriter::create(format, out, scorer.study(), command.explain)?;
    let task = deployment.progress.reading("what is to be scored");
    let version = model.version.to_string();
    let (mut answered, mut refused, mut skipped) = (0u64, BTreeMap::<String, u64>::new(), 0u64);
    let mut refused_rows = 0u64;
    while let Some(row) = cases.next() {
        match row? {
            Row::Accepted(case) => {
                let prediction = scorer.answer(&case.patient, case.note.as_ref(), None)?;
                writer.push(&case, &version, &prediction)?;
                answered += 1;
            }
            Row::Refused { line, case_id, issues, .. } => {
                writer.refuse(line, case_id.as_deref(), &issues)?;
                refused_rows += 1;
                for issue in &issues {
                    *refused.entry(issue.reason()).or_default() += 1;
                }
            }
            Row::Skipped { .. } => skipped += 1,
        }
        if answered.is_multiple_of(REPORT_EVERY) {
            task.read(answered, cases.done());
        }
    }
    writer.finish()?;
    drop(task);
    if command.out.is_some() {
        let value = json!({
            "model": version, "answered": answered, "refused": refused_rows, "refused_by_reason": refused, "skipped": skipped,
        });
        output::print(global.json, &value, || {
            format!("{answered} answered, {refused_rows} refused, {skipped} skipped by the mapping")
        })?;
    }
    Ok(Done::Well)
}
