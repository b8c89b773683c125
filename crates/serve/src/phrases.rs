//! What the answers of a study say, but for numbers: finitely many texts, put into words and escaped once, then copied.
//!
//! The one place that knows how an answer's texts look as JSON. Nothing is cut from a finished answer: each text is made by
//! [`clinical::wording`], as the page's are.

use std::collections::HashMap;

use clinical::wording::Phrase;
use clinical::{Feature, Kind, Language, Study, orphanet};
use serde::Serialize;

use crate::written::{integer, json, quote};

/// The texts of one study in each language. Their number is that of its codes, categories and stretches of numbers, whatever the
/// numbers' ranges.
#[derive(Debug, Clone)]
pub struct Phrases {
    spanish: Spoken,
    english: Spoken,
}

impl Phrases {
    /// The texts of a study, and of the diseases that its answers are likely to name; others are put into words as they come.
    pub fn of<'c>(study: &Study, diseases: impl IntoIterator<Item = &'c str> + Clone) -> Phrases {
        let spoken = |language| Spoken::of(study, diseases.clone(), language);
        Phrases { spanish: spoken(Language::Es), english: spoken(Language::En) }
    }

    pub(crate) fn in_language(&self, language: Language) -> &Spoken {
        match language {
            Language::Es => &self.spanish,
            Language::En => &self.english,
        }
    }
}

/// The texts in one language, by position in the study.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    pub(crate) severities: Vec<SeverityText>,
    /// By feature and [`Feature::phrase`].
    pub(crate) lines: Vec<Vec<LineText>>,
    /// The answer's members for clinical categories: feature, then `"blood_pressure":"stage_1",` by level.
    pub(crate) categories: Vec<(usize, Vec<String>)>,
    diseases: HashMap<String, DiseaseText>,
}

/// What is said of a severity.
#[derive(Debug, Clone)]
pub(crate) struct SeverityText {
    /// `"status":{...},"severity":{"class":"chronic","probabilities":{`
    pub(crate) status: String,
    /// `"chronic":`
    pub(crate) key: String,
    /// `"chronic"`
    pub(crate) code: String,
}

/// What is said of a contribution, around the numbers of its value.
#[derive(Debug, Clone)]
pub(crate) struct LineText {
    numbered: bool,
    /// `{"feature":"blood_pressure","value":"` and ` mmHg (Alta 1)","contribution":`
    value: [String; 2],
    /// `,"text":"Tensión arterial alta, grado 1, ` and ` mmHg (Alta 1): `
    text: [String; 2],
}

impl LineText {
    pub(crate) fn value(&self, out: &mut Vec<u8>, values: &[i32]) {
        self.around(&self.value, out, values);
    }

    pub(crate) fn text(&self, out: &mut Vec<u8>, values: &[i32]) {
        self.around(&self.text, out, values);
    }

    fn around(&self, [before, after]: &[String; 2], out: &mut Vec<u8>, values: &[i32]) {
        out.extend_from_slice(before.as_bytes());
        if self.numbered {
            for (position, value) in values.iter().enumerate() {
                if position > 0 {
                    out.push(b'/');
                }
                integer(out, *value);
            }
        }
        out.extend_from_slice(after.as_bytes());
    }
}

/// What is said of a disease, around its probability.
#[derive(Debug, Clone)]
pub(crate) struct DiseaseText {
    /// The name that a model gives it.
    given: String,
    /// `{"disease_code":"ORPHA:558","name":"Marfan syndrome","probability":`
    pub(crate) before: String,
    /// `,"prevalence":"1-5 / 10 000"}`
    pub(crate) after: String,
}

impl DiseaseText {
    pub(crate) fn of(code: &str, given: &str, language: Language) -> DiseaseText {
        let shown = orphanet::brought_name(code, language).unwrap_or(given);
        let before =
            format!("{{\"disease_code\":{},\"name\":{},\"probability\":", quoted(code), quoted(shown));
        let prevalence = orphanet::prevalence_class(code);
        let after = prevalence.map_or("}".to_owned(), |class| format!(",\"prevalence\":{}}}", quoted(class)));
        DiseaseText { given: given.to_owned(), before, after }
    }
}

impl Spoken {
    fn of<'c>(study: &Study, diseases: impl IntoIterator<Item = &'c str>, language: Language) -> Spoken {
        let features = || study.features().iter().enumerate();
        let is_category = |feature: &Feature| matches!(feature.kind, Kind::Category(_));
        let disease = |code: &str| {
            let given = orphanet::name(code).unwrap_or(code);
            (code.to_owned(), DiseaseText::of(code, given, language))
        };
        Spoken {
            severities: study.severities().iter().map(|class| severity(class, language)).collect(),
            lines: features()
                .map(|(_, feature)| {
                    let phrase = |place| line(feature, study.phrase(feature, place, language));
                    (0..feature.phrases()).map(phrase).collect()
                })
                .collect(),
            categories: features()
                .filter(|(_, feature)| is_category(feature))
                .map(|(position, feature)| {
                    let level =
                        |level| format!("{}:{},", quoted(&feature.name), quoted(&feature.level_code(level)));
                    (position, (0..feature.dim()).map(level).collect())
                })
                .collect(),
            diseases: diseases.into_iter().map(disease).collect(),
        }
    }

    /// What is said of a disease that a model gave this name; `None` where that was not made in advance.
    pub(crate) fn disease(&self, code: &str, given: &str) -> Option<&DiseaseText> {
        self.diseases.get(code).filter(|text| text.given == given)
    }
}

fn severity(class: &clinical::study::SeverityClass, language: Language) -> SeverityText {
    #[derive(Serialize)]
    struct Status<'a> {
        code: &'a str,
        label: &'a str,
        colour: clinical::study::Colour,
        advice: &'a str,
    }
    let status = Status {
        code: &class.code,
        label: class.label.get(language),
        colour: class.colour,
        advice: class.advice.get(language),
    };
    // Texts and the name of a colour have a form in JSON.
    let status = json(&status).ok().and_then(|status| String::from_utf8(status).ok()).unwrap_or_default();
    let code = quoted(&class.code);
    SeverityText {
        status: format!("\"status\":{status},\"severity\":{{\"class\":{code},\"probabilities\":{{"),
        key: format!("{code}:"),
        code,
    }
}

fn line(feature: &Feature, phrase: Phrase<'_>) -> LineText {
    let (words, rest) = (escaped(phrase.words), escaped(&phrase.rest.to_string()));
    LineText {
        numbered: phrase.numbered,
        value: [
            format!("{{\"feature\":{},\"value\":\"", quoted(&feature.name)),
            format!("{rest}\",\"contribution\":"),
        ],
        text: [format!(",\"text\":\"{words}, "), format!("{rest}: ")],
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// Without its quotes.
fn escaped(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_owned()
}
