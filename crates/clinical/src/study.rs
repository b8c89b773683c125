//! The study: the science of one classification task, as data.
//!
//! One TOML file declares the features, the outcome classes, the split, the training plan, the
//! alarm, the targets and the gates. Validation, storage columns, encoding, the form, the
//! explanations and the monitors all follow from it; nothing else in the program names a feature.
//! The default study is built in ([`Study::default_study`]).

mod card;
mod cycle;
mod groups;
mod imbalance;
mod learner;
mod parse;
mod plan;
pub mod search;
mod verification;

use std::{ops::Range, sync::LazyLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use card::Card;
pub use cycle::{Cycle, Full, Incremental, WorseBy};
pub use groups::Groups;
pub use imbalance::{GanPlan, Imbalance, Resampling};
pub use learner::{Learner, Lightgbm, Mlp, Parameters, Training, Xgboost};
pub use plan::{
    Abstention, Alarm, FewShot, Gate, GateMetric, Orphan, Predictor, Prior, Reading, Scaling, Split, Targets,
};
pub use search::Search;
pub use verification::{Direction, GroupLimits, Limit, Monotone, SwapLimits, Verification};

use crate::note::NoteField;
use crate::{Domain, Language, Text};

/// The text of the default study.
pub const DEFAULT_TOML: &str = include_str!("study/default.toml");

/// Index of a severity class in the study's order; class 0 of the default study is `healthy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Severity(pub u8);

impl Severity {
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Whether the disease is a common or an orphan (rare) one. Healthy people have neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rarity {
    Common,
    Orphan,
}

impl Rarity {
    pub const ALL: [Rarity; 2] = [Rarity::Common, Rarity::Orphan];

    pub fn code(self) -> &'static str {
        match self {
            Rarity::Common => "common",
            Rarity::Orphan => "orphan",
        }
    }

    pub fn from_code(code: &str) -> Option<Rarity> {
        Rarity::ALL.into_iter().find(|rarity| rarity.code() == code)
    }
}

/// A validated study. Cheap to share, never changed after parsing.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    name: String,
    title: Text,
    inputs: Vec<Input>,
    features: Vec<Feature>,
    note: Option<NoteField>,
    severities: Vec<SeverityClass>,
    rarity: RarityLabels,
    pub split: Split,
    pub scaling: Scaling,
    pub training: Training,
    pub xgboost: Xgboost,
    pub lightgbm: Lightgbm,
    pub mlp: Mlp,
    pub few_shot: FewShot,
    pub orphan: Orphan,
    pub imbalance: Imbalance,
    pub search: Search,
    pub alarm: Alarm,
    pub abstention: Abstention,
    pub predictor: Predictor,
    pub targets: Targets,
    pub gates: Vec<Gate>,
    pub verification: Verification,
    pub cycle: Cycle,
    pub card: Card,
    domain: Domain,
    source: String,
}

/// One value that is asked for, stored and checked: a column of a case file, a field of the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Column and JSON field, e.g. `systolic_mmhg`.
    pub name: String,
    pub label: Text,
    /// Unit as shown (`mmHg`, `años`); empty for codes.
    pub unit: Text,
    /// A line of help under the label, beyond the range.
    pub hint: Option<Text>,
    pub loinc: Option<String>,
    pub accepts: Accepts,
    /// The index of the feature that this input feeds.
    pub feature: usize,
}

/// What an input accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepts {
    /// A whole number in `min..=max`; `usual` is the range outside which a person is asked to check.
    Number { min: i32, max: i32, usual: Option<(i32, i32)> },
    /// One of these codes; the stored value is the position.
    Code(Vec<String>),
}

/// What the model sees and an explanation speaks of: one clinical idea, from one or more inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    /// Column (number) or column prefix (levels) in the encoded row.
    pub column: String,
    pub label: Text,
    pub inputs: Range<usize>,
    pub kind: Kind,
    /// The input that must be greater than the next one (systolic over diastolic).
    pub descending: bool,
}

/// How a feature gets its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A number; one level per whole number in `min..=max`. `words` name stretches of it.
    Number { min: i32, max: i32, words: Vec<NumberWords> },
    /// A code; one level per code.
    Code(Vec<Choice>),
    /// A clinical category of one or more numbers; the last category with a matching rule wins, the
    /// first one has none and takes the rest.
    Category(Vec<Category>),
}

/// How an explanation names a stretch of a number, e.g. exercise up to 4 days: "Poco ejercicio".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberWords {
    /// Largest value that these words cover.
    pub up_to: i32,
    pub es: String,
    pub en: String,
}

impl NumberWords {
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::Es => &self.es,
            Language::En => &self.en,
        }
    }
}

/// One level of a code or category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub code: String,
    /// Name of its indicator column.
    pub column: String,
    pub label: Text,
    /// How an explanation names the feature at this level ("Tensión arterial alta"); the feature's label otherwise.
    pub words: Option<Text>,
}

/// One category and the rule that puts a patient into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    pub choice: Choice,
    /// `(offset into the feature's inputs, lower limit)`: matches when any input reaches its limit.
    pub at_least: Vec<(usize, i32)>,
}

/// One severity of the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeverityClass {
    pub code: String,
    /// The words of the result band: `ENFERMEDAD AGUDA`.
    pub label: Text,
    /// The words of a list: `Aguda`.
    pub short: Text,
    pub colour: Colour,
    /// What a doctor may want to do; one sentence.
    pub advice: Text,
}

/// The colour of a result, never shown without its word and icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Green,
    Yellow,
    Red,
}

/// What the two rarities are called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RarityLabels {
    pub common: Text,
    pub orphan: Text,
}

/// Why a study file was refused: where, what, and what would do.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    #[error("the study is not valid TOML: {0}")]
    Syntax(String),
    #[error("study, {place}: {problem}")]
    Invalid { place: String, problem: String },
}

static DEFAULT: LazyLock<Study> = LazyLock::new(|| match Study::parse(DEFAULT_TOML) {
    Ok(study) => study,
    // The text is part of the binary and a test parses it: a failure here is a broken build.
    Err(error) => unreachable!("the default study does not parse: {error}"),
});

impl Study {
    /// The contract's study, as embedded in the binary.
    pub fn default_study() -> &'static Study {
        &DEFAULT
    }

    /// Reads and checks a study. Unknown keys are errors.
    pub fn parse(source: &str) -> Result<Study, StudyError> {
        parse::study(source)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn title(&self) -> &Text {
        &self.title
    }

    /// The TOML text this study was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 of the study's text, in hex: the identity that runs and bundles record.
    pub fn digest(&self) -> String {
        Sha256::digest(self.source.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Every value that is asked for, in order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// Every clinical feature, in order; explanations and the domain use this order.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name == name)
    }

    /// The inputs that feed a feature.
    pub fn inputs_of(&self, feature: &Feature) -> &[Input] {
        &self.inputs[feature.inputs.clone()]
    }

    /// The free text that a case may have beside its inputs, where the study declares one.
    pub fn note(&self) -> Option<&NoteField> {
        self.note.as_ref()
    }

    pub fn severities(&self) -> &[SeverityClass] {
        &self.severities
    }

    pub fn severity(&self, severity: Severity) -> &SeverityClass {
        &self.severities[severity.index()]
    }

    pub fn severity_from_code(&self, code: &str) -> Option<Severity> {
        let index = self.severities.iter().position(|class| class.code == code)?;
        u8::try_from(index).ok().map(Severity)
    }

    /// The class of people without a disease: always the first.
    pub fn healthy(&self) -> Severity {
        Severity(0)
    }

    pub fn rarity_label(&self, rarity: Rarity) -> &Text {
        match rarity {
            Rarity::Common => &self.rarity.common,
            Rarity::Orphan => &self.rarity.orphan,
        }
    }

    /// The settings that the study plans for a learner.
    pub fn parameters(&self, learner: Learner) -> Parameters {
        match learner {
            Learner::Xgboost => Parameters::Xgboost(self.xgboost.clone()),
            Learner::Lightgbm => Parameters::Lightgbm(self.lightgbm.clone()),
            Learner::Mlp => Parameters::Mlp(self.mlp.clone()),
        }
    }

    /// The set of possible patients.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The level of a feature from its input values (already accepted).
    pub fn level(&self, feature: &Feature, values: &[i32]) -> usize {
        feature.level(values)
    }

    /// How a table of possible patients names a feature: by its input, where the level is the input's value, else
    /// (a category) by itself.
    pub fn table_name<'a>(&'a self, feature: &'a Feature) -> &'a str {
        match (&feature.kind, self.inputs_of(feature).first()) {
            (Kind::Number { .. } | Kind::Code(_), Some(input)) => &input.name,
            _ => &feature.name,
        }
    }

    /// The label of any field of a case, feature inputs and the others alike.
    pub fn field_label<'a>(&'a self, field: &'a str, language: Language) -> &'a str {
        if let Some(input) = self.input(field) {
            return input.label.get(language);
        }
        if let Some(note) = self.note().filter(|note| note.name == field) {
            return note.label.get(language);
        }
        match (field, language) {
            ("severity", Language::Es) => "Gravedad",
            ("severity", Language::En) => "Severity",
            ("rarity", Language::Es) => "Rareza",
            ("rarity", Language::En) => "Rarity",
            ("patient_id", Language::Es) => "Identificador del paciente",
            ("patient_id", Language::En) => "Patient identifier",
            ("verdict", Language::Es) => "Valoración",
            ("verdict", Language::En) => "Verdict",
            ("comment", Language::Es) => "Comentario",
            ("comment", Language::En) => "Comment",
            ("disease_code", Language::Es) => "Código de la enfermedad",
            ("disease_code", Language::En) => "Disease code",
            _ => field,
        }
    }
}

impl Feature {
    /// The number of levels.
    pub fn dim(&self) -> usize {
        match &self.kind {
            Kind::Number { min, max, .. } => usize::try_from(max - min).unwrap_or(0) + 1,
            Kind::Code(choices) => choices.len(),
            Kind::Category(categories) => categories.len(),
        }
    }

    /// The level that accepted values put a patient into.
    pub fn level(&self, values: &[i32]) -> usize {
        let first = values.first().copied().unwrap_or_default();
        match &self.kind {
            Kind::Number { min, .. } => usize::try_from(first - min).unwrap_or(0),
            Kind::Code(_) => usize::try_from(first).unwrap_or(0),
            Kind::Category(categories) => categories
                .iter()
                .rposition(|category| {
                    category
                        .at_least
                        .iter()
                        .any(|&(input, limit)| values.get(input).is_some_and(|&v| v >= limit))
                })
                .unwrap_or(0),
        }
    }

    /// The code and label of a level; `None` for a number's.
    pub fn choice(&self, level: usize) -> Option<&Choice> {
        match &self.kind {
            Kind::Number { .. } => None,
            Kind::Code(choices) => choices.get(level),
            Kind::Category(categories) => categories.get(level).map(|category| &category.choice),
        }
    }

    /// The levels that have a code and a label; empty for a number.
    pub fn choices(&self) -> Vec<&Choice> {
        match &self.kind {
            Kind::Number { .. } => Vec::new(),
            Kind::Code(choices) => choices.iter().collect(),
            Kind::Category(categories) => categories.iter().map(|category| &category.choice).collect(),
        }
    }

    /// The number that a level stands for; none for codes and categories.
    pub fn level_number(&self, level: usize) -> Option<i64> {
        match &self.kind {
            Kind::Number { min, .. } => Some(i64::from(*min) + level as i64),
            Kind::Code(_) | Kind::Category(_) => None,
        }
    }

    /// The code of a level, or the number itself: how tables name it.
    pub fn level_code(&self, level: usize) -> String {
        match self.level_number(level) {
            Some(number) => number.to_string(),
            None => self.choice(level).map(|choice| choice.code.clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_categories_follow_the_aha_table_for_every_pair() {
        let study = Study::default_study();
        let feature = study.feature("blood_pressure").unwrap();
        for s in 50..=280 {
            for d in 30..=180 {
                let expected = if s > 180 || d > 120 {
                    "crisis"
                } else if s >= 140 || d >= 90 {
                    "stage_2"
                } else if (130..=139).contains(&s) || (80..=89).contains(&d) {
                    "stage_1"
                } else if (120..=129).contains(&s) && d < 80 {
                    "elevated"
                } else {
                    "normal"
                };
                assert_eq!(feature.level_code(feature.level(&[s, d])), expected, "{s}/{d}");
            }
        }
    }
}
