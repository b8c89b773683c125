//! The `[fhir]` part of a mapping: which resources make a case, and which of their values its columns.

use std::sync::LazyLock;

use super::toml_walk::{Item, Section, document, error, string, texts};
use crate::{MappingError, instant};

type Result<T> = std::result::Result<T, MappingError>;

/// What holds where a mapping does not say otherwise.
const BUILT_IN: &str = include_str!("fhir.toml");

static DEFAULT: LazyLock<FhirRules> = LazyLock::new(|| match built_in() {
    Ok(rules) => rules,
    // The text is part of the binary and a test parses it: a failure here is a broken build.
    Err(error) => unreachable!("the built-in FHIR rules do not parse: {error}"),
});

/// What one case stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaseOf {
    /// One case per patient, at the last used observation or at a fixed day.
    Patient,
    /// One case per condition, at its date.
    Condition,
    /// One case per encounter, at its period.
    Encounter,
}

/// Which of several readings in the window is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choose {
    Last,
    First,
    Mean,
    Least,
    Greatest,
}

/// A date of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConditionDate {
    Recorded,
    Onset,
}

/// A code to be matched, as FHIR's search writes it: `system|code`, `code` of any system, `|code` of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// `None`: any system.
    pub(crate) system: Option<String>,
    pub(crate) code: String,
}

impl Token {
    pub(crate) fn parse(text: &str) -> Token {
        match text.rsplit_once('|') {
            Some((system, code)) => Token { system: Some(system.to_owned()), code: code.to_owned() },
            None => Token { system: None, code: text.to_owned() },
        }
    }

    pub(crate) fn matches(&self, system: Option<&str>, code: &str) -> bool {
        self.code == code && self.system.as_deref().is_none_or(|wanted| wanted == system.unwrap_or_default())
    }
}

/// One column that observations fill.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedValue {
    pub(crate) name: String,
    /// Empty: the LOINC code of the study's input of the same name.
    pub(crate) codes: Vec<Token>,
    /// Units that are taken as they stand; empty: the study's own unit.
    pub(crate) unit: Vec<String>,
    /// Other units and the factor to the first.
    pub(crate) units: Vec<(String, f64)>,
    /// Coded answers and what they mean.
    pub(crate) recode: Vec<(Token, String)>,
    /// A number written as a text (`valueString: "3"`) is a number.
    pub(crate) text_is_number: bool,
    pub(crate) round: bool,
    pub(crate) choose: Choose,
    /// Days before the case's date in which a reading counts; `None`: any time before.
    pub(crate) days_before: Option<u32>,
    pub(crate) days_after: u32,
    /// It never changes: no window, and readings that differ are a conflict.
    pub(crate) lasting: bool,
}

/// How FHIR resources become cases.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FhirRules {
    pub(crate) case: CaseOf,
    /// The day of every case, UTC microseconds; for cases of patients.
    pub(crate) at: Option<i64>,
    /// Patients without a condition give a case too.
    pub(crate) without_condition: bool,
    /// System of the identifier that names a patient; `None`: the resource's id.
    pub(crate) patient_identifier: Option<String>,
    pub(crate) observation_status: Vec<String>,
    pub(crate) verification_status: Vec<String>,
    pub(crate) condition_date: Vec<ConditionDate>,
    /// A birth date of a year or month only is taken at its middle.
    pub(crate) birth_date_by_middle: bool,
    /// Code systems by their URI, as disease codes name them.
    pub(crate) systems: Vec<(String, String)>,
    /// A study's units as UCUM writes them.
    pub(crate) units: Vec<(String, Vec<String>)>,
    /// LOINC code of a study's input -> the column that the patient itself fills.
    pub(crate) inputs: Vec<(String, String)>,
    /// Columns `patient.NAME` from extensions by their URL.
    pub(crate) extensions: Vec<(String, String)>,
    pub(crate) values: Vec<ObservedValue>,
}

impl FhirRules {
    pub(crate) fn built_in() -> &'static FhirRules {
        &DEFAULT
    }
}

fn built_in() -> Result<FhirRules> {
    let document = document(BUILT_IN)?;
    let mut root = Section::new(BUILT_IN, document.get_ref(), "the FHIR rules".to_owned(), 1);
    let empty = FhirRules {
        case: CaseOf::Patient,
        at: None,
        without_condition: false,
        patient_identifier: None,
        observation_status: Vec::new(),
        verification_status: Vec::new(),
        condition_date: Vec::new(),
        birth_date_by_middle: false,
        systems: Vec::new(),
        units: Vec::new(),
        inputs: Vec::new(),
        extensions: Vec::new(),
        values: Vec::new(),
    };
    let item = root.get("fhir").ok_or_else(|| error(1, "[fhir] is missing"))?;
    rules(root.inner(item, "[fhir]".to_owned())?, empty)
}

/// Reads `[fhir]`; what it does not say is as `base` has it.
pub(super) fn rules(mut section: Section<'_>, base: FhirRules) -> Result<FhirRules> {
    let mut rules = base;
    let line = section.line;
    if let Some(item) = section.get("case") {
        let cases = [
            ("patient", CaseOf::Patient),
            ("condition", CaseOf::Condition),
            ("encounter", CaseOf::Encounter),
        ];
        rules.case = one_of(item, "case", &cases)?;
    }
    if let Some(item) = section.get("at") {
        let day = instant::parse(&string(item, "at")?);
        rules.at = Some(day.map_err(|_| error(item.line, "`at` is a day from 1900 to 2100: YYYY-MM-DD"))?);
    }
    if let Some(flag) = section.flag("without_condition")? {
        rules.without_condition = flag;
    }
    if (rules.at.is_some() && rules.case != CaseOf::Patient)
        || (rules.without_condition && rules.case != CaseOf::Condition)
    {
        return Err(error(
            line,
            "`at` is for case = \"patient\", `without_condition` for case = \"condition\"",
        ));
    }
    rules.patient_identifier = section.string("patient_identifier")?.or(rules.patient_identifier);
    if let Some(item) = section.get("observation_status") {
        rules.observation_status = texts(item, "observation_status")?;
    }
    if let Some(item) = section.get("verification_status") {
        rules.verification_status = texts(item, "verification_status")?;
    }
    if let Some(item) = section.get("condition_date") {
        let dates = [("recorded", ConditionDate::Recorded), ("onset", ConditionDate::Onset)];
        rules.condition_date = texts(item, "condition_date")?
            .iter()
            .map(|text| named(text, item.line, "condition_date", &dates))
            .collect::<Result<_>>()?;
    }
    if let Some(item) = section.get("partial_birth_date") {
        let ways = [("refuse", false), ("middle", true)];
        rules.birth_date_by_middle = one_of(item, "partial_birth_date", &ways)?;
    }
    for (key, list) in [
        ("systems", &mut rules.systems),
        ("inputs", &mut rules.inputs),
        ("extensions", &mut rules.extensions),
    ] {
        if let Some(item) = section.get(key) {
            for (from, to) in section.inner(item, format!("[fhir.{key}]"))?.entries() {
                list.retain(|(known, _)| known != from);
                list.push((from.to_owned(), string(to, key)?));
            }
        }
    }
    if let Some(item) = section.get("units") {
        for (unit, to) in section.inner(item, "[fhir.units]".to_owned())?.entries() {
            rules.units.retain(|(known, _)| known != unit);
            rules.units.push((unit.to_owned(), texts(to, "units")?));
        }
    }
    if let Some(item) = section.get("values") {
        let values = section.inner(item, "[fhir.values]".to_owned())?;
        for (name, item) in values.entries() {
            rules.values.push(observed(name, values.inner(item, format!("[fhir.values.{name}]"))?)?);
        }
    }
    section.finish()?;
    Ok(rules)
}

fn observed(name: &str, mut section: Section<'_>) -> Result<ObservedValue> {
    let line = section.line;
    let mut value = ObservedValue::plain(name);
    if let Some(item) = section.get("code") {
        value.codes = texts(item, "code")?.iter().map(|text| Token::parse(text)).collect();
    }
    if let Some(item) = section.get("unit") {
        value.unit = texts(item, "unit")?;
    }
    if let Some(item) = section.get("units") {
        let mut units = section.inner(item, format!("[fhir.values.{name}.units]"))?;
        for (unit, _) in units.entries() {
            let unit = unit.to_owned();
            value.units.push((unit.clone(), factor(&mut units, &unit)?));
        }
    }
    if let Some(item) = section.get("recode") {
        for (code, to) in section.inner(item, format!("[fhir.values.{name}.recode]"))?.entries() {
            value.recode.push((Token::parse(code), string(to, "recode")?));
        }
    }
    if let Some(item) = section.get("choose") {
        let ways = [
            ("last", Choose::Last),
            ("first", Choose::First),
            ("mean", Choose::Mean),
            ("least", Choose::Least),
            ("greatest", Choose::Greatest),
        ];
        value.choose = one_of(item, "choose", &ways)?;
    }
    value.text_is_number = section.flag("text_is_number")?.unwrap_or(false);
    value.round = section.flag("round")?.unwrap_or(false);
    value.lasting = section.flag("lasting")?.unwrap_or(false);
    value.days_before = days(&mut section, "days_before")?;
    let after = days(&mut section, "days_after")?;
    if value.lasting && (value.days_before.is_some() || after.is_some()) {
        return Err(error(line, format!("`fhir.values.{name}`: what is `lasting` has no window of days")));
    }
    value.days_after = after.unwrap_or(0);
    section.finish()?;
    Ok(value)
}

impl ObservedValue {
    pub(crate) fn plain(name: &str) -> ObservedValue {
        ObservedValue {
            name: name.to_owned(),
            codes: Vec::new(),
            unit: Vec::new(),
            units: Vec::new(),
            recode: Vec::new(),
            text_is_number: false,
            round: false,
            choose: Choose::Last,
            days_before: None,
            days_after: 0,
            lasting: false,
        }
    }
}

fn factor(units: &mut Section<'_>, unit: &str) -> Result<f64> {
    let found = units.entries().into_iter().find(|(name, _)| *name == unit);
    let line = found.map_or(units.line, |(_, item)| item.line);
    let number = found.and_then(|(_, item)| match super::toml_walk::scalar(item, unit) {
        Ok(super::value::Scalar::Number(number)) => Some(number),
        _ => None,
    });
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| error(line, format!("`units.{unit}` is the factor to `unit`: a number above 0")))
}

fn days(section: &mut Section<'_>, key: &'static str) -> Result<Option<u32>> {
    let line = section.line;
    let whole = |number: f64| (0.0..=100_000.0).contains(&number) && number.fract() == 0.0;
    match section.number(key)? {
        None => Ok(None),
        Some(number) if whole(number) => Ok(Some(number as u32)),
        Some(_) => Err(error(line, format!("`{key}` is a whole number of days, 0 to 100000"))),
    }
}

fn one_of<T: Copy>(item: Item<'_>, key: &str, known: &[(&str, T)]) -> Result<T> {
    named(&string(item, key)?, item.line, key, known)
}

fn named<T: Copy>(text: &str, line: usize, key: &str, known: &[(&str, T)]) -> Result<T> {
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        error(line, format!("`{key}` is one of `{}`", names.join("`, `")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_parse_and_a_token_matches_as_in_a_search() {
        assert_eq!(FhirRules::built_in().case, CaseOf::Patient);
        let any = Token::parse("8480-6");
        assert!(any.matches(Some("http://loinc.org"), "8480-6") && any.matches(None, "8480-6"));
        let loinc = Token::parse("http://loinc.org|8480-6");
        assert!(loinc.matches(Some("http://loinc.org"), "8480-6"));
        assert!(!loinc.matches(Some("http://snomed.info/sct"), "8480-6") && !loinc.matches(None, "8480-6"));
        assert!(Token::parse("|x").matches(None, "x") && !Token::parse("|x").matches(Some("s"), "x"));
    }
}
