//! `hoofbeat monitor`: is the served model still good, and does it still see the same patients?

use anyhow::Result;
use evaluate::drift::Drift;
use evaluate::{Figure, Light};
use time::{Duration, OffsetDateTime, Time};
use tracing::warn;

use crate::cli::{Global, Monitor};
use crate::deployment::Deployment;
use crate::output::{self, Done, table};
use crate::pipeline::monitor::{self, Asked, Checked, Measured, Turn};
use crate::pipeline::{notify, promote};

/// Exit status 3 when a rule is broken.
pub(super) fn run(global: &Global, command: &Monitor) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let model = command.reference.as_deref().map(|name| deployment.model(name)).transpose()?;
    let to = deployment.now();
    let from = match command.since {
        Some(date) => OffsetDateTime::new_utc(date, Time::MIDNIGHT),
        None => {
            to - Duration::days(command.window.unwrap_or(deployment.config.monitoring.window_days).into())
        }
    };
    let asked = Asked { model: model.map(|model| model.version), from, to };
    let turn = promote::act(&deployment, "monitor", |act| monitor::turn(&deployment, &asked, act))?;
    // What cannot be told now waits in the outbox: the look itself is done.
    if let Err(error) = notify::deliver(&deployment.registry, &deployment.config.alerts, deployment.now()) {
        warn!(error = format!("{error:#}"), "alerts could not be delivered");
    }
    output::print(global.json, &turn, || text(&turn))?;
    Ok(Done::held(!turn.is_alarming()))
}

fn text(turn: &Turn) -> String {
    let report = &turn.report;
    let day = |at: OffsetDateTime| at.date().to_string();
    let mut lines = vec![format!(
        "{} (dataset version {}) from {} to {}: {} answers served, {} cases arrived, {} of them confirmed",
        report.model,
        report.dataset_version,
        day(report.window.from),
        day(report.window.to),
        report.seen.served,
        report.seen.arrived,
        report.seen.confirmed
    )];
    let comparisons = drift_rows(turn);
    if comparisons.len() > 1 {
        lines.push("\ndrift against the training cohort".to_owned());
        lines.push(table(&comparisons));
    }
    let performance = &report.performance;
    lines.extend(performance.arrived.as_ref().map(|found| measured("confirmed cases that arrived", found)));
    lines.extend(
        performance.reviewed.as_ref().map(|found| measured("reviewed answers (chosen, no alarm)", found)),
    );
    if let Some(expected) = &performance.expected {
        lines.push(format!(
            "\npromised by the model's own probabilities, if it is calibrated on these patients (a band, no proof)\n{}",
            table(&[
                vec!["F1 common".to_owned(), figure(&expected.f1_common)],
                vec!["orphan recall".to_owned(), figure(&expected.orphan_recall)],
            ])
        ));
    }
    if !report.quality.sources.is_empty() {
        lines.push(format!("\nquality by source\n{}", table(&quality_rows(turn))));
    }
    lines.push(format!("\n{}", rules(&turn.rules)));
    lines.join("\n")
}

fn drift_rows(turn: &Turn) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["group", "feature", "patients", "distance", "PSI", "p", "adjusted p", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(turn.report.drift.comparisons.iter().map(|one| {
        let change = &one.change;
        let word = match change.drift {
            Drift::Few => "too few patients",
            Drift::Stable => "stable",
            Drift::Slight => "slight",
            Drift::Notable => "DRIFT",
            Drift::Major => "MAJOR DRIFT",
        };
        vec![
            one.group.clone(),
            one.name.clone(),
            change.window.to_string(),
            format!("{:.3}", change.distance),
            format!("{:.3}", change.psi),
            format!("{:.4}", change.p),
            format!("{:.4}", change.p_adjusted),
            word.to_owned(),
        ]
    }));
    rows
}

fn measured(title: &str, found: &Measured) -> String {
    let row =
        |name: &str, of: &Figure, light: Light| vec![name.to_owned(), figure(of), word(light).to_owned()];
    let rows = [
        row("F1 common", &found.figures.f1_common, found.lights.f1_common),
        row("orphan recall", &found.figures.orphan_recall, found.lights.orphan_recall),
    ];
    format!("\n{title}: {} patients, {} of them orphan\n{}", found.patients, found.orphans, table(&rows))
}

fn quality_rows(turn: &Turn) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["source", "accepted", "refused", "duplicates", "pairs exchanged", "", "refused otherwise", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(turn.report.quality.sources.iter().map(|one| {
        vec![
            one.source.clone(),
            one.accepted.to_string(),
            one.refused.to_string(),
            one.duplicates.to_string(),
            figure(&one.swapped_share.now),
            word(one.swapped_share.light).to_owned(),
            figure(&one.refused_share.now),
            word(one.refused_share.light).to_owned(),
        ]
    }));
    rows
}

fn rules(rules: &[Checked]) -> String {
    let mut shown: Vec<&Checked> =
        rules.iter().filter(|rule| matches!(rule.light, Light::Red | Light::Amber)).collect();
    shown.sort_by_key(|rule| rule.light != Light::Red);
    if shown.is_empty() {
        return format!("{} rules looked at: none is broken", rules.len());
    }
    let line = |rule: &&Checked| {
        let mark = if rule.light == Light::Red { "ALERT  " } else { "warning" };
        format!("{mark} {}: {}", rule.rule, rule.message)
    };
    shown.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn figure(figure: &Figure) -> String {
    match figure {
        Figure::Measured(e) => format!("{:.3} ({:.3} to {:.3}, n = {})", e.value, e.low, e.high, e.n),
        Figure::Undefined { because } => format!("- ({because})"),
    }
}

fn word(light: Light) -> &'static str {
    match light {
        Light::Green => "ok",
        Light::Amber => "warning",
        Light::Red => "ALERT",
        Light::Grey => "too few cases",
    }
}
