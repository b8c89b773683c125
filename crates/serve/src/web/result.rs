//! A logged answer as the page shows it: read in a second, explained in words, then in a picture.

use clinical::{Contribution, Explained, Rarity, Study, Warning, study::Colour};
use registry::{Feedback, Verdict};

use super::{Words, feedback::OpinionView, fresh_key, waterfall::Waterfall};
use crate::rest::predictions::Logged;

/// Contributions below half a percentage point are not put into words.
const WORTH_SAYING: f64 = 0.005;

pub(crate) struct ResultView {
    pub(crate) id: String,
    pub(crate) created_at: String,
    pub(crate) date: String,
    pub(crate) model_version: String,
    pub(crate) tone: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) label: String,
    pub(crate) advice: String,
    pub(crate) percent: String,
    pub(crate) rarity: Option<String>,
    pub(crate) orphan: bool,
    pub(crate) orphan_line: String,
    pub(crate) nearest: Vec<NearestView>,
    pub(crate) warnings: Vec<&'static str>,
    pub(crate) frequency: Option<String>,
    pub(crate) classes: Vec<ClassView>,
    pub(crate) explained: String,
    pub(crate) raising: Vec<PartView>,
    pub(crate) lowering: Vec<PartView>,
    pub(crate) waterfall: Waterfall,
    pub(crate) inputs: Vec<Fact>,
    pub(crate) thanks: Option<String>,
    pub(crate) opinion: OpinionView,
    /// Whether the page asks for an opinion.
    pub(crate) asks: bool,
}

pub(crate) struct NearestView {
    pub(crate) name: String,
    pub(crate) code: String,
    pub(crate) prevalence: String,
    pub(crate) percent: String,
}

pub(crate) struct ClassView {
    pub(crate) label: String,
    pub(crate) percent: String,
    pub(crate) width: String,
    pub(crate) shown: bool,
}

pub(crate) struct PartView {
    pub(crate) words: String,
    pub(crate) value: String,
}

pub(crate) struct Fact {
    pub(crate) label: String,
    pub(crate) value: String,
}

impl ResultView {
    /// `reviewed`: whether the review of the latest feedback is resolved.
    pub(crate) fn new(logged: &Logged, feedback: Option<&Feedback>, reviewed: bool, w: Words) -> ResultView {
        let (study, record) = (logged.study(), &logged.record);
        let (prediction, patient) = (&record.prediction, &*record.values);
        let class = study.severity(prediction.severity);
        let shown = prediction.probabilities.get(prediction.severity.index()).copied().unwrap_or_default();
        let (explained, value) = match prediction.explanation.of {
            Explained::Orphan => (w.t("orphan-disease"), prediction.probability_orphan),
            Explained::Severity(severity) => {
                let value = prediction.probabilities.get(severity.index()).copied().unwrap_or_default();
                (study.severity(severity).label.get(w.0).to_owned(), value)
            }
        };
        let unsure = prediction.warnings.contains(&Warning::NotSure);
        let (tone, icon) = match class.colour {
            // None of the classes' colours: it is no answer.
            _ if unsure => ("unsure", "i-help"),
            Colour::Green => ("ok", "i-check"),
            Colour::Yellow => ("warn", "i-warn"),
            Colour::Red => ("crit", "i-siren"),
        };
        let part = |part: &Contribution| {
            let said = study.contribution_words(*part, patient, prediction.note.as_deref(), w.0)?;
            Some(PartView { words: said.words.to_owned(), value: said.value.to_string() })
        };
        let parts = &prediction.explanation.contributions;
        let label = class.label.get(w.0).to_owned();
        let fact = |feature: &clinical::Feature| Fact {
            label: feature.label.get(w.0).to_owned(),
            value: study.value_text(feature, patient, w.0).to_string(),
        };
        ResultView {
            id: logged.id.to_string(),
            created_at: record.at.to_string(),
            date: w.moment(&record.at),
            model_version: record.model.version.clone(),
            tone,
            icon,
            advice: match unsure {
                true => w.with("unsure-advice", "label", &label),
                false => class.advice.get(w.0).to_owned(),
            },
            percent: w.rounded_percent(shown),
            rarity: prediction.rarity.map(|rarity| rarity_tag(study, rarity, w)),
            orphan: prediction.rarity == Some(Rarity::Orphan),
            orphan_line: orphan_line(prediction, w),
            nearest: prediction
                .nearest
                .iter()
                .map(|disease| NearestView {
                    name: disease.name_in(w.0).to_owned(),
                    prevalence: disease.prevalence().unwrap_or("—").to_owned(),
                    code: disease.disease_code.clone(),
                    percent: w.percent(disease.probability, 1),
                })
                .collect(),
            warnings: (prediction.warnings.iter())
                // The verdict itself says it.
                .filter(|warning| **warning != Warning::NotSure)
                .map(|warning| warning.text(w.0))
                .collect(),
            frequency: frequency(&prediction.warnings, shown, &label, w),
            classes: classes(study, prediction, w),
            raising: parts
                .iter()
                .filter(|part| part.value >= WORTH_SAYING)
                .take(3)
                .filter_map(part)
                .collect(),
            lowering: parts
                .iter()
                .filter(|part| part.value <= -WORTH_SAYING)
                .take(3)
                .filter_map(part)
                .collect(),
            waterfall: Waterfall::new(study, patient, prediction, (&explained, value), w),
            explained,
            inputs: study.features().iter().map(fact).chain(note_fact(study, prediction, w)).collect(),
            thanks: feedback.map(|feedback| thanks(feedback, reviewed, w)),
            opinion: OpinionView::new(logged, fresh_key(), w),
            asks: true,
            label: if unsure { w.t("unsure") } else { label },
        }
    }
}

/// That there was a note, and what in it told; its text is kept nowhere.
fn note_fact(study: &Study, prediction: &clinical::Prediction, w: Words) -> Option<Fact> {
    let (field, parts) = (study.note()?, prediction.note.as_deref()?);
    Some(Fact { label: field.label.get(w.0).to_owned(), value: study.note_text(parts, w.0).to_string() })
}

fn thanks(feedback: &Feedback, reviewed: bool, w: Words) -> String {
    match (reviewed, feedback.verdict) {
        (true, _) => w.t("thanks-resolved"),
        (false, Verdict::Confirmed) => w.t("thanks-confirmed"),
        (false, Verdict::Wrong) => w.t("thanks-wrong"),
    }
}

/// `Enfermedad común`, `Orphan disease`.
fn rarity_tag(study: &Study, rarity: Rarity, w: Words) -> String {
    let label = study.rarity_label(rarity).get(w.0);
    let label = if w.0 == clinical::Language::Es { label.to_lowercase() } else { label.to_owned() };
    w.with("rarity-tag", "rarity", &label)
}

fn orphan_line(prediction: &clinical::Prediction, w: Words) -> String {
    let key = if prediction.probability_orphan >= prediction.threshold {
        "orphan-suspected"
    } else {
        "orphan-below"
    };
    let (percent, threshold) =
        (w.percent(prediction.probability_orphan, 1), w.percent(prediction.threshold, 1));
    w.with2(key, "percent", &percent, "threshold", &threshold)
}

/// The probability as a frequency; not of a model that failed its gates, whose probabilities promise nothing.
fn frequency(warnings: &[Warning], shown: f64, label: &str, w: Words) -> Option<String> {
    let count = format!("{:.0}", shown * 100.0);
    let trusted = !warnings.contains(&Warning::GatesFailed);
    trusted.then(|| w.with2("frequency", "label", label, "count", &count))
}

/// All classes, most probable first.
fn classes(study: &Study, prediction: &clinical::Prediction, w: Words) -> Vec<ClassView> {
    let mut order: Vec<(usize, f64)> = prediction.probabilities.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let view = |(index, probability): (usize, f64)| {
        let class = study.severities().get(index)?;
        Some(ClassView {
            label: class.short.get(w.0).to_owned(),
            percent: w.rounded_percent(probability),
            width: format!("{:.2}", probability * 100.0),
            shown: index == prediction.severity.index(),
        })
    };
    order.into_iter().filter_map(view).collect()
}
