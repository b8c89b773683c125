//! Answers in a clinician's words. Every sentence about a feature, a class or a warning is made here,
//! from the study's labels, so that the page, REST, FHIR and HL7 say the same.
//!
//! Texts are written where they go: what is answered here writes itself, and allocates nothing of its own.

use std::fmt::{self, Display, Write as _};

use crate::{Contribution, Feature, Kind, Language, NotePart, Patient, Study, Warning};

/// Parts of a note that are named; the others are in its contribution all the same.
const NAMED_PARTS: usize = 3;

/// One contribution in words. It writes itself as one line of an explanation: what, its value, and which way it moved
/// the probability by how many percentage points.
#[derive(Debug, Clone, Copy)]
pub struct ContributionWords<'a> {
    /// The feature's name, as in the study.
    pub feature: &'a str,
    /// What it is called at this value: `Poco ejercicio`.
    pub words: &'a str,
    /// `3 días al mes`; of a note, what in it told: `menciona «hepatomegalia»`.
    pub value: ValueText<'a>,
    moved: f64,
}

/// A feature's value in words, or what told in a note; see [`Study::value_text`] and [`Study::note_text`].
#[derive(Debug, Clone, Copy)]
pub struct ValueText<'a> {
    study: &'a Study,
    told: Told<'a>,
    language: Language,
}

#[derive(Debug, Clone, Copy)]
enum Told<'a> {
    Value(&'a Feature, &'a Patient),
    Note(&'a [NotePart]),
}

impl Study {
    /// A contribution's words; `None` where its feature is none of the study's.
    pub fn contribution_words<'a>(
        &'a self,
        contribution: Contribution,
        patient: &'a Patient,
        note: Option<&'a [NotePart]>,
        language: Language,
    ) -> Option<ContributionWords<'a>> {
        let moved = contribution.value;
        if let Some(feature) = self.features().get(contribution.feature) {
            let words = self.feature_words(feature, patient, language);
            let value = self.value_text(feature, patient, language);
            return Some(ContributionWords { feature: &feature.name, words, value, moved });
        }
        let (field, parts) = (self.note()?, note?);
        (contribution.feature == self.features().len()).then(|| ContributionWords {
            feature: &field.name,
            words: field.label.get(language),
            value: self.note_text(parts, language),
            moved,
        })
    }

    /// What told in a note: `menciona «hepatomegalia», niega «fiebre»`.
    pub fn note_text<'a>(&'a self, parts: &'a [NotePart], language: Language) -> ValueText<'a> {
        ValueText { study: self, told: Told::Note(parts), language }
    }

    /// A feature's value with unit and meaning: `54 años`, `Femenino`, `138/86 mmHg (Alta 1)`.
    pub fn value_text<'a>(
        &'a self,
        feature: &'a Feature,
        patient: &'a Patient,
        language: Language,
    ) -> ValueText<'a> {
        ValueText { study: self, told: Told::Value(feature, patient), language }
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
                    let value = feature.choice(level).map(|choice| choice.label.get(language));
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
        self.phrase(feature, feature.phrase(&patient.values()[feature.inputs.clone()]), language).words
    }

    /// The phrase at a place below [`Feature::phrases`].
    pub fn phrase<'a>(&'a self, feature: &'a Feature, place: usize, language: Language) -> Phrase<'a> {
        let choice = feature.choice(place);
        let special = match &feature.kind {
            Kind::Number { words, .. } => words.get(place).map(|words| words.get(language)),
            Kind::Code(_) | Kind::Category(_) => {
                choice.and_then(|choice| choice.words.as_ref()).map(|words| words.get(language))
            }
        };
        let unit = self.inputs_of(feature).first().map(|input| input.unit.get(language)).unwrap_or_default();
        let (numbered, rest) = match (&feature.kind, choice.map(|choice| choice.label.get(language))) {
            (Kind::Category(_), Some(label)) => (true, [" ", unit, " (", label, ")"]),
            (_, Some(label)) => (false, [label, "", "", "", ""]),
            (_, None) if unit.is_empty() => (true, [""; 5]),
            (_, None) => (true, [" ", unit, "", "", ""]),
        };
        let words = special.unwrap_or_else(|| feature.label.get(language));
        Phrase { words, numbered, rest: Texts(rest) }
    }
}

impl Feature {
    /// In how many ways the feature's values are said, the numbers in them aside: few, however many values there are.
    pub fn phrases(&self) -> usize {
        match &self.kind {
            Kind::Number { words, .. } => words.len() + 1,
            Kind::Code(_) | Kind::Category(_) => self.dim(),
        }
    }

    /// In which of them accepted values are said.
    pub fn phrase(&self, values: &[i32]) -> usize {
        match &self.kind {
            Kind::Number { words, .. } => {
                let value = values.first();
                let named = value.and_then(|value| words.iter().position(|words| *value <= words.up_to));
                named.unwrap_or(words.len())
            }
            Kind::Code(_) | Kind::Category(_) => self.level(values),
        }
    }
}

/// How some of a feature's values are said, but for their numbers.
#[derive(Debug, Clone, Copy)]
pub struct Phrase<'a> {
    /// What the feature is called at these values: `Poco ejercicio`.
    pub words: &'a str,
    /// The numbers come first: `138/86`.
    pub numbered: bool,
    /// What follows: ` mmHg (Alta 1)`; all that is said where there are no numbers.
    pub rest: Texts<'a>,
}

/// Texts that are written one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a>([&'a str; 5]);

impl Display for Texts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().filter(|text| !text.is_empty()).try_for_each(|text| f.write_str(text))
    }
}

impl Display for ValueText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.told {
            Told::Value(feature, patient) => self.value(feature, patient, f),
            Told::Note(parts) => self.note(parts, f),
        }
    }
}

impl ValueText<'_> {
    fn value(&self, feature: &Feature, patient: &Patient, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = &patient.values()[feature.inputs.clone()];
        let phrase = self.study.phrase(feature, feature.phrase(values), self.language);
        if phrase.numbered {
            numbers(f, values)?;
        }
        phrase.rest.fmt(f)
    }

    fn note(&self, parts: &[NotePart], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if parts.is_empty() {
            return f.write_str(match self.language {
                Language::Es => "nada que el modelo conozca",
                Language::En => "nothing that the model knows",
            });
        }
        for (position, part) in parts.iter().take(NAMED_PARTS).enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            match (&part.term, self.study.note(), self.language) {
                (Some(code), Some(field), language) => {
                    let (words, label) = (part.stance.words(language), field.term_label(code, language));
                    match language {
                        Language::Es => write!(f, "{words} «{label}»")?,
                        Language::En => write!(f, "{words} “{label}”")?,
                    }
                }
                (.., Language::Es) => f.write_str("otras palabras")?,
                (.., Language::En) => f.write_str("other words")?,
            }
        }
        Ok(())
    }
}

/// `138/86`.
fn numbers(f: &mut fmt::Formatter<'_>, values: &[i32]) -> fmt::Result {
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            f.write_char('/')?;
        }
        Display::fmt(value, f)?;
    }
    Ok(())
}

/// Which way a contribution moved the probability, and by how much: `aumenta la probabilidad en 30,4 puntos`.
#[derive(Debug, Clone, Copy)]
pub struct Effect {
    moved: f64,
    language: Language,
}

/// See [`Effect`]; `moved` is in probability, -1..=1.
pub fn effect(moved: f64, language: Language) -> Effect {
    Effect { moved, language }
}

impl Effect {
    /// Writes itself. Letters, digits, spaces and punctuation.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(self, out: &mut impl fmt::Write) -> fmt::Result {
        let Effect { moved, language } = self;
        out.write_str(match (language, moved.abs() < 0.0005, moved > 0.0) {
            (Language::Es, true, _) => return out.write_str("apenas cambia la probabilidad"),
            (Language::En, true, _) => return out.write_str("hardly changes the probability"),
            (Language::Es, false, true) => "aumenta la probabilidad en ",
            (Language::Es, false, false) => "reduce la probabilidad en ",
            (Language::En, false, true) => "raises the probability by ",
            (Language::En, false, false) => "lowers the probability by ",
        })?;
        decimal(moved.abs() * 100.0, 1, language).write(out)?;
        out.write_str(match language {
            Language::Es => " puntos",
            Language::En => " points",
        })
    }
}

impl Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl Display for ContributionWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)?;
        f.write_str(", ")?;
        self.value.fmt(f)?;
        f.write_str(": ")?;
        effect(self.moved, self.value.language).fmt(f)
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
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    value: f64,
    decimals: usize,
    language: Language,
}

/// See [`Decimal`].
pub fn decimal(value: f64, decimals: usize, language: Language) -> Decimal {
    Decimal { value, decimals, language }
}

impl Decimal {
    fn write(self, out: &mut impl fmt::Write) -> fmt::Result {
        let Decimal { value, decimals, language } = self;
        if decimals == 1
            && let Some(tenths) = tenths(value)
        {
            return write_tenths(out, tenths, language);
        }
        match language {
            Language::Es => write!(Commas(out), "{value:.decimals$}"),
            Language::En => write!(out, "{value:.decimals$}"),
        }
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// Digits from the last one on: what the standard library does for numbers of any width and sign is ten times the work.
fn write_tenths(out: &mut impl fmt::Write, tenths: u32, language: Language) -> fmt::Result {
    let mut text = [0; 12];
    let (mut begin, mut left) = (text.len(), tenths);
    let mut before = |byte| {
        begin -= 1;
        text[begin] = byte;
    };
    before(b'0' + (left % 10) as u8);
    before(match language {
        Language::Es => b',',
        Language::En => b'.',
    });
    loop {
        left /= 10;
        before(b'0' + (left % 10) as u8);
        if left < 10 {
            break;
        }
    }
    out.write_str(std::str::from_utf8(&text[begin..]).unwrap_or_default())
}

/// The nearest number of tenths, as far as whole numbers tell it: of a value so near to the middle between two that its last bits
/// decide, `None`. Exact decimals of any number are ten times the work, and an explanation has one in every line.
fn tenths(value: f64) -> Option<u32> {
    let scaled = value * 10.0;
    let nearest = (scaled + 0.5) as u32;
    let told = scaled > 0.0 && scaled < 1e6 && (scaled - f64::from(nearest)).abs() < 0.499_999;
    told.then_some(nearest)
}

/// Writes a comma for every point.
struct Commas<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for Commas<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (position, part) in text.split('.').enumerate() {
            if position > 0 {
                self.0.write_char(',')?;
            }
            self.0.write_str(part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Raw;
    use crate::note::Stance;

    #[test]
    fn a_decimal_is_rounded_as_exactly_as_the_standard_library_does() {
        let middles = (0..2000).map(|n| f64::from(n) / 20.0);
        let beside = middles.flat_map(|value| [value.next_down(), value, value.next_up(), value + 1e-7]);
        for value in beside.chain([-0.0, -12.34, 1e5, 1e9, 123_456.78, f64::MIN_POSITIVE]) {
            for (language, point) in [(Language::Es, ","), (Language::En, ".")] {
                let expected = format!("{value:.1}").replace('.', point);
                assert_eq!(decimal(value, 1, language).to_string(), expected, "{value:e}");
            }
        }
    }

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
            let said = study.contribution_words(Contribution { feature, value }, &patient, None, language);
            said.map(|said| said.to_string()).unwrap_or_default()
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
            study.contribution_words(contribution, &patient, Some(parts), language).unwrap().to_string()
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
