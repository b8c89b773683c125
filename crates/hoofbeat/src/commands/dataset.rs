//! `hoofbeat dataset`: dataset versions, what they hold, what was refused.

use anyhow::Result;
use lake::{DatasetVersion, Outcome, QuarantineFilter};
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::cli::{Dataset, Global};
use crate::deployment::Deployment;
use crate::output::{self, Done};

pub(super) fn run(global: &Global, command: Dataset) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    match command {
        Dataset::List => list(global, &deployment)?,
        Dataset::Show { version } => show(global, &deployment, version)?,
        Dataset::Quarantine { version, source, reason, limit, raw } => {
            let filter = QuarantineFilter { source, reason, ingest_id: None };
            quarantine(global, &deployment, version, &filter, limit, raw)?;
        }
    }
    Ok(Done::Well)
}

fn list(global: &Global, deployment: &Deployment) -> Result<()> {
    let versions = deployment.lake.versions()?;
    output::print(global.json, &versions, || {
        if versions.is_empty() {
            return "no dataset version yet: `hoofbeat ingest FILE --source NAME` makes the first".to_owned();
        }
        let header = ["version", "time", "source", "added", "refused", "duplicates", "total"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(versions.iter().map(|version| {
            vec![
                version.version.to_string(),
                time(version),
                version.ingest.source.clone(),
                version.ingest.accepted.to_string(),
                version.ingest.quarantined.to_string(),
                version.ingest.duplicates.to_string(),
                version.totals.rows.to_string(),
            ]
        }));
        output::table(&rows)
    })
}

fn show(global: &Global, deployment: &Deployment, asked: Option<u64>) -> Result<()> {
    let version = deployment.lake.version(deployment.dataset_version(asked)?)?;
    output::print(global.json, &version, || {
        let mut text = format!(
            "dataset version {} of {}, from {}\n{} cases in all, {} added by this version\n\n",
            version.version,
            time(&version),
            version.ingest.source,
            version.totals.rows,
            version.ingest.accepted
        );
        let mut rows = vec![["severity", "rarity", "disease", "cases"].map(str::to_owned).to_vec()];
        for count in &version.totals.outcomes {
            let Outcome { severity, rarity, disease_code } = count.outcome.clone();
            let unconfirmed = || "(not confirmed)".to_owned();
            rows.push(vec![
                severity.unwrap_or_else(unconfirmed),
                rarity.unwrap_or_default(),
                disease_code.unwrap_or_default(),
                count.rows.to_string(),
            ]);
        }
        text += &output::table(&rows);
        if version.totals.quarantined > 0 {
            text += &format!("\n\n{} rows refused, by source and reason:\n", version.totals.quarantined);
            let mut rows = Vec::new();
            for (source, reasons) in &version.totals.quarantined_by {
                rows.extend(
                    reasons.iter().map(|(reason, n)| vec![source.clone(), reason.clone(), n.to_string()]),
                );
            }
            text += &output::table(&rows);
        }
        text
    })
}

fn quarantine(
    global: &Global,
    deployment: &Deployment,
    asked: Option<u64>,
    filter: &QuarantineFilter,
    limit: usize,
    raw: bool,
) -> Result<()> {
    // An ingest may have refused every row: then there are refused rows and no dataset version.
    let version = match asked {
        Some(version) => deployment.lake.version(version)?.version,
        None => deployment.lake.newest()?.map_or(0, |newest| newest.version),
    };
    let rows = deployment.lake.quarantine(version, filter, limit)?;
    let value: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut value = json!({
                "ingest_id": row.ingest_id, "source": row.source, "file": row.file, "row": row.row, "reasons": row.reasons,
            });
            if raw {
                value["raw"] = json!(row.raw);
            }
            value
        })
        .collect();
    output::print(global.json, &value, || {
        if rows.is_empty() {
            return "no refused row".to_owned();
        }
        let mut header = vec!["source", "file", "row", "reasons"];
        header.extend(raw.then_some("raw"));
        let mut lines = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for row in &rows {
            let mut line =
                vec![row.source.clone(), row.file.clone(), row.row.to_string(), row.reasons.join(", ")];
            line.extend(raw.then(|| row.raw.clone()));
            lines.push(line);
        }
        output::table(&lines)
    })
}

fn time(version: &DatasetVersion) -> String {
    version.ingest.created_at.format(&Rfc3339).unwrap_or_default()
}
