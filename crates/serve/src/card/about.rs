//! Sections in words: what the model is, what it is for and not for, how it is kept up, where it comes from.

use clinical::Language;

use super::document::{Block, Section};
use super::reading::{self, FigureView};
use super::{Author, list, word};
use crate::record::rfc3339;

pub(super) fn summary(a: &Author<'_>) -> Section {
    let (w, subject) = (a.w, &a.subject);
    let mut section = Section::new("summary", w.t("card-summary"));
    let stage = format!("card-stage-{}", subject.model.stage);
    let severities: Vec<&str> = a.study().severities().iter().map(|class| class.short.get(w.0)).collect();
    section.facts(vec![
        a.fact("fact-version", subject.model.version.to_string()),
        a.fact("card-stage", w.t(&stage)),
        a.fact("fact-made", w.moment(&rfc3339(subject.model.created_at))),
        a.fact("fact-dataset", subject.model.dataset_version.to_string()),
        a.fact("card-developer", a.stated(a.study().card.developer.as_ref())),
        a.fact("card-contact", a.stated(a.study().card.contact.as_ref())),
        a.fact("card-funding", a.stated(a.study().card.funding.as_ref())),
        a.fact("card-conflicts", a.stated(a.study().card.conflicts.as_ref())),
        a.fact("card-output", w.with("card-output-text", "classes", &severities.join(", "))),
        a.fact("card-output-kind", w.t("card-output-kind-text")),
    ]);
    if let Some((_, report)) = a.report() {
        section.text(w.t("card-main-figures"));
        section.table(figure_header(a), main_figures(a, report), true);
    }
    let gates = subject.model.gates.as_ref().or_else(|| subject.validation.map(|report| &report["gates"]));
    let verdicts = gates.map(|gates| reading::verdicts(gates, a.study(), w)).unwrap_or_default();
    let rows = verdicts.into_iter().map(|gate| vec![gate.because, gate.outcome]).collect();
    section.table(a.header(&["card-gate", "card-verdict"]), rows, false);
    if let Some(overridden) = subject.model.gates.as_ref().and_then(|gates| gates.get("overridden")) {
        let (by, reason) = (word(&overridden["by"]), word(&overridden["reason"]));
        section.text(w.with2("card-overridden", "by", by, "reason", reason));
    }
    section
}

fn figure_header(a: &Author<'_>) -> Vec<String> {
    let mut header = a.header(&["figure", "value", "interval"]);
    header.push("n".to_owned());
    header
}

fn main_figures(a: &Author<'_>, report: &serde_json::Value) -> Vec<Vec<String>> {
    let names =
        ["f1_common", "orphan_recall", "orphan_precision", "orphan_average_precision", "calibration_error"];
    let figures = reading::find_report(report).map(|found| reading::figures(found, &names, a.study(), a.w));
    figures.unwrap_or_default().into_iter().map(|figure| figure.row(a.w)).collect()
}

pub(super) fn purpose(a: &Author<'_>) -> Section {
    let card = &a.study().card;
    let mut section = Section::new("purpose", a.w.t("card-purpose"));
    section.facts(vec![
        a.fact("card-intended-use", a.stated(card.intended_use.as_ref())),
        a.fact("card-population", a.stated(card.population.as_ref())),
        a.fact("card-users", a.stated(card.users.as_ref())),
        a.fact("card-role", a.stated(card.role.as_ref())),
    ]);
    section.text(a.w.t("card-interaction"));
    section
}

pub(super) fn limits(a: &Author<'_>) -> Section {
    let (w, card) = (a.w, &a.study().card);
    let mut section = Section::new("limits", w.t("card-limits"));
    section.facts(vec![
        a.fact("card-out-of-scope", a.stated(card.out_of_scope.as_ref())),
        a.fact("card-risks", a.stated(card.risks.as_ref())),
    ]);
    let known = ["limit-support", "limit-inputs", "limit-cause", "limit-population", "card-limit-missing"];
    section.blocks.push(Block::Items(known.map(|key| w.t(key)).to_vec()));
    section.text(w.t("card-warnings"));
    section.blocks.push(Block::Items(warnings(w.0)));
    section.heading(w.t("ceiling"));
    section.text(w.t("ceiling-lead"));
    if let Some((_, report)) = a.report() {
        let limit = &report["input_limit"];
        let figure = |name: &str| {
            reading::figure_view(w.t(&format!("metric-{name}")), name, &limit[name], a.study(), w)
        };
        let rows = ["macro_f1", "orphan_average_precision"].into_iter().filter_map(figure);
        section.table(figure_header(a), rows.map(|figure: FigureView| figure.row(w)).collect(), true);
        let verdict = match word(&report["inputs"]["inputs"]) {
            "sufficient" => "ceiling-sufficient",
            "insufficient" => "ceiling-insufficient",
            _ => "ceiling-unclear",
        };
        let target = w.with("ceiling-target", "target", &w.number(a.study().targets.f1_common, 2));
        section.text(format!("{}. {target}.", w.t(verdict)));
    }
    section
}

pub(super) fn external(a: &Author<'_>) -> Section {
    let card = &a.study().card;
    let mut section = Section::new("external", a.w.t("card-external"));
    section.facts(vec![
        a.fact("card-external-validation", a.stated(card.external_validation.as_ref())),
        a.fact("card-effect", a.stated(card.effect.as_ref())),
    ]);
    section.text(a.w.t("card-external-note"));
    section
}

pub(super) fn maintenance(a: &Author<'_>) -> Section {
    let card = &a.study().card;
    let mut section = Section::new("maintenance", a.w.t("card-maintenance"));
    section.facts(vec![
        a.fact("card-monitoring", a.stated(card.monitoring.as_ref())),
        a.fact("card-updates", a.stated(card.updates.as_ref())),
    ]);
    section.text(a.w.t("card-change-control"));
    section
}

pub(super) fn lineage(a: &Author<'_>) -> Section {
    let (w, subject) = (a.w, &a.subject);
    let mut section = Section::new("lineage", w.t("card-lineage"));
    let card = &a.study().card;
    let mut facts = vec![
        a.fact("fact-run", subject.run.id.clone()),
        a.fact("card-seed", subject.run.seed.to_string()),
        a.fact("fact-digest", subject.model.bundle_digest.clone()),
        a.fact("fact-study", subject.model.study_hash.clone()),
    ];
    if let Some(cohort) = a.record()["cohort"].as_str() {
        facts.push(a.fact("card-cohort-digest", cohort));
    }
    facts.extend([
        a.fact("card-ethics", a.stated(card.ethics.as_ref())),
        a.fact("card-protocol", a.stated(card.protocol.as_ref())),
        a.fact("card-access", a.stated(card.access.as_ref())),
        a.fact("card-involvement", a.stated(card.involvement.as_ref())),
    ]);
    section.facts(facts);
    let command = format!("hoofbeat model reproduce {}", subject.model.version);
    section.text(w.with("card-reproduce", "command", &command));
    section.text(w.with("card-specification", "version", &subject.model.version.to_string()));
    let test = subject.test.map(|test| {
        let at = w.moment(&rfc3339(test.opened_at));
        w.with2("card-test-opened", "at", &at, "by", &test.opened_by)
    });
    section.text(test.unwrap_or_else(|| w.t("card-test-closed")));
    section
}

/// Warnings that an answer of the product may carry.
fn warnings(language: Language) -> Vec<String> {
    use clinical::Warning::{
        CloseClasses, GatesFailed, InputsInsufficient, NotSure, OrphanSuspected, UnusualPatient,
    };
    let all = [OrphanSuspected, NotSure, CloseClasses, UnusualPatient, InputsInsufficient, GatesFailed];
    all.into_iter().map(|warning| warning.text(language).to_owned()).collect()
}

/// The dataset version of the card's model among all of them.
pub(super) fn dataset<'a>(a: &Author<'a>) -> Option<&'a serde_json::Value> {
    list(a.subject.datasets).find(|dataset| dataset["version"] == a.subject.model.dataset_version)
}
