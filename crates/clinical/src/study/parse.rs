//! TOML -> [`Study`]. The raw form mirrors the file; everything a later stage relies on is checked here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    Abstention, Accepts, Alarm, Card, Category, Choice, Cycle, Feature, FewShot, Gate, Imbalance, Input,
    Kind, Learner, Lightgbm, Mlp, NumberWords, Orphan, Predictor, RarityLabels, Resampling, Scaling, Search,
    SeverityClass, Split, Study, StudyError, Targets, Training, Verification, Xgboost,
};
use crate::note::{NoteField, NoteTerm, Reading, Vocabulary};
use crate::{Domain, Language, Text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStudy {
    name: String,
    title: Text,
    feature: Vec<RawFeature>,
    severity: Vec<SeverityClass>,
    rarity: RarityLabels,
    split: Split,
    scaling: Scaling,
    #[serde(default)]
    training: Training,
    xgboost: Option<Xgboost>,
    /// How `[training]` and `[xgboost]` were called while there was one learner; studies in older
    /// bundles say it.
    boosting: Option<toml::Table>,
    #[serde(default)]
    lightgbm: Lightgbm,
    #[serde(default)]
    mlp: Mlp,
    #[serde(default)]
    few_shot: FewShot,
    #[serde(default)]
    orphan: Orphan,
    #[serde(default)]
    imbalance: Imbalance,
    #[serde(default)]
    search: Search,
    alarm: Alarm,
    #[serde(default)]
    abstention: Abstention,
    predictor: Predictor,
    targets: Targets,
    #[serde(default)]
    gate: Vec<Gate>,
    #[serde(default)]
    verification: Verification,
    #[serde(default)]
    cycle: Cycle,
    #[serde(default)]
    card: Card,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeature {
    name: String,
    kind: RawKind,
    column: Option<String>,
    label: Text,
    input: Option<String>,
    unit: Option<Unit>,
    hint: Option<Text>,
    loinc: Option<String>,
    min: Option<i32>,
    max: Option<i32>,
    usual: Option<(i32, i32)>,
    #[serde(default)]
    words: Vec<NumberWords>,
    #[serde(default)]
    codes: Vec<RawChoice>,
    #[serde(default)]
    inputs: Vec<RawInput>,
    #[serde(default)]
    categories: Vec<RawCategory>,
    #[serde(default)]
    descending: bool,
    languages: Option<Vec<Language>>,
    max_length: Option<usize>,
    dictionary: Option<Vec<Vocabulary>>,
    terms: Option<Vec<NoteTerm>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Number,
    Code,
    Category,
    Text,
}

/// A unit that is the same everywhere may be one string.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Unit {
    One(String),
    Each(Text),
}

impl From<Unit> for Text {
    fn from(unit: Unit) -> Text {
        match unit {
            Unit::One(unit) => Text::new(unit.clone(), unit),
            Unit::Each(text) => text,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChoice {
    code: String,
    label: Text,
    words: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInput {
    name: String,
    label: Text,
    unit: Unit,
    hint: Option<Text>,
    min: i32,
    max: i32,
    usual: Option<(i32, i32)>,
    loinc: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCategory {
    code: String,
    label: Text,
    words: Option<Text>,
    #[serde(default)]
    at_least: BTreeMap<String, i32>,
}

/// Columns that a case file has besides the inputs; an input may not take their names.
const CASE_COLUMNS: [&str; 8] =
    ["case_id", "patient_id", "source", "recorded_at", "severity", "rarity", "disease_code", "confirmed_at"];

pub(super) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> StudyError {
    StudyError::Invalid { place: place.into(), problem: problem.into() }
}

pub(super) fn study(source: &str) -> Result<Study, StudyError> {
    let raw: RawStudy = toml::from_str(source).map_err(|error| StudyError::Syntax(error.to_string()))?;
    let mut inputs = Vec::new();
    let mut features = Vec::new();
    let mut note = None;
    for raw in raw.feature {
        if raw.kind != RawKind::Text {
            features.push(feature(raw, features.len(), &mut inputs)?);
        } else if note.replace(text(raw)?).is_some() {
            return Err(invalid("[[feature]]", "at most one feature of kind `text` is possible"));
        }
    }
    if features.is_empty() {
        return Err(invalid("[[feature]]", "at least one feature besides a text is needed"));
    }
    check_names(&inputs, &features, note.as_ref())?;
    check_outcome(&raw.severity)?;
    check_plan(&raw.split, &raw.scaling, &raw.alarm, &raw.predictor, &raw.gate)?;
    let mut training = raw.training;
    let xgboost = match (raw.xgboost, raw.boosting) {
        (Some(_), Some(_)) => return Err(invalid("[boosting]", "it is the former name of [xgboost]")),
        (None, Some(former)) => boosting(former, &mut training)?,
        (settings, None) => settings.unwrap_or_default(),
    };
    check_learners(&training, &xgboost, &raw.lightgbm, &raw.mlp)?;
    raw.few_shot.check().map_err(|problem| invalid("[few_shot]", problem))?;
    raw.cycle.check().map_err(|problem| invalid("[cycle]", problem))?;
    raw.abstention.check().map_err(|problem| invalid("[abstention]", problem))?;
    check_imbalance(&raw.imbalance, &features)?;
    raw.gate.iter().try_for_each(|gate| check_features("[[gate]], `by`", &gate.by, &features))?;
    raw.verification.check(&features, &raw.severity)?;
    let domain = Domain::new(features.iter().map(Feature::dim).collect());
    let study = Study {
        name: raw.name,
        title: raw.title,
        inputs,
        features,
        note,
        severities: raw.severity,
        rarity: raw.rarity,
        split: raw.split,
        scaling: raw.scaling,
        training,
        xgboost,
        lightgbm: raw.lightgbm,
        mlp: raw.mlp,
        few_shot: raw.few_shot,
        orphan: raw.orphan,
        imbalance: raw.imbalance,
        search: raw.search,
        alarm: raw.alarm,
        abstention: raw.abstention,
        predictor: raw.predictor,
        targets: raw.targets,
        gates: raw.gate,
        verification: raw.verification,
        cycle: raw.cycle,
        card: raw.card,
        domain,
        source: source.to_owned(),
    };
    let plans = Learner::ALL.map(|learner| study.parameters(learner));
    study.search.check(&plans).map_err(|(place, problem)| invalid(place, problem))?;
    Ok(study)
}

fn feature(raw: RawFeature, index: usize, inputs: &mut Vec<Input>) -> Result<Feature, StudyError> {
    let place = format!("feature `{}`", raw.name);
    only(
        &place,
        "number, code and category",
        &[
            ("languages", raw.languages.is_none()),
            ("max_length", raw.max_length.is_none()),
            ("dictionary", raw.dictionary.is_none()),
            ("terms", raw.terms.is_none()),
        ],
    )?;
    let column = raw.column.clone().unwrap_or_else(|| raw.name.clone());
    let first = inputs.len();
    let kind = match raw.kind {
        RawKind::Number => number(&raw, index, &place, inputs)?,
        RawKind::Code => code(&raw, index, &column, &place, inputs)?,
        RawKind::Category => category(&raw, index, &column, &place, inputs)?,
        // Handled by `text`: it is no part of the finite domain.
        RawKind::Text => return Err(invalid(place, "a text has no levels")),
    };
    Ok(Feature {
        name: raw.name,
        column,
        label: raw.label,
        inputs: first..inputs.len(),
        kind,
        descending: raw.descending,
    })
}

fn number(raw: &RawFeature, index: usize, place: &str, inputs: &mut Vec<Input>) -> Result<Kind, StudyError> {
    only(
        place,
        "number",
        &[
            ("codes", raw.codes.is_empty()),
            ("inputs", raw.inputs.is_empty()),
            ("categories", raw.categories.is_empty()),
        ],
    )?;
    let (Some(min), Some(max)) = (raw.min, raw.max) else {
        return Err(invalid(place, "a number needs `min` and `max`"));
    };
    check_range(place, min, max, raw.usual)?;
    if raw.words.windows(2).any(|pair| pair[0].up_to >= pair[1].up_to) {
        return Err(invalid(place, "`words` must have rising `up_to`"));
    }
    inputs.push(Input {
        name: raw.input.clone().unwrap_or_else(|| raw.name.clone()),
        label: raw.label.clone(),
        unit: raw.unit.clone().map_or_else(|| Text::new("", ""), Text::from),
        hint: raw.hint.clone(),
        loinc: raw.loinc.clone(),
        accepts: Accepts::Number { min, max, usual: raw.usual },
        feature: index,
    });
    Ok(Kind::Number { min, max, words: raw.words.clone() })
}

fn code(
    raw: &RawFeature,
    index: usize,
    column: &str,
    place: &str,
    inputs: &mut Vec<Input>,
) -> Result<Kind, StudyError> {
    only(
        place,
        "code",
        &[
            ("min", raw.min.is_none()),
            ("max", raw.max.is_none()),
            ("inputs", raw.inputs.is_empty()),
            ("categories", raw.categories.is_empty()),
        ],
    )?;
    if raw.codes.len() < 2 {
        return Err(invalid(place, "a code needs at least two entries in `codes`"));
    }
    inputs.push(Input {
        name: raw.input.clone().unwrap_or_else(|| raw.name.clone()),
        label: raw.label.clone(),
        unit: Text::new("", ""),
        hint: raw.hint.clone(),
        loinc: raw.loinc.clone(),
        accepts: Accepts::Code(raw.codes.iter().map(|choice| choice.code.clone()).collect()),
        feature: index,
    });
    let choices = raw.codes.iter().map(|raw| choice(column, &raw.code, &raw.label, raw.words.as_ref()));
    Ok(Kind::Code(choices.collect()))
}

fn category(
    raw: &RawFeature,
    index: usize,
    column: &str,
    place: &str,
    inputs: &mut Vec<Input>,
) -> Result<Kind, StudyError> {
    only(
        place,
        "category",
        &[("codes", raw.codes.is_empty()), ("min", raw.min.is_none()), ("max", raw.max.is_none())],
    )?;
    if raw.inputs.is_empty() || raw.categories.len() < 2 {
        return Err(invalid(place, "a category needs `inputs` and at least two `categories`"));
    }
    for input in &raw.inputs {
        check_range(&format!("{place}, input `{}`", input.name), input.min, input.max, input.usual)?;
        inputs.push(Input {
            name: input.name.clone(),
            label: input.label.clone(),
            unit: input.unit.clone().into(),
            hint: input.hint.clone(),
            loinc: input.loinc.clone(),
            accepts: Accepts::Number { min: input.min, max: input.max, usual: input.usual },
            feature: index,
        });
    }
    let mut categories = Vec::new();
    for (position, one) in raw.categories.iter().enumerate() {
        let mut at_least = Vec::new();
        for (name, &limit) in &one.at_least {
            let input = raw.inputs.iter().position(|input| &input.name == name).ok_or_else(|| {
                invalid(
                    place,
                    format!("category `{}` has a rule on `{name}`, which is not one of its inputs", one.code),
                )
            })?;
            at_least.push((input, limit));
        }
        if at_least.is_empty() != (position == 0) {
            return Err(invalid(
                place,
                "the first category takes what no rule matches; every other one needs `at_least`",
            ));
        }
        categories
            .push(Category { choice: choice(column, &one.code, &one.label, one.words.as_ref()), at_least });
    }
    Ok(Kind::Category(categories))
}

/// Characters of a note at most: it travels in forms and rows with limits of their own.
const LONGEST_NOTE: usize = 20_000;

fn text(raw: RawFeature) -> Result<NoteField, StudyError> {
    let place = format!("feature `{}`", raw.name);
    only(
        &place,
        "text",
        &[
            ("column", raw.column.is_none()),
            ("input", raw.input.is_none()),
            ("unit", raw.unit.is_none()),
            ("loinc", raw.loinc.is_none()),
            ("min", raw.min.is_none()),
            ("max", raw.max.is_none()),
            ("usual", raw.usual.is_none()),
            ("words", raw.words.is_empty()),
            ("codes", raw.codes.is_empty()),
            ("inputs", raw.inputs.is_empty()),
            ("categories", raw.categories.is_empty()),
            ("descending", !raw.descending),
        ],
    )?;
    let max_chars = raw.max_length.unwrap_or(4_000);
    if !(1..=LONGEST_NOTE).contains(&max_chars) {
        return Err(invalid(place, format!("`max_length` lies between 1 and {LONGEST_NOTE}")));
    }
    let languages = raw.languages.unwrap_or_else(|| Language::ALL.to_vec());
    let vocabularies = raw.dictionary.unwrap_or_default();
    let terms = raw.terms.unwrap_or_default();
    if languages.is_empty() {
        return Err(invalid(place, "`languages` names at least one language"));
    }
    let mut codes = BTreeSet::new();
    for term in &terms {
        let spelled = term.es.iter().chain(&term.en);
        if term.code.trim().is_empty() || spelled.clone().count() == 0 || !codes.insert(&term.code) {
            return Err(invalid(
                place,
                "each entry of `terms` has a `code` of its own and a spelling in `es` or `en`",
            ));
        }
        if let Some(wordless) = spelled.into_iter().find(|spelling| Reading::pattern(spelling).is_empty()) {
            return Err(invalid(place, format!("the spelling `{wordless}` of `{}` has no word", term.code)));
        }
    }
    Ok(NoteField {
        name: raw.name,
        label: raw.label,
        hint: raw.hint,
        languages,
        max_chars,
        vocabularies,
        terms,
    })
}

fn choice(column: &str, code: &str, label: &Text, words: Option<&Text>) -> Choice {
    Choice {
        code: code.to_owned(),
        column: format!("{column}_{}", code.to_lowercase()),
        label: label.clone(),
        words: words.cloned(),
    }
}

fn only(place: &str, kind: &str, absent: &[(&str, bool)]) -> Result<(), StudyError> {
    match absent.iter().find(|(_, absent)| !absent) {
        Some((key, _)) => Err(invalid(place, format!("`{key}` does not belong to kind `{kind}`"))),
        None => Ok(()),
    }
}

fn check_range(place: &str, min: i32, max: i32, usual: Option<(i32, i32)>) -> Result<(), StudyError> {
    if min >= max || i64::from(max) - i64::from(min) > 1_000_000 {
        return Err(invalid(place, "`min` must be less than `max`, at most 1,000,000 apart"));
    }
    match usual {
        Some((low, high)) if low < min || high > max || low >= high => {
            Err(invalid(place, "`usual` must lie inside `min` and `max`"))
        }
        _ => Ok(()),
    }
}

/// Names become columns, JSON fields and file headers: plain, and used once.
fn check_names(inputs: &[Input], features: &[Feature], note: Option<&NoteField>) -> Result<(), StudyError> {
    let plain = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let mut seen: BTreeSet<&str> = CASE_COLUMNS.into();
    for name in inputs.iter().map(|input| &input.name).chain(note.map(|note| &note.name)) {
        if !plain(name) || !seen.insert(name) {
            return Err(invalid(
                format!("input `{name}`"),
                "names are lower-case letters, digits and `_`, used once and not by a case's own columns",
            ));
        }
    }
    let mut columns = BTreeSet::new();
    for feature in features {
        let mut own = vec![feature.column.clone()];
        own.extend(feature.choices().iter().map(|choice| choice.column.clone()));
        for column in own {
            if !columns.insert(column.clone()) {
                return Err(invalid(
                    format!("feature `{}`", feature.name),
                    format!("`{column}` is used twice"),
                ));
            }
        }
    }
    Ok(())
}

fn check_outcome(severities: &[SeverityClass]) -> Result<(), StudyError> {
    let codes: BTreeSet<&str> = severities.iter().map(|class| class.code.as_str()).collect();
    if severities.len() < 2 || severities.len() > 16 || codes.len() != severities.len() {
        return Err(invalid("[[severity]]", "2 to 16 severities with different codes are needed"));
    }
    Ok(())
}

fn check_plan(
    split: &Split,
    scaling: &Scaling,
    alarm: &Alarm,
    predictor: &Predictor,
    gates: &[Gate],
) -> Result<(), StudyError> {
    let shares = [split.train, split.validation, split.test];
    if shares.iter().any(|share| *share == 0 || share % 5 != 0)
        || shares.iter().map(|&s| u32::from(s)).sum::<u32>() != 100
    {
        return Err(invalid(
            "[split]",
            "train, validation and test are multiples of 5 above 0 that add up to 100",
        ));
    }
    let open = |value: f64| value > 0.0 && value < 1.0;
    if !open(scaling.normality_alpha) {
        return Err(invalid("[scaling]", "normality_alpha lies between 0 and 1"));
    }
    if ![alarm.recall, alarm.confidence, alarm.aim].into_iter().all(open) || alarm.aim < alarm.recall {
        return Err(invalid(
            "[alarm]",
            "recall, confidence and aim lie between 0 and 1, and aim is at least recall",
        ));
    }
    if predictor.table_limit == 0 || predictor.background == 0 {
        return Err(invalid("[predictor]", "table_limit and background are at least 1"));
    }
    if gates.iter().any(|gate| gate.at_least.is_some() == gate.at_most.is_some()) {
        return Err(invalid("[[gate]]", "each gate has either `at_least` or `at_most`"));
    }
    Ok(())
}

/// The former stanza: XGBoost's settings and the folds.
fn boosting(mut former: toml::Table, training: &mut Training) -> Result<Xgboost, StudyError> {
    if let Some(folds) = former.remove("folds") {
        training.folds =
            folds.try_into().map_err(|error: toml::de::Error| invalid("[boosting]", error.message()))?;
    }
    former.try_into().map_err(|error: toml::de::Error| invalid("[boosting]", error.message()))
}

fn check_learners(
    training: &Training,
    xgboost: &Xgboost,
    lightgbm: &Lightgbm,
    mlp: &Mlp,
) -> Result<(), StudyError> {
    if !(2..=20).contains(&training.folds) {
        return Err(invalid("[training]", "folds is 2 to 20"));
    }
    xgboost.check().map_err(|problem| invalid("[xgboost]", problem))?;
    lightgbm.check().map_err(|problem| invalid("[lightgbm]", problem))?;
    mlp.check().map_err(|problem| invalid("[mlp]", problem))
}

fn check_imbalance(imbalance: &Imbalance, features: &[Feature]) -> Result<(), StudyError> {
    if let Some(why) = imbalance.refused() {
        return Err(invalid("[imbalance]", why));
    }
    let is_number = |feature: &Feature| matches!(feature.kind, Kind::Number { .. });
    if imbalance.method == Resampling::SmoteNc && !features.iter().any(is_number) {
        return Err(invalid("[imbalance]", "`smote_nc` interpolates numbers, and no feature is one"));
    }
    Ok(())
}

fn check_features(place: &str, names: &[String], features: &[Feature]) -> Result<(), StudyError> {
    match names.iter().find(|name| features.iter().all(|feature| feature.name != **name)) {
        Some(unknown) => Err(invalid(place, format!("`{unknown}` is no feature"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::Study;
    use crate::study::DEFAULT_TOML;

    const GLUCOSE: &str = r#"
[[feature]]
name = "fasting_glucose"
kind = "number"
input = "fasting_glucose_mg_dl"
label = { es = "Glucosa en ayunas", en = "Fasting glucose" }
unit = "mg/dL"
min = 40
max = 600
loinc = "1558-6"
"#;

    #[test]
    fn one_stanza_adds_a_laboratory_value() {
        let study = Study::parse(&format!("{DEFAULT_TOML}{GLUCOSE}")).unwrap();
        assert_eq!(study.input("fasting_glucose_mg_dl").unwrap().unit.es, "mg/dL");
        assert_eq!(study.domain().dims(), &[121, 2, 4, 5, 32, 561]);
        assert_ne!(study.digest(), Study::default_study().digest());
    }

    const NOTE: &str = r#"
[[feature]]
name = "note"
kind = "text"
label = { es = "Nota clínica", en = "Clinical note" }
languages = ["es"]
max_length = 2000
dictionary = ["hpo", "orphanet"]
terms = [{ code = "HP:0002240", es = ["hepatomegalia", "hígado grande"] }, { code = "own", en = ["night sweats"] }]
"#;

    #[test]
    fn a_text_is_no_part_of_the_finite_domain() {
        let study = Study::parse(&format!("{DEFAULT_TOML}{NOTE}")).unwrap();
        let default = Study::default_study();
        assert_eq!((study.domain(), study.inputs()), (default.domain(), default.inputs()));
        assert_eq!(study.features(), default.features());
        assert!(default.note().is_none());
        let note = study.note().unwrap();
        assert_eq!((note.name.as_str(), note.max_chars, note.terms.len()), ("note", 2000, 2));
        use crate::Language::{En, Es};
        assert_eq!(note.term_label("HP:0002240", Es), "hepatomegalia");
        assert_eq!(note.term_label("HP:0000003", Es), "Multicystic kidney dysplasia");
        assert_eq!(note.term_label("own", Es), "night sweats");
        assert_eq!(note.term_label("ORPHA:586", En), "Cystic fibrosis");
        assert_eq!(note.term_label("HP:9999999", En), "HP:9999999");
        assert_eq!(study.field_label("note", Es), "Nota clínica");
    }

    #[test]
    fn what_a_text_may_not_say_is_refused() {
        for (from, to) in [
            ("max_length = 2000", "max_length = 0"),
            ("max_length = 2000", "max_length = 20001"),
            ("max_length = 2000", "min = 1"),
            ("languages = [\"es\"]", "languages = []"),
            ("languages = [\"es\"]", "languages = [\"de\"]"),
            ("\"orphanet\"", "\"icd\""),
            ("en = [\"night sweats\"]", "en = [\"!\"]"),
            ("code = \"own\", en = [\"night sweats\"]", "code = \"own\""),
            ("code = \"own\"", "code = \"HP:0002240\""),
            ("name = \"note\"", "name = \"age_years\""),
            ("name = \"note\"", "name = \"severity\""),
        ] {
            let text = format!("{DEFAULT_TOML}{}", NOTE.replacen(from, to, 1));
            assert!(Study::parse(&text).is_err(), "{to}");
        }
        assert!(
            Study::parse(&format!("{DEFAULT_TOML}{NOTE}{}", NOTE.replace("\"note\"", "\"second\""))).is_err()
        );
        let glucose = format!("{DEFAULT_TOML}{GLUCOSE}max_length = 10\n");
        assert!(Study::parse(&glucose).is_err(), "a number has no length");
    }

    #[test]
    fn the_former_stanza_of_the_one_learner_is_understood() {
        let start = DEFAULT_TOML.find("[training]").unwrap();
        let end = DEFAULT_TOML.find("[alarm]").unwrap();
        let former = "[boosting]\nfolds = 7\ndepth = 6\n\n";
        let study = format!("{}{former}{}", &DEFAULT_TOML[..start], &DEFAULT_TOML[end..]);
        let study = Study::parse(&study).unwrap();
        assert_eq!((study.training.folds, study.xgboost.depth), (7, 6));
        assert_eq!(study.mlp, Study::default_study().mlp);
        let unknown = study.source().replace("depth = 6", "dept = 6");
        assert!(Study::parse(&unknown).unwrap_err().to_string().contains("dept"));
    }

    #[test]
    fn what_a_study_may_not_say_is_refused_with_its_place() {
        for (from, to, place) in [
            ("train = 70", "train = 71", "[split]"),
            ("min = 0\nmax = 120", "min = 120\nmax = 0", "feature `age`"),
            ("input = \"age_years\"", "input = \"severity\"", "input `severity`"),
            ("at_least = { systolic_mmhg = 120 }", "at_least = { pulse = 120 }", "feature `blood_pressure`"),
            ("folds = 5", "folds = 1", "[training]"),
            ("eta = 0.08", "eta = 0", "[xgboost]"),
            ("[xgboost]", "[boosting]\n[xgboost]", "former name"),
            ("method = \"none\"", "method = \"adasyn\"", "unknown variant `adasyn`"),
            ("share = 0.2", "share = 1.0", "[imbalance]: `share`"),
            ("neighbours = 5", "neighbours = 0", "[imbalance]: `neighbours`"),
            ("steps = 1500", "steps = 0", "[imbalance]: `gan.steps`"),
            ("prior = \"cases\"", "prior = \"guess\"", "unknown variant `guess`"),
            ("folds = 5", "folds = 5\nfold = 5", "unknown field"),
        ] {
            let text = DEFAULT_TOML.replacen(from, to, 1);
            assert_ne!(text, DEFAULT_TOML);
            let error = Study::parse(&text).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }
}
