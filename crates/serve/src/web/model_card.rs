//! The model card: what the registry knows of the champion, in a reader's order.
//!
//! Reports are read as data: an object with `value`, `low`, `high` and `n` is a figure, one with `undefined` says why
//! there is none, one with `rule` and `outcome` is a gate's verdict. Whatever else a report holds is passed over.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use clinical::Study;
use registry::ModelVersion;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Frame, Visit, Words, render, result::Fact};
use crate::{
    app::Shared,
    card::{
        self, Subject,
        reading::{FigureView, GateView, figure_view, figures, find_report, verdicts},
    },
    edge,
    fault::{Fault, Kind},
    ports::Model,
    record::rfc3339,
    rest::models::Known,
};

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

/// The figures that a report may hold, most telling first.
const FIGURES: [&str; 18] = [
    "f1_common",
    "f1_common_without_alarm",
    "orphan_recall",
    "orphan_precision",
    "orphan_omission",
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

/// The form of the card as a file.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Form {
    #[serde(default)]
    format: String,
}

/// `GET /model/card`: the champion's whole card as a file to keep, `?format=markdown` or HTML.
pub(crate) async fn file(
    State(app): Shared,
    visit: Visit,
    Query(form): Query<Form>,
) -> Result<Response, Fault> {
    let model = app.champion()?;
    let (language, version) = (visit.words.0, model.reference().version.clone());
    let parsed: ModelVersion = version.parse()?;
    let (known, run) = app
        .registry(move |registry| {
            let known = Known::read(registry, parsed)?;
            let run = registry.run(&known.model.run)?;
            Ok((known, run))
        })
        .await?;
    let catalogue = Arc::clone(&app.state.catalogue);
    // Without the catalogue the card says that the data are gone.
    let datasets = tokio::task::spawn_blocking(move || catalogue.datasets()).await;
    let datasets = datasets.ok().and_then(Result::ok).unwrap_or_default();
    let subject = Subject {
        study: model.study(),
        model: &known.model,
        run: &run,
        validation: known.evaluations.first().map(|evaluation| &evaluation.report),
        test: known.test.as_ref(),
        datasets: &datasets,
    };
    let (text, kind, ending) = match form.format.as_str() {
        "markdown" => (card::markdown(&subject, language), "text/markdown; charset=utf-8", "md"),
        _ => {
            let html = card::html(&subject, language).map_err(|error| {
                tracing::error!(%error, "a model card could not be made");
                Fault::new(Kind::Internal)
            })?;
            (html, "text/html; charset=utf-8", "html")
        }
    };
    // As a file: the document has its own style inside, which the page's content policy would refuse.
    let name = format!("attachment; filename=\"{version}-{}.{ending}\"", language.tag());
    let mut response = ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)], text)
        .into_response();
    edge::speaks(response.headers_mut(), language);
    Ok(response)
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
            figures: report.map(|report| figures(report, &FIGURES, study, w)).unwrap_or_default(),
            ceiling: report.map(|report| ceiling(report, study, w)).unwrap_or_default(),
            sufficiency: report.and_then(|report| sufficiency(report, study, w)),
            gates: gates.map(|gates| verdicts(gates, study, w)).unwrap_or_default(),
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

/// The limit of the inputs, as the report has it.
fn ceiling(report: &Map<String, Value>, study: &Study, w: Words) -> Vec<FigureView> {
    let Some(limit) = report.get("input_limit") else { return Vec::new() };
    ["macro_f1", "orphan_average_precision"]
        .into_iter()
        .filter_map(|name| figure_view(w.t(&format!("metric-{name}")), name, limit.get(name)?, study, w))
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
