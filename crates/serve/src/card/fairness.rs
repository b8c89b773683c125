//! Sections about groups of people, and about every possible patient.

use serde_json::Value;

use super::document::{Block, Section};
use super::performance::cell;
use super::{Author, list, word};

pub(super) fn groups(a: &Author<'_>) -> Section {
    let w = a.w;
    let mut section = Section::new("fairness", w.t("card-fairness"));
    let card = &a.study().card;
    section.facts(vec![
        a.fact("card-fairness-approach", a.stated(card.fairness.as_ref())),
        a.fact("card-inequalities", a.stated(card.inequalities.as_ref())),
    ]);
    section.text(w.t("card-fairness-text"));
    let Some((_, report)) = a.report() else { return section };
    section.heading(w.t("card-served"));
    section.text(w.t("card-served-text"));
    let keys = ["f1_common", "orphan_recall", "orphan_precision", "calibration_error"];
    let mut rows = Vec::new();
    // In the study's order, not the document's.
    for feature in a.study().features() {
        for group in list(&report["subgroups"][&feature.name]) {
            let mut row = vec![a.group(&feature.name, word(&group["name"])), group["patients"].to_string()];
            row.extend(keys.map(|key| cell(a, &group[key])));
            rows.push(row);
        }
    }
    let mut header = a.header(&["card-group"]);
    header.push("n".to_owned());
    let short = ["card-short-f1", "card-short-recall", "card-short-precision", "card-short-calibration"];
    header.extend(a.header(&short));
    section.table(header, rows, true);

    let verification = &report["verification"];
    if verification.is_null() {
        section.text(w.t("card-not-tabulated"));
        return section;
    }
    alike(a, verification, &mut section);
    swapped(a, verification, &mut section);
    section
}

/// How alike the answers to different groups of people are.
fn alike(a: &Author<'_>, verification: &Value, section: &mut Section) {
    let w = a.w;
    section.heading(w.t("card-alike"));
    section.text(w.t("card-alike-text"));
    let mut rows = Vec::new();
    for by in list(&verification["groups"]) {
        for group in list(&by["groups"]) {
            let few = if group["compared"] == true { String::new() } else { format!(" {}", w.t("card-few")) };
            let mut row = vec![a.group(word(&by["feature"]), word(&group["name"])) + &few];
            row.push(group["people"].to_string());
            row.push(a.share(&group["alarm_rate"]));
            row.push(a.number(&group["orphan_probability"], 4));
            row.extend(list(&group["severity_shares"]).map(|share| a.share(share)));
            rows.push(row);
        }
    }
    let mut header = a.header(&["card-group", "card-people", "card-alarmed", "card-mean-orphan"]);
    header.extend(a.study().severities().iter().map(|class| class.short.get(w.0).to_owned()));
    section.table(header, rows, true);
}

/// What becomes of people if one code of theirs were another.
fn swapped(a: &Author<'_>, verification: &Value, section: &mut Section) {
    let w = a.w;
    section.heading(w.t("card-swaps"));
    section.text(w.t("card-swaps-text"));
    let rows = list(&verification["swaps"]).map(|by| {
        vec![
            a.feature(word(&by["feature"])),
            a.share(&by["status_changed"]),
            a.share(&by["alarm_changed"]),
            a.number(&by["mean_change"], 4),
            a.number(&by["largest_change"], 3),
        ]
    });
    let header = a.header(&[
        "card-swapped",
        "card-status-changed",
        "card-alarm-changed",
        "card-mean-change",
        "card-largest-change",
    ]);
    section.table(header, rows.collect(), true);
    let worst: Vec<String> = (list(&verification["swaps"]))
        .filter_map(|by| Some((by, list(&by["named_of_people"]).next()?)))
        .map(|(by, swap)| {
            let to = a.group(word(&by["feature"]), word(&swap["to"]));
            let change = w.points(swap["difference"].as_f64().unwrap_or_default());
            let output = output(a, word(&swap["output"]));
            let patient = patient(a, &swap["patient"]);
            w.args(
                "card-worst-swap",
                &[("patient", &patient), ("to", &to), ("output", &output), ("change", &change)],
            )
        })
        .collect();
    if !worst.is_empty() {
        section.blocks.push(Block::Items(worst));
    }
}

pub(super) fn verification(a: &Author<'_>) -> Section {
    let w = a.w;
    let mut section = Section::new("verification", w.t("card-verification"));
    let found = a.report().map_or(&Value::Null, |(_, report)| &report["verification"]);
    if found.is_null() {
        section.text(w.t("card-not-tabulated"));
        return section;
    }
    let patients = found["patients"].to_string();
    let people = found["people"].to_string();
    section.text(w.with2("card-verification-text", "patients", &patients, "people", &people));
    section.facts(vec![
        a.fact("card-improper", found["not_probabilities"].to_string()),
        a.fact("card-not-summing", found["not_summing"].to_string()),
        a.fact("card-possible-alarmed", found["alarmed"].to_string()),
        a.fact("card-jump", a.number(&found["jumps"]["largest"], 3)),
        a.fact("card-jump-category", a.number(&found["category_jumps"]["largest"], 3)),
        a.fact("card-jump-across", a.number(&found["jumps_across_alarm"]["largest"], 3)),
    ]);
    let worst = [
        ("card-jump", "jumps"),
        ("card-jump-category", "category_jumps"),
        ("card-jump-across", "jumps_across_alarm"),
    ];
    let worst: Vec<String> = worst
        .into_iter()
        .filter_map(|(key, kind)| Some((key, list(&found[kind]["named"]).next()?)))
        .map(|(key, jump)| {
            let change = w.points(jump["difference"].as_f64().unwrap_or_default());
            let (from, to) = (patient(a, &jump["from"]), patient(a, &jump["to"]));
            let output = output(a, word(&jump["output"]));
            let text = [("from", &*from), ("to", &*to), ("output", &*output), ("change", &*change)];
            format!("{}: {}", w.t(key), w.args("card-worst-jump", &text))
        })
        .collect();
    if !worst.is_empty() {
        section.blocks.push(Block::Items(worst));
    }
    let rows = list(&found["monotone"]).map(|steps| {
        let rising = if steps["direction"] == "rising" { "card-must-not-fall" } else { "card-must-not-rise" };
        let feature = a.feature(word(&steps["feature"]));
        let what = w.with2(rising, "output", &output(a, word(&steps["output"])), "feature", &feature);
        vec![
            what,
            steps["steps"].to_string(),
            steps["violations"].to_string(),
            a.number(&steps["largest"], 4),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        section.text(w.t("card-no-directions"));
    }
    let header = a.header(&["card-direction", "card-steps", "card-violations", "card-largest-change"]);
    section.table(header, rows, true);

    section.heading(w.t("card-bounds"));
    let rows = list(&found["bounds"]).map(|bound| {
        let verdict = match (bound["holds"] == true, bound["gate"] == true) {
            (true, _) => "gate-holds",
            (false, true) => "gate-fails",
            (false, false) => "card-beyond",
        };
        let limit = w.number(bound["at_most"].as_f64().unwrap_or_default(), 2);
        let what = bound_text(a, bound);
        vec![what, a.number(&bound["found"], 4), limit, w.t(verdict)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        section.text(w.t("card-no-bounds"));
    }
    section.table(a.header(&["card-limited", "card-found", "card-at-most", "card-verdict"]), rows, false);
    section
}

/// What a bound limits, in the reader's language.
fn bound_text(a: &Author<'_>, bound: &Value) -> String {
    let key = format!("bound-{}", word(&bound["kind"]).replace('_', "-"));
    let feature = a.feature(word(&bound["feature"]));
    a.w.with2(&key, "feature", &feature, "output", &output(a, word(&bound["output"])))
}

/// A probability by its name: a severity, or that of an orphan disease.
fn output(a: &Author<'_>, code: &str) -> String {
    if code == "orphan" { a.w.t("orphan-disease") } else { a.severity(code) }
}

/// A possible patient in the reader's words.
fn patient(a: &Author<'_>, patient: &Value) -> String {
    let cell = patient["cell"].as_u64().and_then(|cell| usize::try_from(cell).ok());
    let possible = a.study().domain().size().unwrap_or_default();
    let cell = cell.filter(|cell| *cell < possible);
    cell.map_or_else(String::new, |cell| a.study().levels_text(&a.study().domain().levels(cell), a.w.0))
}
