//! `hoofbeat ingest`: case files into the lake.

use anyhow::Result;

use crate::cli::{Global, Ingest};
use crate::commands::source;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::ingest::{self, Ingested};
use crate::pipeline::sources::Origin;

pub(super) fn run(global: &Global, command: &Ingest) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let origin = Origin::of(&deployment, &command.source, command.map.as_deref())?;
    let ingested = ingest::ingest(&deployment, &command.files, &origin)?;
    output::print(global.json, &ingested, || text(&ingested))?;
    Ok(Done::Well)
}

fn text(ingested: &Ingested) -> String {
    let report = &ingested.report;
    let mut lines = vec![
        format!("accepted    {:>12}", report.accepted),
        format!("duplicates  {:>12}", report.duplicates),
    ];
    lines.push(format!("refused     {:>12}  (quarantined with their reasons)", report.refused));
    lines.extend(report.refused_by_reason.iter().map(|(reason, rows)| format!("  {reason:<40} {rows:>8}")));
    if !ingested.skipped.is_empty() {
        lines.push(format!(
            "skipped     {:>12}  (left out by the mapping)",
            ingested.skipped.values().sum::<u64>()
        ));
        lines.extend(ingested.skipped.iter().map(|(reason, rows)| format!("  {reason:<40} {rows:>8}")));
    }
    for (file, columns) in &ingested.ignored_columns {
        lines.push(format!("{file}: columns not used: {}", columns.join(", ")));
    }
    for (file, fields) in &ingested.derived_fields {
        lines.push(format!("{file}: derived, because the file lacks them: {}", fields.join(", ")));
    }
    for (file, change) in &ingested.changed_columns {
        lines.push(format!("{file}: {}", source::changed(change)));
    }
    lines.push(match report.new_version {
        Some(version) => format!("dataset version {version} is new"),
        None => format!("nothing new: the dataset stays at version {}", report.dataset_version),
    });
    lines.join("\n")
}
