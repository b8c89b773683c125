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

#[cfg(test)]
mod tests {
    use clinical::note::Stance;
    use clinical::study::Colour;
    use clinical::{Explanation, Kind, NotePart, Severity, Warning};

    use super::*;

    /// The same answer by serde, word for word from `clinical::wording`.
    fn expected(answer: &Answer<'_>) -> String {
        #[derive(Serialize)]
        struct Status<'a> {
            code: &'a str,
            label: &'a str,
            colour: Colour,
            advice: &'a str,
        }
        #[derive(Serialize)]
        struct Disease<'a> {
            disease_code: &'a str,
            name: &'a str,
            probability: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            prevalence: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Line<'a> {
            feature: &'a str,
            value: String,
            contribution: f64,
            text: String,
        }
        fn json(value: &impl Serialize) -> String {
            serde_json::to_string(value).unwrap()
        }
        let Answer { study, patient, prediction, language, .. } = *answer;
        let class = study.severity(prediction.severity);
        let (label, advice) = (class.label.get(language), class.advice.get(language));
        let status = Status { code: &class.code, label, colour: class.colour, advice };
        let member = |(class, p): (&clinical::study::SeverityClass, &f64)| {
            format!("{}:{}", json(&class.code), json(p))
        };
        let probabilities: Vec<_> =
            study.severities().iter().zip(&prediction.probabilities).map(member).collect();
        let nearest = prediction.nearest.iter().map(|disease| Disease {
            disease_code: &disease.disease_code,
            name: disease.name_in(language),
            probability: disease.probability,
            prevalence: disease.prevalence(),
        });
        let categories = study.features().iter().filter(|feature| matches!(feature.kind, Kind::Category(_)));
        let categories: String = categories
            .map(|feature| {
                let level = feature.level(&patient.values()[feature.inputs.clone()]);
                format!("{}:{},", json(&feature.name), json(&feature.level_code(level)))
            })
            .collect();
        let explanation = &prediction.explanation;
        let lines = explanation.contributions.iter().filter_map(|part| {
            let said = study.contribution_words(*part, patient, prediction.note.as_deref(), language)?;
            let (value, text) = (said.value.to_string(), said.to_string());
            Some(Line { feature: said.feature, value, contribution: part.value, text })
        });
        let warnings = prediction.warnings.iter();
        let warnings: Vec<_> = warnings
            .map(|w| format!("{{\"code\":{},\"message\":{}}}", json(&w.code()), json(&w.text(language))))
            .collect();
        let explained = match explanation.of {
            Explained::Severity(severity) => json(&study.severity(severity).code),
            Explained::Orphan => "\"orphan\"".to_owned(),
        };
        format!(
            "{{\"prediction_id\":\"{}\",\"created_at\":{},\"model\":{},\"status\":{},\"severity\":{{\"class\":{},\"probabilities\":\
             {{{}}}}},\"rarity\":{{\"class\":{},\"probability_orphan\":{},\"threshold\":{},\"nearest\":{}}},{categories}\
             \"explanation\":{{\"class\":{explained},\"unit\":\"probability\",\"base_value\":{},\"contributions\":{}}},\
             \"warnings\":[{}]}}",
            answer.id,
            json(&answer.created_at),
            json(answer.model),
            json(&status),
            json(&class.code),
            probabilities.join(","),
            json(&prediction.rarity.map(Rarity::code)),
            json(&prediction.probability_orphan),
            json(&prediction.threshold),
            json(&nearest.collect::<Vec<_>>()),
            json(&explanation.base_value),
            json(&lines.collect::<Vec<_>>()),
            warnings.join(",")
        )
    }

    /// Answers as different as can be, to patients with values up to the limits of what a number can be.
    fn predictions(classes: usize, features: usize) -> impl Iterator<Item = (Patient, Prediction)> {
        let shares = [0.0, 0.000_499_9, -0.05, 0.123_456_789_012_345, -1.0, 1e-15, f64::NAN, 0.999_999];
        (0..1500usize).map(move |n| {
            let number = |limit: usize, step: usize| (n * step % limit) as i32;
            let age = [number(121, 1), -7, i32::MAX, i32::MIN][usize::from(n % 50 == 0) * (n / 50 % 4)];
            let values =
                vec![age, number(2, 1), number(4, 3), number(300, 7), number(200, 11), number(40, 1)];
            let share = |place: usize| shares[(n + place) % shares.len()];
            let nearest = |code: &str, name: &str| Nearest {
                disease_code: code.to_owned(),
                name: name.to_owned(),
                probability: share(5),
            };
            let of = [Explained::Orphan, Explained::Severity(Severity((n % classes) as u8))][n % 2];
            let contributions =
                (0..=features + 1).map(|feature| Contribution { feature, value: share(feature) });
            let parts = [NotePart { term: None, stance: Stance::Negated, effect: 0.1 }];
            let prediction = Prediction {
                severity: Severity((n % classes) as u8),
                probabilities: (0..classes).map(share).collect(),
                rarity: [None, Some(Rarity::Common), Some(Rarity::Orphan)][n % 3],
                probability_orphan: share(3),
                threshold: share(4),
                nearest: [
                    vec![],
                    vec![nearest("ORPHA:586", "Cystic fibrosis"), nearest("ORPHA:586", "another \"name\"")],
                    vec![nearest("ORPHA:558", "Marfan syndrome"), nearest("x\\y", "")],
                ][n % 3]
                    .clone(),
                explanation: Explanation { of, base_value: share(6), contributions: contributions.collect() },
                warnings: [vec![], vec![Warning::CloseClasses, Warning::GatesFailed]][n % 2].clone(),
                note: [None, Some(parts.to_vec())][n / 2 % 2].clone(),
            };
            (Patient::read_back(values), prediction)
        })
    }

    #[test]
    fn an_answer_is_byte_for_byte_what_its_words_say_whatever_was_prepared() {
        let note = "[[feature]]\nname = \"note\"\nkind = \"text\"\nlabel = { es = \"No\\\\ta\", en = \"Note\" }\n\
                    dictionary = [\"hpo\"]\nterms = [{ code = \"HP:0001945\", es = [\"fiebre\"] }]\n";
        let odd =
            clinical::study::DEFAULT_TOML.replace("\"Edad\"", "'Ed\"ad\\\t'").replace("\"mmHg\"", "'\"Hg\"'");
        for text in [clinical::study::DEFAULT_TOML.to_owned(), format!("{odd}{note}")] {
            let study = Study::parse(&text).unwrap();
            let phrases = Phrases::of(&study, ["ORPHA:586", "ORPHA:1"]);
            let model = ModelRef { version: "m-\"1".to_owned(), dataset_version: 7 };
            for (patient, prediction) in predictions(study.severities().len(), study.features().len()) {
                for language in [Language::Es, Language::En] {
                    let answer = Answer {
                        id: Uuid::from_u128(0x0123_4567_89ab_8def_8000_0000_0000_00ff),
                        created_at: "2026-11-30T01:21:14.415Z",
                        model: &model,
                        study: &study,
                        phrases: &phrases,
                        patient: &patient,
                        prediction: &prediction,
                        language,
                    };
                    let mut out = Vec::new();
                    answer.write(&mut out).unwrap();
                    assert_eq!(String::from_utf8(out).unwrap(), expected(&answer));
                }
            }
        }
    }
}
