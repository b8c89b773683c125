//! `hoofbeat dataset release`: refused rows, read again.

use anyhow::Result;
use lake::QuarantineFilter;

use crate::cli::{Global, Release};
use crate::deployment::Deployment;
use crate::output;
use crate::pipeline::ingest;
use crate::pipeline::release::{self, Released, Request};

pub(super) fn run(global: &Global, deployment: &Deployment, command: &Release) -> Result<()> {
    let mapping = command.map.as_deref().map(ingest::mapping).transpose()?;
    let header = command.header.as_deref();
    let header = header.map(|path| release::header_of(path, mapping.as_ref(), deployment)).transpose()?;
    let request = Request {
        filter: QuarantineFilter {
            source: command.source.clone(),
            reason: command.reason.clone(),
            ingest_id: command.ingest,
        },
        mapping: mapping.as_ref(),
        header,
        dry_run: command.dry_run,
    };
    let released = release::release(deployment, &request)?;
    output::print(global.json, &released, || text(&released))
}

fn text(released: &Released) -> String {
    if released.read == 0 {
        return "no refused row is meant".to_owned();
    }
    let would = if released.dry_run { "would be " } else { "" };
    let mut lines = vec![
        format!("{} refused rows read again", released.read),
        format!("{would}accepted    {:>12}", released.accepted),
        format!("{would}duplicates  {:>12}  (their cases are stored already)", released.duplicates),
        format!("still refused {:>10}", released.refused),
    ];
    lines.extend(released.refused_by_reason.iter().map(|(reason, rows)| format!("  {reason:<40} {rows:>8}")));
    if released.skipped > 0 {
        lines.push(format!("{} left out by the mapping; they stay in quarantine", released.skipped));
    }
    if released.unreadable > 0 {
        lines.push(format!(
            "{} can no longer be read as rows: cut off at 64 KiB, or with broken quotes",
            released.unreadable
        ));
    }
    for (file, rows) in &released.without_header {
        lines.push(format!("{file}: {rows} rows wait for the file's header: --header FILE"));
    }
    if !released.dry_run {
        lines.push(format!("the newest dataset version is {}", released.dataset_version));
    }
    lines.join("\n")
}
