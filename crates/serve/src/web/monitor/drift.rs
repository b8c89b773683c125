//! Drift: how far each value is from the training cohort, and both pictures of it.

use clinical::{Rarity, Study};

use super::view::Tagged;
use crate::watched::{Comparison, Report};
use crate::web::{Words, chart::Histogram};

/// The distance at which the bars of the table end.
const FULL: f64 = 0.5;
/// Patients from which on what was served is shown first.
const ENOUGH: u64 = 30;

pub(super) struct DriftView {
    /// Who is shown: those served, or those that arrived.
    pub(super) group: String,
    pub(super) limit: String,
    /// Place of the limit in per cent of a bar.
    pub(super) limit_at: String,
    pub(super) rows: Vec<Row>,
    pub(super) pictures: Vec<Picture>,
    /// Every comparison, of every group.
    pub(super) all: Vec<Full>,
    /// Of the values asked for in the group shown: compared, and notably changed.
    pub(super) compared: usize,
    pub(super) drifting: usize,
    pub(super) patients: u64,
    pub(super) reference: u64,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) distance: String,
    pub(super) width: String,
    pub(super) is_drifting: bool,
    pub(super) state: Tagged,
}

pub(super) struct Picture {
    pub(super) name: String,
    pub(super) chart: Histogram,
    pub(super) rows: Vec<[String; 3]>,
}

pub(super) struct Full {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) patients: u64,
    pub(super) distance: String,
    pub(super) psi: String,
    pub(super) p: String,
    pub(super) state: Tagged,
}

impl DriftView {
    pub(super) fn new(report: &Report, study: &Study, w: Words) -> DriftView {
        let all = &report.drift.comparisons;
        let largest = |group: &str| {
            all.iter().filter(|one| one.group == group).map(|one| one.window).max().unwrap_or_default()
        };
        let group = if largest("served") >= ENOUGH || largest("arrived") == 0 { "served" } else { "arrived" };
        let shown: Vec<&Comparison> = all.iter().filter(|one| one.group == group).collect();
        let asked: Vec<&&Comparison> = shown.iter().filter(|one| one.about == "input").collect();
        let notable = report.drift.limits.notable;
        DriftView {
            group: group_words(group, w),
            limit: w.number(notable, 2),
            limit_at: format!("{:.2}", 100.0 * (notable / FULL).min(1.0)),
            rows: shown.iter().map(|one| row(one, study, w)).collect(),
            pictures: asked.iter().map(|one| picture(one, study, w)).collect(),
            compared: asked.iter().filter(|one| one.drift != "few").count(),
            drifting: asked.iter().filter(|one| is_drifting(one)).count(),
            patients: largest(group),
            reference: shown.iter().map(|one| one.reference).max().unwrap_or_default(),
            all: all.iter().map(|one| full(one, study, w)).collect(),
        }
    }
}

fn is_drifting(one: &Comparison) -> bool {
    matches!(one.drift.as_str(), "notable" | "major")
}

fn state(one: &Comparison, w: Words) -> Tagged {
    let (tone, icon, key) = match one.drift.as_str() {
        "major" => ("crit", "i-siren", "drift-major"),
        "notable" => ("crit", "i-siren", "drift-notable"),
        "slight" => ("warn", "i-warn", "drift-slight"),
        "stable" => ("ok", "i-check", "drift-stable"),
        _ => ("", "i-help", "drift-few"),
    };
    Tagged { tone, icon, text: w.t(key) }
}

fn row(one: &Comparison, study: &Study, w: Words) -> Row {
    Row {
        name: name_words(&one.name, study, w),
        distance: w.number(one.distance, 2),
        width: format!("{:.2}", 100.0 * (one.distance / FULL).min(1.0)),
        is_drifting: is_drifting(one),
        state: state(one, w),
    }
}

fn full(one: &Comparison, study: &Study, w: Words) -> Full {
    let p =
        if one.p_adjusted < 0.001 { format!("<{}", w.number(0.001, 3)) } else { w.number(one.p_adjusted, 3) };
    Full {
        group: group_words(&one.group, w),
        name: name_words(&one.name, study, w),
        patients: one.window,
        distance: w.number(one.distance, 3),
        psi: w.number(one.psi, 3),
        p: if one.drift == "few" { "–".to_owned() } else { p },
        state: state(one, w),
    }
}

fn picture(one: &Comparison, study: &Study, w: Words) -> Picture {
    let shares = |counts: &[u64]| -> Vec<f64> {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&count| count as f64 / all).collect()
    };
    let (reference, window) = (shares(&one.bars.reference), shares(&one.bars.window));
    let name = name_words(&one.name, study, w);
    let labels: Vec<String> =
        one.bars.labels.iter().map(|label| value_words(&one.name, label, study, w)).collect();
    let rows = labels.iter().zip(reference.iter().zip(&window));
    let rows =
        rows.map(|(label, (was, is))| [label.clone(), w.percent(*was, 1), w.percent(*is, 1)]).collect();
    let title = w.with("histogram-title", "name", &name);
    let summary =
        w.with2("histogram-summary", "distance", &w.number(one.distance, 2), "state", &state(one, w).text);
    let chart = Histogram::new(format!("h-{}", one.name), title, summary, &labels, &reference, &window, w);
    let unit = study.input(&one.name).map_or("", |input| input.unit.get(w.0));
    Picture { name: if unit.is_empty() { name } else { format!("{name} ({unit})") }, chart, rows }
}

/// The words for an input, a feature, an answer's part or a class.
pub(super) fn name_words(name: &str, study: &Study, w: Words) -> String {
    if let Some(input) = study.input(name) {
        return input.label.get(w.0).to_owned();
    }
    if let Some(feature) = study.feature(name) {
        return w.with("drift-category", "name", feature.label.get(w.0));
    }
    if let Some(class) = study.severity_from_code(name) {
        return study.severity(class).short.get(w.0).to_owned();
    }
    match name {
        "orphan" => study.rarity_label(Rarity::Orphan).get(w.0).to_owned(),
        "answers" => w.t("drift-answers"),
        "severity" => w.t("drift-answer-severity"),
        "alarm" => w.t("drift-answer-alarm"),
        "probability_orphan" => w.t("drift-answer-probability"),
        other => other.to_owned(),
    }
}

/// Who a comparison is about.
pub(super) fn group_words(group: &str, w: Words) -> String {
    match group {
        "everybody" => w.t("group-everybody"),
        "served" => w.t("group-served"),
        "arrived" => w.t("group-arrived"),
        source => w.with("group-source", "source", source),
    }
}

/// A bar's label: a code in the study's words, a range of numbers as it is.
fn value_words(input: &str, label: &str, study: &Study, w: Words) -> String {
    let feature = study.input(input).and_then(|input| study.features().get(input.feature));
    let choice =
        feature.and_then(|feature| feature.choices().iter().find(|choice| choice.code == label).cloned());
    choice.map_or_else(|| label.replace('-', "–"), |choice| choice.label.get(w.0).to_owned())
}
