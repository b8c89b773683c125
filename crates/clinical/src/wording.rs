//! Answers in a clinician's words. Every sentence about a feature, a class or a warning is made here,
//! from the study's labels, so that the page, REST, FHIR and HL7 say the same.

use crate::{Contribution, Feature, Kind, Language, NotePart, Patient, Study, Warning};

/// Parts of a note that are named; the others are in its contribution all the same.
const NAMED_PARTS: usize = 3;

/// One contribution in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContributionWords<'a> {
    /// The feature's name, as in the study.
    pub feature: &'a str,
    /// What it is called at this value: `Poco ejercicio`.
    pub words: &'a str,
    /// `3 días al mes`; of a note, what in it told: `menciona «hepatomegalia»`.
    pub value: String,
}

impl Study {
    /// A contribution's words; `None` where its feature is none of the study's.
    pub fn contribution_words<'a>(
        &'a self,
        contribution: Contribution,
        patient: &Patient,
        note: Option<&[NotePart]>,
        language: Language,
    ) -> Option<ContributionWords<'a>> {
        if let Some(feature) = self.features().get(contribution.feature) {
            return Some(ContributionWords {
                feature: &feature.name,
                words: self.feature_words(feature, patient, language),
                value: self.value_text(feature, patient, language),
            });
        }
        let (field, parts) = (self.note()?, note?);
        (contribution.feature == self.features().len()).then(|| ContributionWords {
            feature: &field.name,
            words: field.label.get(language),
            value: self.note_text(parts, language),
        })
    }

    /// What told in a note: `menciona «hepatomegalia», niega «fiebre»`.
    pub fn note_text(&self, parts: &[NotePart], language: Language) -> String {
        let told = parts.iter().take(NAMED_PARTS).map(|part| match (&part.term, self.note()) {
            (Some(code), Some(field)) => {
                let (words, label) = (part.stance.words(language), field.term_label(code, language));
                match language {
                    Language::Es => format!("{words} «{label}»"),
                    Language::En => format!("{words} “{label}”"),
                }
            }
            _ => match language {
                Language::Es => "otras palabras".to_owned(),
                Language::En => "other words".to_owned(),
            },
        });
        let told = told.collect::<Vec<_>>().join(", ");
        match (told.is_empty(), language) {
            (false, _) => told,
            (true, Language::Es) => "nada que el modelo conozca".to_owned(),
            (true, Language::En) => "nothing that the model knows".to_owned(),
        }
    }

    /// A feature's value with unit and meaning: `54 años`, `Femenino`, `138/86 mmHg (Alta 1)`.
    pub fn value_text(&self, feature: &Feature, patient: &Patient, language: Language) -> String {
        let values = &patient.values()[feature.inputs.clone()];
        let inputs = self.inputs_of(feature);
        let unit = inputs.first().map(|input| input.unit.get(language)).unwrap_or_default();
        let numbers = values.iter().map(i32::to_string).collect::<Vec<_>>().join("/");
        let level = feature.level(values);
        let label = feature.choices().get(level).map(|choice| choice.label.get(language));
        match (&feature.kind, label) {
            (Kind::Category(_), Some(label)) => format!("{numbers} {unit} ({label})"),
            (_, Some(label)) => label.to_owned(),
            (_, None) => format!("{numbers} {unit}").trim_end().to_owned(),
        }
    }

    /// A possible patient, feature by feature: `Age 54 years, Gender Female, ..., Blood pressure Stage 1`.
    pub fn levels_text(&self, levels: &[usize], language: Language) -> String {
        let one = |(feature, &level): (&Feature, &usize)| {
            let label = feature.label.get(language);
            match feature.level_number(level) {
                Some(number) => {
                    let unit = self.inputs_of(feature).first().map(|input| input.unit.get(language));
                    format!("{label} {number} {}", unit.unwrap_or_default()).trim_end().to_owned()
                }
                None => {
                    let choices = feature.choices();
                    let value = choices.get(level).map(|choice| choice.label.get(language));
                    format!("{label} {}", value.unwrap_or_default())
                }
            }
        };
        self.features().iter().zip(levels).map(one).collect::<Vec<_>>().join(", ")
    }

    /// What the feature is called at this patient's value: `Poco ejercicio`, `Tensión arterial alta,
    /// grado 1`; the feature's label where the study has no special words.
    pub fn feature_words<'a>(
        &'a self,
        feature: &'a Feature,
        patient: &Patient,
        language: Language,
    ) -> &'a str {
        let values = &patient.values()[feature.inputs.clone()];
        let special = match &feature.kind {
            Kind::Number { words, .. } => values
                .first()
                .and_then(|value| words.iter().find(|words| *value <= words.up_to))
                .map(|words| words.get(language)),
            Kind::Code(_) | Kind::Category(_) => {
                let level = feature.level(values);
                let choices = feature.choices();
                choices.get(level).and_then(|choice| choice.words.as_ref()).map(|words| words.get(language))
            }
        };
        special.unwrap_or_else(|| feature.label.get(language))
    }

    /// One line of an explanation: what, its value, and which way it moved the probability by how
    /// many percentage points.
    pub fn contribution_text(
        &self,
        contribution: Contribution,
        patient: &Patient,
        note: Option<&[NotePart]>,
        language: Language,
    ) -> String {
        let Some(said) = self.contribution_words(contribution, patient, note, language) else {
            return String::new();
        };
        let ContributionWords { words, value, .. } = said;
        let points = decimal(contribution.value.abs() * 100.0, 1, language);
        let negligible = contribution.value.abs() < 0.0005;
        let effect = match (language, negligible, contribution.value > 0.0) {
            (Language::Es, true, _) => "apenas cambia la probabilidad".to_owned(),
            (Language::Es, false, true) => format!("aumenta la probabilidad en {points} puntos"),
            (Language::Es, false, false) => format!("reduce la probabilidad en {points} puntos"),
            (Language::En, true, _) => "hardly changes the probability".to_owned(),
            (Language::En, false, true) => format!("raises the probability by {points} points"),
            (Language::En, false, false) => format!("lowers the probability by {points} points"),
        };
        format!("{words}, {value}: {effect}")
    }
}

impl Warning {
    pub fn code(self) -> &'static str {
        match self {
            Warning::OrphanSuspected => "orphan_suspected",
            Warning::NotSure => "not_sure",
            Warning::CloseClasses => "close_classes",
            Warning::UnusualPatient => "unusual_patient",
            Warning::InputsInsufficient => "inputs_insufficient",
            Warning::GatesFailed => "gates_failed",
        }
    }

    pub fn text(self, language: Language) -> &'static str {
        match (self, language) {
            (Warning::OrphanSuspected, Language::Es) => {
                "Sospecha de enfermedad huérfana: valore derivación o estudio específico"
            }
            (Warning::OrphanSuspected, Language::En) => {
                "Suspected orphan disease: consider referral or specific work-up"
            }
            (Warning::NotSure, Language::Es) => {
                "El modelo no está seguro y no se pronuncia: decida con otros datos o consulte"
            }
            (Warning::NotSure, Language::En) => {
                "The model is not sure and does not commit itself: decide by other findings, or ask"
            }
            (Warning::CloseClasses, Language::Es) => {
                "Dos resultados tienen probabilidades parecidas: el modelo no está seguro"
            }
            (Warning::CloseClasses, Language::En) => {
                "Two results have similar probabilities: the model is unsure"
            }
            (Warning::UnusualPatient, Language::Es) => {
                "Paciente poco frecuente: el modelo ha visto pocos casos parecidos"
            }
            (Warning::UnusualPatient, Language::En) => {
                "Unusual patient: the model has seen few similar cases"
            }
            (Warning::InputsInsufficient, Language::Es) => {
                "Los datos que se piden no bastan para alcanzar el objetivo de calidad, con ningún modelo"
            }
            (Warning::InputsInsufficient, Language::En) => {
                "The data asked for cannot reach the quality target, with any model"
            }
            (Warning::GatesFailed, Language::Es) => {
                "Este modelo no ha superado todos los controles de calidad"
            }
            (Warning::GatesFailed, Language::En) => "This model did not pass all quality gates",
        }
    }
}

/// A number with a fixed count of decimals and the language's decimal sign.
pub fn decimal(value: f64, decimals: usize, language: Language) -> String {
    let text = format!("{value:.decimals$}");
    match language {
        Language::Es => text.replace('.', ","),
        Language::En => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Raw;
    use crate::note::Stance;

    #[test]
    fn explanations_speak_of_values_units_and_meaning() {
        let study = Study::default_study();
        let patient = study
            .check(|input| match input.name.as_str() {
                "age_years" => Raw::Integer(54),
                "gender" => Raw::Text("female"),
                "blood_type" => Raw::Text("O"),
                "systolic_mmhg" => Raw::Integer(138),
                "diastolic_mmhg" => Raw::Integer(86),
                _ => Raw::Integer(3),
            })
            .unwrap();
        let line = |feature, value, language| {
            study.contribution_text(Contribution { feature, value }, &patient, None, language)
        };
        assert_eq!(
            line(3, 0.31, Language::Es),
            "Tensión arterial alta, grado 1, 138/86 mmHg (Alta 1): aumenta la probabilidad en 31,0 puntos"
        );
        assert_eq!(
            line(4, -0.052, Language::En),
            "Little exercise, 3 days a month: lowers the probability by 5.2 points"
        );
        assert_eq!(line(0, 0.0, Language::Es), "Edad, 54 años: apenas cambia la probabilidad");
        assert_eq!(line(1, 0.01, Language::En), "Gender, Female: raises the probability by 1.0 points");
        assert_eq!(line(5, 0.01, Language::En), "", "the study has no note");
    }

    #[test]
    fn a_note_is_explained_by_what_told_in_it() {
        let stanza = "[[feature]]\nname = \"note\"\nkind = \"text\"\nlabel = { es = \"Nota\", en = \"Note\" }\n\
                      dictionary = [\"hpo\"]\nterms = [{ code = \"HP:0001945\", es = [\"fiebre\"] }]\n";
        let study = Study::parse(&format!("{}{stanza}", crate::study::DEFAULT_TOML)).unwrap();
        let patient = Patient(vec![54, 0, 3, 138, 86, 3]);
        let part =
            |term: Option<&str>, stance| NotePart { term: term.map(str::to_owned), stance, effect: 0.1 };
        let parts = [
            part(Some("HP:0001945"), Stance::Negated),
            part(None, Stance::Affirmed),
            part(Some("HP:0000003"), Stance::Affirmed),
            part(Some("HP:0000002"), Stance::Affirmed),
        ];
        let line = |parts: &[NotePart], language| {
            let contribution = Contribution { feature: 5, value: 0.1 };
            study.contribution_text(contribution, &patient, Some(parts), language)
        };
        assert_eq!(
            line(&parts, Language::Es),
            "Nota, niega «fiebre», otras palabras, menciona «Multicystic kidney dysplasia»: aumenta la probabilidad en 10,0 puntos"
        );
        assert_eq!(
            line(&[], Language::En),
            "Note, nothing that the model knows: raises the probability by 10.0 points"
        );
    }
}
