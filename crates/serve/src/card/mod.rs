//! The model card: all that is known of one model version, in a reader's order, as Markdown or as one HTML file.
//!
//! Its figures are those of the stored reports, its data are the registry's and the lake's, and what no figure says
//! comes from the study's `[card]`. The last two sections say where the card answers the source attributes that ONC
//! asks of predictive decision support (45 CFR 170.315(b)(11)(iv)(B), the HTI-1 rule of 2024) and the items of
//! TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), and why not where it does not.

mod about;
mod coverage;
mod data;
mod document;
mod fairness;
mod html;
mod making;
mod markdown;
mod performance;
pub(crate) mod reading;

use clinical::{Language, Study, Text};
use registry::{Model, Run, TestOpening};
use serde_json::Value;

use self::document::Document;
use crate::web::Words;

/// What a card is written from.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The study in the model's bundle.
    pub study: &'a Study,
    pub model: &'a Model,
    pub run: &'a Run,
    /// The newest report on the validation set.
    pub validation: Option<&'a Value>,
    pub test: Option<&'a TestOpening>,
    /// All dataset versions, as `hoofbeat dataset list --json` prints them.
    pub datasets: &'a Value,
}

/// The card could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the model card cannot be written: {0}")]
pub struct CardError(#[from] askama::Error);

/// The card as Markdown.
pub fn markdown(subject: &Subject<'_>, language: Language) -> String {
    markdown::write(&document(subject, language))
}

/// The card as one HTML file that loads nothing.
///
/// # Errors
/// When the template fails.
pub fn html(subject: &Subject<'_>, language: Language) -> Result<String, CardError> {
    Ok(html::write(&document(subject, language), Words(language))?)
}

fn document(subject: &Subject<'_>, language: Language) -> Document {
    let author = Author { subject: *subject, w: Words(language) };
    let w = author.w;
    let mut sections = vec![
        about::summary(&author),
        about::purpose(&author),
        about::limits(&author),
        data::dataset(&author),
        data::split(&author),
        data::inputs(&author),
        making::development(&author),
        making::alarm(&author),
        performance::figures(&author),
        performance::calibration(&author),
        fairness::groups(&author),
        fairness::verification(&author),
        about::external(&author),
        about::maintenance(&author),
        about::lineage(&author),
    ];
    sections.push(coverage::onc(&author));
    sections.push(coverage::tripod(&author));
    let version = subject.model.version.to_string();
    Document {
        title: w.with2("card-title", "version", &version, "study", subject.study.title().get(language)),
        lead: w.t("card-lead"),
        sections,
    }
}

/// Who writes a section: what it is about, and the words for it.
struct Author<'a> {
    subject: Subject<'a>,
    w: Words,
}

impl<'a> Author<'a> {
    fn study(&self) -> &'a Study {
        self.subject.study
    }

    /// The report that counts: the test set's, which no choice was made on, else the validation set's.
    fn report(&self) -> Option<(&'static str, &'a Value)> {
        let tested = self.subject.test.and_then(|test| test.report.as_ref());
        let validated = self.subject.validation.map(|report| ("figures-validation", report));
        tested.map(|report| ("figures-test", report)).or(validated)
    }

    /// What the training run recorded of itself.
    fn record(&self) -> &'a Value {
        self.subject.run.figures.as_ref().map_or(&Value::Null, |figures| &figures["training"])
    }

    /// A text of the study's `[card]`, or that there is none.
    fn stated(&self, text: Option<&Text>) -> String {
        text.map_or_else(|| self.w.t("card-not-stated"), |text| text.get(self.w.0).to_owned())
    }

    fn fact(&self, key: &str, value: impl Into<String>) -> (String, String) {
        (self.w.t(key), value.into())
    }

    fn header(&self, keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| self.w.t(key)).collect()
    }

    /// A number of a JSON document; what stands for one that is not there.
    fn number(&self, value: &Value, decimals: usize) -> String {
        value.as_f64().map_or_else(|| self.w.t("card-none"), |number| self.w.number(number, decimals))
    }

    /// A share of a JSON document in per cent.
    fn share(&self, value: &Value) -> String {
        value.as_f64().map_or_else(|| self.w.t("card-none"), |share| self.w.percent(share, 1))
    }

    /// A p-value: never 0.
    fn p_value(&self, value: &Value) -> String {
        match value.as_f64() {
            Some(p) if p < 0.001 => format!("< {}", self.w.number(0.001, 3)),
            _ => self.number(value, 3),
        }
    }

    fn severity(&self, code: &str) -> String {
        let study = self.study();
        let found =
            study.severity_from_code(code).map(|severity| study.severity(severity).short.get(self.w.0));
        found.unwrap_or(code).to_owned()
    }

    fn rarity(&self, code: &str) -> String {
        let rarity = clinical::Rarity::from_code(code);
        rarity.map_or("–", |rarity| self.study().rarity_label(rarity).get(self.w.0)).to_owned()
    }

    /// A group of people by a feature: `Género: Femenino`, `Edad: 40-59`.
    fn group(&self, feature: &str, name: &str) -> String {
        let Some(feature) = self.study().feature(feature) else { return format!("{feature}: {name}") };
        let label = feature.choices().into_iter().find(|choice| choice.code == name);
        let name = label.map_or(name, |choice| choice.label.get(self.w.0));
        format!("{}: {}", feature.label.get(self.w.0), name.replace('-', "–"))
    }

    fn feature(&self, name: &str) -> String {
        self.study().feature(name).map_or(name, |feature| feature.label.get(self.w.0)).to_owned()
    }
}

/// The members of a JSON list.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
