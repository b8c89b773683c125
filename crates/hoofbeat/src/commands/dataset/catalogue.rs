//! What there is: dataset versions, what they hold, how they differ, what was refused.

use anyhow::Result;
use lake::{DatasetVersion, Difference, Outcome, QuarantineFilter};
use serde::Serialize;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::quality;
use crate::cli::Global;
use crate::commands::monitor;
use crate::deployment::Deployment;
use crate::output;
use crate::pipeline::cohort;
use crate::pipeline::monitor::{self as monitoring, Comparison};

pub(super) fn list(global: &Global, deployment: &Deployment) -> Result<()> {
    let versions = deployment.lake.versions()?;
    output::print(global.json, &versions, || {
        if versions.is_empty() {
            return "no dataset version yet: `hoofbeat ingest FILE --source NAME` makes the first".to_owned();
        }
        let header = ["version", "from", "time", "source", "added", "refused", "duplicates", "total"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(versions.iter().map(|version| {
            let ingest = &version.ingest;
            let counts = [ingest.accepted, ingest.quarantined, ingest.duplicates];
            let (source, counts) = match version.restored {
                None => (ingest.source.clone(), counts.map(|count| count.to_string())),
                Some(of) => (format!("(restored {of})"), Default::default()),
            };
            let from = version.parent.map(|parent| parent.to_string()).unwrap_or_default();
            let mut line = vec![version.version.to_string(), from, time(version), source];
            line.extend(counts);
            line.push(version.totals.rows.to_string());
            line
        }));
        output::table(&rows)
    })
}

pub(super) fn count(global: &Global, deployment: &Deployment, asked: Option<u64>, anew: bool) -> Result<()> {
    let census = cohort::census(deployment, deployment.dataset_version(asked)?, anew)?;
    output::print(global.json, &census, || {
        let outside = match census.outside {
            0 => String::new(),
            outside => format!("{outside} rows are none of the study's possible patients\n"),
        };
        format!(
            "dataset version {}: {} rows are {} possible patients, in {} groups of patient, part and outcome\n{outside}sha256 {}",
            census.dataset_version, census.rows, census.cells, census.counts, census.digest
        )
    })
}

/// A dataset version and the versions that brought its rows: what other readers of the table filter by.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    version: &'a DatasetVersion,
    lineage: &'a [u64],
}

pub(super) fn show(global: &Global, deployment: &Deployment, asked: Option<u64>) -> Result<()> {
    let version = deployment.lake.version(deployment.dataset_version(asked)?)?;
    let lineage: Vec<u64> = deployment.lake.rows(version.version)?.versions().iter().collect();
    let shown = Shown { version: &version, lineage: &lineage };
    output::print(global.json, &shown, || {
        let of = format!("dataset version {} of {}", version.version, time(&version));
        let (rows, ingest) = (version.totals.rows, &version.ingest);
        let mut text = match version.restored {
            Some(restored) => format!("{of}: version {restored} once more\n{rows} cases in all\n\n"),
            None => format!(
                "{of}, from {}\n{rows} cases in all, {} added by this version\n\n",
                ingest.source, ingest.accepted
            ),
        };
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
        let lineage: Vec<String> = lineage.iter().map(u64::to_string).collect();
        text += &format!("\n\nits rows came with the versions {}\n", lineage.join(", "));
        if version.totals.quarantined > 0 {
            text += &format!("\n{} rows refused, by source and reason:\n", version.totals.quarantined);
            let mut rows = Vec::new();
            for (source, reasons) in &version.totals.quarantined_by {
                rows.extend(
                    reasons.iter().map(|(reason, n)| vec![source.clone(), reason.clone(), n.to_string()]),
                );
            }
            text += &output::table(&rows);
        }
        if let Some(found) = quality::of(&version.ingest) {
            text += "\n\nquality of the rows of its ingest:\n";
            text += &quality::text(&deployment.study, &found.total());
        }
        text
    })
}

pub(super) fn quarantine(
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

pub(super) fn diff(global: &Global, deployment: &Deployment, before: u64, after: u64) -> Result<()> {
    let difference = deployment.lake.difference(before, after)?;
    let drift = monitoring::between(deployment, before, after)?;
    let shown = Compared { difference: &difference, drift: &drift };
    output::print(global.json, &shown, || {
        let shifts = output::table(&monitor::drift_rows(&drift));
        format!("{}\n\nhow the values differ\n{shifts}", difference_text(&difference))
    })
}

/// Two dataset versions: their rows, and how the values of these differ.
#[derive(Serialize)]
struct Compared<'a> {
    #[serde(flatten)]
    difference: &'a Difference,
    drift: &'a [Comparison],
}

fn difference_text(difference: &Difference) -> String {
    let Difference { before, after, .. } = difference;
    let mut text = format!(
        "from dataset version {before} ({} cases) to {after} ({} cases)\n{} cases and {} patients added, {} cases and {} patients gone\n",
        difference.rows.before,
        difference.rows.after,
        difference.added,
        difference.patients_added,
        difference.removed,
        difference.patients_removed,
    );
    if !difference.builds_on {
        text += &format!("version {after} does not build on version {before}\n");
    }
    let mut rows = vec![["severity", "rarity", "disease", "before", "after"].map(str::to_owned).to_vec()];
    for change in &difference.outcomes {
        let Outcome { severity, rarity, disease_code } = change.outcome.clone();
        rows.push(vec![
            severity.unwrap_or_else(|| "(not confirmed)".to_owned()),
            rarity.unwrap_or_default(),
            disease_code.unwrap_or_default(),
            change.rows.before.to_string(),
            change.rows.after.to_string(),
        ]);
    }
    let mut sources = vec![["source", "before", "after"].map(str::to_owned).to_vec()];
    for (source, rows) in &difference.sources {
        sources.push(vec![source.clone(), rows.before.to_string(), rows.after.to_string()]);
    }
    format!("{text}\n{}\n\n{}", output::table(&rows), output::table(&sources))
}

fn time(version: &DatasetVersion) -> String {
    version.created_at.format(&Rfc3339).unwrap_or_default()
}
