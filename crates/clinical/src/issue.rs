//! What is wrong with a value, as data. An issue names the field, the kind of problem and the remedy,
//! never the value itself: issues end in logs, reports and error answers.

use serde::Serialize;

use crate::{Language, Study};

/// The kind of problem, with the codes of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueCode {
    Missing,
    WrongType,
    UnknownCode,
    OutOfRange,
    Inconsistent,
}

impl IssueCode {
    pub fn as_str(self) -> &'static str {
        match self {
            IssueCode::Missing => "missing",
            IssueCode::WrongType => "wrong_type",
            IssueCode::UnknownCode => "unknown_code",
            IssueCode::OutOfRange => "out_of_range",
            IssueCode::Inconsistent => "inconsistent",
        }
    }
}

/// One problem of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The column or JSON field as the contract names it, e.g. `systolic_mmhg`.
    pub field: String,
    pub code: IssueCode,
    /// Accepted range, for numbers.
    pub range: Option<(i32, i32)>,
    /// What would have been accepted (`A, B, AB, O`; `a whole number`; `greater than diastolic_mmhg`).
    pub expected: Option<crate::Text>,
    /// Of an inconsistent pair: it would be accepted the other way round.
    pub swapped: bool,
}

impl Issue {
    pub fn new(field: impl Into<String>, code: IssueCode) -> Self {
        Issue { field: field.into(), code, range: None, expected: None, swapped: false }
    }

    pub fn within(mut self, min: i32, max: i32) -> Self {
        self.range = Some((min, max));
        self
    }

    pub fn expecting(mut self, es: impl Into<String>, en: impl Into<String>) -> Self {
        self.expected = Some(crate::Text::new(es, en));
        self
    }

    /// `systolic_mmhg:out_of_range`, the key under which issues are counted.
    pub fn reason(&self) -> String {
        format!("{}:{}", self.field, self.code.as_str())
    }

    /// A sentence for a person: the field by its label, the problem, the remedy.
    pub fn message(&self, study: &Study, language: Language) -> String {
        let name = study.field_label(&self.field, language);
        let expected = self.expected.as_ref().map(|text| text.get(language)).unwrap_or_default();
        let unit = study.input(&self.field).map(|input| input.unit.get(language)).unwrap_or_default();
        let es = language == Language::Es;
        let sentence = match (self.code, self.range, es) {
            (IssueCode::Missing, _, true) => format!("{name}: falta. Escriba {expected}"),
            (IssueCode::Missing, _, false) => format!("{name} is missing. Enter {expected}"),
            (IssueCode::WrongType, _, true) => format!("{name}: debe ser {expected}"),
            (IssueCode::WrongType, _, false) => format!("{name} must be {expected}"),
            (IssueCode::UnknownCode, _, true) => format!("{name}: valor desconocido. Se acepta {expected}"),
            (IssueCode::UnknownCode, _, false) => {
                format!("{name} has an unknown value. Accepted: {expected}")
            }
            (IssueCode::OutOfRange, Some((min, max)), true) => {
                format!("{name}: debe estar entre {min} y {max} {unit}")
            }
            (IssueCode::OutOfRange, Some((min, max)), false) => {
                format!("{name} must be between {min} and {max} {unit}")
            }
            (IssueCode::OutOfRange, None, true) => format!("{name}: fuera de lo aceptado ({expected})"),
            (IssueCode::OutOfRange, None, false) => {
                format!("{name} is outside what is accepted ({expected})")
            }
            (IssueCode::Inconsistent, _, true) => format!("{name}: debe ser {expected}"),
            (IssueCode::Inconsistent, _, false) => format!("{name} must be {expected}"),
        };
        sentence.trim_end().to_owned()
    }
}
