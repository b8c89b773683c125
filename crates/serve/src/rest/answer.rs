//! The answer's JSON, in the order of the contract's example, written straight from the prediction.

use std::fmt::Display;

use clinical::wording::{ContributionWords, ValueText, effect};
use clinical::{Contribution, Explained, Language, ModelRef, Nearest, Patient, Prediction, Rarity, Study};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::phrases::{DiseaseText, Phrases, Spoken};
use crate::written::{self, NoJson, Plain, quote, real};

/// One answer, ready to be put into words.
pub(crate) struct Answer<'a> {
    pub(crate) id: Uuid,
    /// RFC 3339, UTC.
    pub(crate) created_at: &'a str,
    pub(crate) model: &'a ModelRef,
    pub(crate) study: &'a Study,
    /// The study's.
    pub(crate) phrases: &'a Phrases,
    pub(crate) patient: &'a Patient,
    pub(crate) prediction: &'a Prediction,
    pub(crate) language: Language,
}

impl Answer<'_> {
    /// Appends the answer.
    ///
    /// # Errors
    /// It has no JSON form; then a part of it is there.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), NoJson> {
        self.members(out)?;
        out.push(b'}');
        Ok(())
    }

    /// The same but for the object's end.
    pub(crate) fn members(&self, out: &mut Vec<u8>) -> Result<(), NoJson> {
        let spoken = self.phrases.in_language(self.language);
        raw(out, "{\"prediction_id\":\"");
        raw(out, self.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        raw(out, "\",\"created_at\":");
        quote(out, self.created_at);
        raw(out, ",\"model\":");
        written::append(out, self.model)?;
        raw(out, ",");
        self.severity(out, spoken);
        self.rarity(out, spoken);
        for (position, levels) in &spoken.categories {
            let feature = &self.study.features()[*position];
            raw(out, &levels[feature.level(&self.patient.values()[feature.inputs.clone()])]);
        }
        self.explanation(out, spoken)?;
        raw(out, ",\"warnings\":[");
        for (position, warning) in self.prediction.warnings.iter().enumerate() {
            raw(out, if position > 0 { ",{\"code\":" } else { "{\"code\":" });
            quote(out, warning.code());
            raw(out, ",\"message\":");
            quote(out, warning.text(self.language));
            raw(out, "}");
        }
        raw(out, "]");
        Ok(())
    }

    fn severity(&self, out: &mut Vec<u8>, spoken: &Spoken) {
        raw(out, &spoken.severities[self.prediction.severity.index()].status);
        for (position, (class, p)) in spoken.severities.iter().zip(&self.prediction.probabilities).enumerate()
        {
            if position > 0 {
                out.push(b',');
            }
            raw(out, &class.key);
            real(out, *p);
        }
        raw(out, "}},");
    }

    fn rarity(&self, out: &mut Vec<u8>, spoken: &Spoken) {
        let prediction = self.prediction;
        raw(out, "\"rarity\":{\"class\":");
        match prediction.rarity {
            Some(rarity) => quote(out, rarity.code()),
            None => raw(out, "null"),
        }
        raw(out, ",\"probability_orphan\":");
        real(out, prediction.probability_orphan);
        raw(out, ",\"threshold\":");
        real(out, prediction.threshold);
        raw(out, ",\"nearest\":[");
        for (position, disease) in prediction.nearest.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            self.nearest(out, spoken, disease);
        }
        raw(out, "]},");
    }

    fn nearest(&self, out: &mut Vec<u8>, spoken: &Spoken, disease: &Nearest) {
        let (code, given) = (&disease.disease_code, &disease.name);
        let made;
        let text = match spoken.disease(code, given) {
            Some(text) => text,
            None => {
                made = DiseaseText::of(code, given, self.language);
                &made
            }
        };
        raw(out, &text.before);
        real(out, disease.probability);
        raw(out, &text.after);
    }

    fn explanation(&self, out: &mut Vec<u8>, spoken: &Spoken) -> Result<(), NoJson> {
        let explanation = &self.prediction.explanation;
        raw(out, "\"explanation\":{\"class\":");
        match explanation.of {
            Explained::Severity(severity) => raw(out, &spoken.severities[severity.index()].code),
            Explained::Orphan => quote(out, Rarity::Orphan.code()),
        }
        raw(out, ",\"unit\":\"probability\",\"base_value\":");
        real(out, explanation.base_value);
        raw(out, ",\"contributions\":[");
        let begin = out.len();
        for part in &explanation.contributions {
            let before = out.len();
            if before > begin {
                out.push(b',');
            }
            if !self.contribution(out, spoken, *part)? {
                out.truncate(before);
            }
        }
        raw(out, "]}");
        Ok(())
    }

    /// Whether anything is said of it.
    fn contribution(&self, out: &mut Vec<u8>, spoken: &Spoken, part: Contribution) -> Result<bool, NoJson> {
        let Some(feature) = self.study.features().get(part.feature) else {
            return self.note(out, part);
        };
        let values = &self.patient.values()[feature.inputs.clone()];
        let line = &spoken.lines[part.feature][feature.phrase(values)];
        line.value(out, values);
        real(out, part.value);
        line.text(out, values);
        // A vector takes all that is written.
        let _ = effect(part.value, self.language).write(&mut Plain(out));
        raw(out, "\"}");
        Ok(true)
    }

    /// What a note contributed is as different as notes are.
    fn note(&self, out: &mut Vec<u8>, part: Contribution) -> Result<bool, NoJson> {
        #[derive(Serialize)]
        struct Line<'a> {
            feature: &'a str,
            #[serde(serialize_with = "displayed")]
            value: ValueText<'a>,
            contribution: f64,
            #[serde(serialize_with = "displayed")]
            text: ContributionWords<'a>,
        }
        let note = self.prediction.note.as_deref();
        let Some(said) = self.study.contribution_words(part, self.patient, note, self.language) else {
            return Ok(false);
        };
        let (feature, value) = (said.feature, said.value);
        written::append(out, &Line { feature, value, contribution: part.value, text: said })?;
        Ok(true)
    }
}

#[inline]
fn raw(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

/// A text that is written where it goes.
fn displayed<S: Serializer>(text: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}
