//! The answer's JSON, in the order of the contract's example, written straight from the prediction.

use std::fmt::Display;

use clinical::wording::{ContributionWords, ValueText};
use clinical::{Explained, Kind, Language, ModelRef, Patient, Prediction, Rarity, Study};
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

/// One answer, ready to be put into words.
pub(crate) struct Answer<'a> {
    pub(crate) id: Uuid,
    /// RFC 3339, UTC.
    pub(crate) created_at: &'a str,
    pub(crate) model: &'a ModelRef,
    pub(crate) study: &'a Study,
    pub(crate) patient: &'a Patient,
    pub(crate) prediction: &'a Prediction,
    pub(crate) language: Language,
}

impl Answer<'_> {
    /// Writes the contract's members into an open object.
    pub(crate) fn members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (study, prediction) = (self.study, self.prediction);
        map.serialize_entry("prediction_id", &self.id)?;
        map.serialize_entry("created_at", self.created_at)?;
        map.serialize_entry("model", self.model)?;
        let class = study.severity(prediction.severity);
        map.serialize_entry(
            "status",
            &Status {
                code: &class.code,
                label: class.label.get(self.language),
                colour: class.colour,
                advice: class.advice.get(self.language),
            },
        )?;
        let probabilities = Probabilities(self);
        map.serialize_entry("severity", &SeverityPart { class: &class.code, probabilities })?;
        map.serialize_entry(
            "rarity",
            &RarityPart {
                class: prediction.rarity.map(Rarity::code),
                probability_orphan: prediction.probability_orphan,
                threshold: prediction.threshold,
                nearest: NearestPart::all(&prediction.nearest, self.language),
            },
        )?;
        for feature in study.features().iter().filter(|feature| matches!(feature.kind, Kind::Category(_))) {
            let level = feature.level(&self.patient.values()[feature.inputs.clone()]);
            map.serialize_entry(&feature.name, &feature.level_code(level))?;
        }
        map.serialize_entry(
            "explanation",
            &ExplanationPart {
                class: match prediction.explanation.of {
                    Explained::Severity(severity) => &study.severity(severity).code,
                    Explained::Orphan => Rarity::Orphan.code(),
                },
                unit: "probability",
                base_value: prediction.explanation.base_value,
                contributions: Contributions(self),
            },
        )?;
        map.serialize_entry("warnings", &Warnings(self))
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.members(&mut map)?;
        map.end()
    }
}

#[derive(Serialize)]
struct Status<'a> {
    code: &'a str,
    label: &'a str,
    colour: clinical::study::Colour,
    advice: &'a str,
}

#[derive(Serialize)]
struct SeverityPart<'a> {
    class: &'a str,
    probabilities: Probabilities<'a>,
}

#[derive(Clone, Copy)]
struct Probabilities<'a>(&'a Answer<'a>);

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let classes = self.0.study.severities().iter().map(|class| &class.code);
        serializer.collect_map(classes.zip(&self.0.prediction.probabilities))
    }
}

#[derive(Serialize)]
struct RarityPart<'a> {
    class: Option<&'a str>,
    probability_orphan: f64,
    threshold: f64,
    nearest: Vec<NearestPart<'a>>,
}

#[derive(Serialize)]
struct NearestPart<'a> {
    disease_code: &'a str,
    name: &'a str,
    probability: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prevalence: Option<&'a str>,
}

impl<'a> NearestPart<'a> {
    fn of(disease: &'a clinical::Nearest, language: Language) -> NearestPart<'a> {
        NearestPart {
            disease_code: &disease.disease_code,
            name: disease.name_in(language),
            probability: disease.probability,
            prevalence: disease.prevalence(),
        }
    }

    fn all(nearest: &'a [clinical::Nearest], language: Language) -> Vec<NearestPart<'a>> {
        nearest.iter().map(|disease| NearestPart::of(disease, language)).collect()
    }
}

#[derive(Serialize)]
struct ExplanationPart<'a> {
    class: &'a str,
    unit: &'a str,
    base_value: f64,
    contributions: Contributions<'a>,
}

struct Contributions<'a>(&'a Answer<'a>);

impl Serialize for Contributions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            feature: &'a str,
            #[serde(serialize_with = "displayed")]
            value: ValueText<'a>,
            contribution: f64,
            #[serde(serialize_with = "displayed")]
            text: ContributionWords<'a>,
        }
        let Answer { study, patient, prediction, language, .. } = *self.0;
        let note = prediction.note.as_deref();
        let lines = prediction.explanation.contributions.iter().filter_map(|part| {
            let said = study.contribution_words(*part, patient, note, language)?;
            Some(Line { feature: said.feature, value: said.value, contribution: part.value, text: said })
        });
        serializer.collect_seq(lines)
    }
}

/// A text that is written where it goes.
fn displayed<S: Serializer>(text: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}

struct Warnings<'a>(&'a Answer<'a>);

impl Serialize for Warnings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line {
            code: &'static str,
            message: &'static str,
        }
        let language = self.0.language;
        let line =
            |warning: &clinical::Warning| Line { code: warning.code(), message: warning.text(language) };
        serializer.collect_seq(self.0.prediction.warnings.iter().map(line))
    }
}
