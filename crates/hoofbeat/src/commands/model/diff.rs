//! `hoofbeat model diff`: whose answer changes.

use std::path::Path;

use anyhow::Result;
use learn::difference::{Difference, Extent, Shift};
use registry::Model;
use serde_json::json;

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::diff::Pair;

const NOBODY: &str = "undefined: no people";

pub(super) fn run(
    global: &Global,
    deployment: &Deployment,
    [first, second]: &[Model; 2],
    dataset_version: Option<u64>,
    table: Option<&Path>,
) -> Result<Done> {
    let pair = Pair::open(deployment, [first, second], dataset_version)?;
    let found = pair.compare()?;
    let written = table.map(|path| pair.write_changed(path)).transpose()?;
    let value = json!({
        "first": first.version, "second": second.version, "dataset_version": pair.dataset_version,
        "difference": found, "table": table, "rows": written,
    });
    output::print(global.json, &value, || {
        let mut text = format!(
            "from {} to {}: {} possible patients, {} people of dataset version {}\n",
            first.version, second.version, found.all.patients, found.all.people, pair.dataset_version
        );
        text += &changes(&found);
        text += &transitions(&found);
        text += &probabilities(&found);
        text += &groups(&found);
        text += &shifts("largest shifts among people of the cohort", &found.named_of_people);
        text += &shifts("largest shifts among all possible patients", &found.named);
        if let (Some(path), Some(rows)) = (table, written) {
            text += &format!("{rows} changed possible patients written to {}\n", path.display());
        }
        text
    })?;
    Ok(Done::Well)
}

fn changes(found: &Difference) -> String {
    let lines = [
        ("status or alarm changes", found.changed),
        ("status changes", found.status_changed),
        ("alarm gained", found.alarm_gained),
        ("alarm lost", found.alarm_lost),
    ];
    let line = |(what, extent): (&str, Extent)| {
        let people = share(extent.people, found.all.people);
        let patients = share(extent.patients as u64, found.all.patients as u64);
        format!(
            "  {what:<24} {} people ({people}), {} possible patients ({patients})\n",
            extent.people, extent.patients
        )
    };
    lines.into_iter().map(line).collect()
}

/// People by status before and after.
fn transitions(found: &Difference) -> String {
    let mut rows = vec![vec!["  people, from".to_owned()]];
    rows[0].extend(found.severities.iter().map(|code| format!("to {code}")));
    for (code, row) in found.severities.iter().zip(&found.transitions) {
        let mut line = vec![format!("  {code}")];
        line.extend(row.iter().map(|extent| extent.people.to_string()));
        rows.push(line);
    }
    output::table(&rows) + "\n"
}

fn probabilities(found: &Difference) -> String {
    let header = ["  change of", "mean", "mean absolute", "absolute, of the possible", "largest"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mean = |mean: Option<f64>| mean.map_or_else(|| NOBODY.to_owned(), |mean| format!("{mean:.5}"));
    rows.extend(found.outputs.iter().map(|change| {
        vec![
            format!("  p({})", change.output),
            mean(change.mean),
            mean(change.mean_absolute),
            format!("{:.5}", change.mean_absolute_of_possible),
            format!("{:.4}", change.largest),
        ]
    }));
    output::table(&rows) + "\n"
}

fn groups(found: &Difference) -> String {
    let header = ["  group", "people", "other status", "alarm gained", "alarm lost", "mean largest change"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(found.groups.iter().map(|group| {
        vec![
            format!("  {} {}", group.feature, group.name),
            group.people.to_string(),
            format!("{} ({})", group.status_changed, share(group.status_changed, group.people)),
            group.alarm_gained.to_string(),
            group.alarm_lost.to_string(),
            format!("{:.4}", group.mean_change),
        ]
    }));
    output::table(&rows) + "\n"
}

fn shifts(what: &str, shifts: &[Shift]) -> String {
    let line = |shift: &Shift| {
        let ([before, after], [was, is]) = (&shift.status, &shift.probability);
        let status = if before == after { before.clone() } else { format!("{before} to {after}") };
        let alarm = match shift.alarm {
            [false, true] => ", alarm gained",
            [true, false] => ", alarm lost",
            _ => "",
        };
        format!(
            "  p({}) {was:.4} to {is:.4} of [{}] ({} people): {status}{alarm}\n",
            shift.output, shift.patient.text, shift.patient.people
        )
    };
    if shifts.is_empty() {
        return format!("{what}: none\n");
    }
    format!("{what}\n{}", shifts.iter().map(line).collect::<String>())
}

fn share(part: u64, all: u64) -> String {
    if all == 0 { NOBODY.to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / all as f64) }
}
