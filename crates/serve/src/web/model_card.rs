//! The model card: what the registry knows of the champion, in a reader's order.
//!
//! Reports are read as data: an object with `value`, `low`, `high` and `n` is a figure, one with `undefined` says why
//! there is none, one with `rule` and `outcome` is a gate's verdict. Whatever else a report holds is passed over.

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use clinical::Study;
use serde_json::{Map, Value};

use super::{Frame, Visit, Words, render, result::Fact};
use crate::{app::Shared, fault::Fault, ports::Model, record::rfc3339, rest::models::Known};

#[derive(Template)]
#[template(path = "model.html")]
struct ModelPage {
    w: Words,
    frame: Frame,
    card: Card,
}

struct Card {
    study_title: String,
    facts: Vec<Fact>,
    figures_lead: String,
    figures: Vec<FigureView>,
    /// What the best possible rule could reach with these inputs.
    ceiling: Vec<FigureView>,
    /// Whether the study's target lies below that.
    sufficiency: Option<GateView>,
    gates: Vec<GateView>,
    inputs: Vec<Fact>,
}

struct FigureView {
    label: String,
    value: String,
    interval: String,
    n: String,
    undefined: Option<String>,
}

struct GateView {
    tone: &'static str,
    icon: &'static str,
    outcome: String,
    because: String,
}

/// The figures that a report may hold, most telling first.
const FIGURES: [&str; 16] = [
    "f1_common",
    "orphan_recall",
    "orphan_precision",
    "alerts_per_1000",
    "number_needed_to_review",
    "macro_f1",
    "f1",
    "calibration_error",
    "orphan_calibration_error",
    "orphan_average_precision",
    "orphan_base_rate",
    "orphan_roc_auc",
    "brier",
    "orphan_brier",
    "log_loss",
    "orphan_log_loss",
];

/// `GET /model`
pub(crate) async fn page(State(app): Shared, visit: Visit) -> Result<Response, Fault> {
    let model = app.champion()?;
    let version = model.reference().version.clone();
    // A model that is served but not registered (a bundle opened by hand) still has a card.
    let known = app
        .registry(move |registry| match version.parse() {
            Ok(version) => match Known::read(registry, version) {
                Err(registry::Error::UnknownModel(_)) => Ok(None),
                known => known.map(Some),
            },
            Err(_) => Ok(None),
        })
        .await?;
    let w = visit.words;
    let card = Card::new(&*model, known.as_ref(), w);
    render(visit, StatusCode::OK, &ModelPage { w, frame: Frame::new(&app, "model", w), card })
}

impl Card {
    fn new(model: &dyn Model, known: Option<&Known>, w: Words) -> Card {
        let study = model.study();
        // The test set counts more than validation, on which choices were made.
        let tested = known.and_then(|known| known.test.as_ref()).and_then(|test| test.report.as_ref());
        let validated =
            known.and_then(|known| known.evaluations.first()).map(|evaluation| &evaluation.report);
        let (key, report) = match (tested, validated) {
            (Some(report), _) => ("figures-test", find_report(report)),
            (None, report) => ("figures-validation", report.and_then(find_report)),
        };
        let patients =
            report.and_then(|report| report.get("patients")).and_then(Value::as_u64).unwrap_or_default();
        let gates = known.and_then(|known| known.model.gates.as_ref());
        Card {
            study_title: study.title().get(w.0).to_owned(),
            facts: facts(model, known, w),
            figures_lead: report.map(|_| w.with(key, "n", &patients.to_string())).unwrap_or_default(),
            figures: report.map(|report| figures(report, study, w)).unwrap_or_default(),
            ceiling: report.map(|report| ceiling(report, w)).unwrap_or_default(),
            sufficiency: report.and_then(|report| sufficiency(report, study, w)),
            gates: gates.map(|gates| verdicts(gates, w)).unwrap_or_default(),
            inputs: inputs(study, w),
        }
    }
}

fn facts(model: &dyn Model, known: Option<&Known>, w: Words) -> Vec<Fact> {
    let reference = model.reference();
    let fact = |key: &str, value: String| Fact { label: w.t(key), value };
    let mut facts = vec![
        fact("fact-version", reference.version.clone()),
        fact("fact-dataset", reference.dataset_version.to_string()),
        fact("fact-made", w.moment(model.created_at())),
    ];
    if let Some(known) = known {
        if let Some(at) = known.model.validated_at {
            facts.push(fact("fact-validated", w.moment(&rfc3339(at))));
        }
        facts.push(fact("fact-run", known.model.run.clone()));
        facts.push(fact("fact-digest", known.model.bundle_digest.clone()));
        facts.push(fact("fact-study", known.model.study_hash.clone()));
    }
    facts
}

/// The innermost object that holds figures: a report may be wrapped with what it was made on.
fn find_report(value: &Value) -> Option<&Map<String, Value>> {
    let object = value.as_object()?;
    if object.values().any(|member| member.get("value").is_some() && member.get("low").is_some()) {
        return Some(object);
    }
    object.values().find_map(find_report)
}

fn figures(report: &Map<String, Value>, study: &Study, w: Words) -> Vec<FigureView> {
    let mut views = Vec::new();
    for (name, value) in FIGURES.into_iter().filter_map(|name| Some((name, report.get(name)?))) {
        let key = format!("metric-{name}");
        match value {
            // One figure a class.
            Value::Array(figures) => {
                for (class, figure) in study.severities().iter().zip(figures) {
                    let label = w.with(&key, "label", class.short.get(w.0));
                    views.extend(figure_view(label, name, figure, w));
                }
            }
            figure => views.extend(figure_view(w.t(&key), name, figure, w)),
        }
    }
    views
}

/// The limit of the inputs, as the report has it.
fn ceiling(report: &Map<String, Value>, w: Words) -> Vec<FigureView> {
    let Some(limit) = report.get("input_limit") else { return Vec::new() };
    ["macro_f1", "orphan_average_precision"]
        .into_iter()
        .filter_map(|name| figure_view(w.t(&format!("metric-{name}")), name, limit.get(name)?, w))
        .collect()
}

fn sufficiency(report: &Map<String, Value>, study: &Study, w: Words) -> Option<GateView> {
    let (tone, icon, key) = match report.get("inputs")?.get("inputs")?.as_str()? {
        "sufficient" => ("ok", "i-check", "ceiling-sufficient"),
        "insufficient" => ("crit", "i-warn", "ceiling-insufficient"),
        _ => ("warn", "i-help", "ceiling-unclear"),
    };
    let target = w.number(study.targets.f1_common, 2);
    Some(GateView { tone, icon, outcome: w.t(key), because: w.with("ceiling-target", "target", &target) })
}

fn figure_view(label: String, name: &str, figure: &Value, w: Words) -> Option<FigureView> {
    let undefined = figure.get("undefined").and_then(Value::as_str);
    if let Some(because) = undefined {
        let none = String::new;
        return Some(FigureView {
            label,
            value: none(),
            interval: none(),
            n: none(),
            undefined: Some(because.to_owned()),
        });
    }
    let number = |member: &str| figure.get(member).and_then(Value::as_f64);
    let decimals = if name.contains("per_1000") || name.contains("number_needed") { 1 } else { 3 };
    let text = |value: f64| w.number(value, decimals);
    let (value, low, high) = (number("value")?, number("low")?, number("high")?);
    let n = figure.get("n").and_then(Value::as_u64).map(|n| n.to_string()).unwrap_or_default();
    Some(FigureView {
        label,
        value: text(value),
        interval: format!("{} – {}", text(low), text(high)),
        n,
        undefined: None,
    })
}

/// Every verdict inside the stored gates, wherever it stands.
fn verdicts(gates: &Value, w: Words) -> Vec<GateView> {
    match gates {
        Value::Object(object) if object.contains_key("outcome") && object.contains_key("rule") => {
            vec![verdict(object, w)]
        }
        Value::Object(object) => object.values().flat_map(|value| verdicts(value, w)).collect(),
        Value::Array(items) => items.iter().flat_map(|item| verdicts(item, w)).collect(),
        _ => Vec::new(),
    }
}

fn verdict(object: &Map<String, Value>, w: Words) -> GateView {
    let (tone, icon, key) = match object.get("outcome").and_then(Value::as_str) {
        Some("holds") => ("ok", "i-check", "gate-holds"),
        Some("fails") => ("crit", "i-warn", "gate-fails"),
        _ => ("warn", "i-help", "gate-undetermined"),
    };
    let rule = object.get("rule");
    let member = |name: &str| rule.and_then(|rule| rule.get(name));
    let metric = member("metric").and_then(Value::as_str).unwrap_or_default();
    let metric_key = format!("metric-{metric}");
    let metric = if w.knows(&metric_key) { w.t(&metric_key) } else { metric.to_owned() };
    let bound = member("bound").and_then(Value::as_f64).unwrap_or_default();
    let bound = w.number(bound, 2);
    let condition = match member("comparison").and_then(Value::as_str) {
        Some("at_most") => w.with("gate-at-most", "bound", &bound),
        _ => w.with("gate-at-least", "bound", &bound),
    };
    GateView {
        tone,
        icon,
        outcome: w.t(key),
        because: w.with2("gate-measured", "metric", &metric, "value", &condition),
    }
}

fn inputs(study: &Study, w: Words) -> Vec<Fact> {
    let accepts = |input: &clinical::Input| match input.range() {
        Some((min, max)) => {
            let unit = input.unit.get(w.0);
            let (min, max) = (min.to_string(), max.to_string());
            w.args("range", &[("min", &min), ("max", &max), ("unit", unit)]).trim_end().to_owned()
        }
        None => {
            let choices =
                study.features().get(input.feature).map(clinical::Feature::choices).unwrap_or_default();
            choices.iter().map(|choice| choice.label.get(w.0)).collect::<Vec<_>>().join(", ")
        }
    };
    study
        .inputs()
        .iter()
        .map(|input| Fact { label: input.label.get(w.0).to_owned(), value: accepts(input) })
        .collect()
}
