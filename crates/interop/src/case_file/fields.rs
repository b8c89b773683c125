//! The fields of a case besides the study's inputs: cell -> value, or what is wrong with it.

use std::borrow::Cow;

use clinical::{Issue, IssueCode, Outcome, Raw};

use super::{
    layout::{Field, Layout},
    record::Cells,
};
use crate::{
    cell::Cell,
    instant::{self, NotAnInstant},
};

/// Identifiers have at most this many characters.
const ID_LIMIT: usize = 128;

impl Layout<'_> {
    /// The confirmed outcome, if there is one: by the mapping's rules or the row's own fields.
    pub(crate) fn outcome(&self, cells: &Cells<'_>) -> Result<Option<Outcome>, Vec<Issue>> {
        match self.mapping.filter(|mapping| !mapping.outcomes.is_empty()) {
            Some(_) => match self.outcome_rule(cells) {
                Some(rule) => {
                    let from = rule.disease_code_from.map(|column| self.mapped_cell(column, cells).raw());
                    self.confirmed(
                        text_or_missing(&rule.severity),
                        text_or_missing(&rule.rarity),
                        from.unwrap_or_else(|| text_or_missing(&rule.disease_code)),
                    )
                }
                None => Ok(None),
            },
            None => {
                let severity = self.field(Field::Severity, cells).raw();
                let rarity = self.field(Field::Rarity, cells).raw();
                let disease_code = self.field(Field::DiseaseCode, cells);
                let code = disease_code.text().filter(|code| !code.is_empty());
                match (self.prefix(Field::DiseaseCode), code) {
                    (Some(prefix), Some(code)) => {
                        self.confirmed(severity, rarity, Raw::Text(&format!("{prefix}{code}")))
                    }
                    _ => self.confirmed(severity, rarity, disease_code.raw()),
                }
            }
        }
    }

    /// The study's check of an outcome and the form of its disease code.
    fn confirmed(
        &self,
        severity: Raw<'_>,
        rarity: Raw<'_>,
        disease_code: Raw<'_>,
    ) -> Result<Option<Outcome>, Vec<Issue>> {
        let outcome = self.study.check_outcome(severity, rarity, disease_code);
        let well_formed = match disease_code {
            Raw::Text(code) | Raw::Written(code) => code.trim().is_empty() || is_disease_code(code.trim()),
            _ => true,
        };
        if well_formed {
            return outcome;
        }
        let mut issues = outcome.err().unwrap_or_default();
        issues.push(
            Issue::new("disease_code", IssueCode::WrongType)
                .expecting("SISTEMA:CÓDIGO, p. ej. ICD-10:I10", "SYSTEM:CODE, e.g. ICD-10:I10"),
        );
        Err(issues)
    }

    /// An identifier or name; `None` where it is empty.
    pub(crate) fn text<'c>(
        &'c self,
        field: Field,
        cells: &'c Cells<'c>,
    ) -> Result<Option<Cow<'c, str>>, Vec<Issue>> {
        let text = match self.field(field, cells) {
            Cell::Missing => return Ok(None),
            Cell::Written(text) | Cell::Text(text) => Cow::Borrowed(text.trim()),
            Cell::Integer(number) => Cow::Owned(number.to_string()),
            Cell::Real(_) | Cell::Instant(_) | Cell::Other => {
                return Err(vec![
                    Issue::new(field.name(), IssueCode::WrongType).expecting("un texto", "text"),
                ]);
            }
        };
        if text.is_empty() {
            return Ok(None);
        }
        let text = match self.prefix(field) {
            Some(prefix) => Cow::Owned(format!("{prefix}{text}")),
            None => text,
        };
        if text.len() > ID_LIMIT && text.chars().count() > ID_LIMIT {
            return Err(vec![
                Issue::new(field.name(), IssueCode::OutOfRange)
                    .expecting("como mucho 128 caracteres", "at most 128 characters"),
            ]);
        }
        if text.chars().any(char::is_control) {
            return Err(vec![
                Issue::new(field.name(), IssueCode::WrongType)
                    .expecting("un texto sin caracteres de control", "text without control characters"),
            ]);
        }
        Ok(Some(text))
    }

    /// A time in UTC microseconds; `None` where it is empty.
    pub(crate) fn instant(&self, field: Field, cells: &Cells<'_>) -> Result<Option<i64>, Vec<Issue>> {
        let cell = self.field(field, cells);
        let found = match cell {
            _ if cell.is_empty() => return Ok(None),
            Cell::Instant(micros) => instant::in_range(micros),
            _ => cell.text().map_or(Err(NotAnInstant::Malformed), instant::parse),
        };
        found.map(Some).map_err(|problem| {
            vec![match problem {
                NotAnInstant::Malformed => Issue::new(field.name(), IssueCode::WrongType)
                    .expecting("una fecha AAAA-MM-DD o RFC 3339", "a date, YYYY-MM-DD or RFC 3339"),
                NotAnInstant::OutOfRange => Issue::new(field.name(), IssueCode::OutOfRange)
                    .expecting("una fecha de 1900 a 2100", "a date from 1900 to 2100"),
            }]
        })
    }
}

fn text_or_missing(text: &Option<String>) -> Raw<'_> {
    text.as_deref().map_or(Raw::Missing, Raw::Text)
}

/// `SYSTEM:CODE`: a code system in capitals, a colon, a code without spaces; 64 characters at most.
fn is_disease_code(code: &str) -> bool {
    let system =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_');
    code.len() <= 64
        && code.split_once(':').is_some_and(|(name, code)| {
            name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.bytes().all(system)
                && !code.is_empty()
                && code.bytes().all(|byte| byte.is_ascii_graphic())
        })
}

#[cfg(test)]
mod tests {
    use super::is_disease_code;

    #[test]
    fn a_disease_code_names_its_system() {
        for code in ["ICD-10:I10", "ORPHA:586", "OMIM:219700", "SNOMED-CT:38341003", "ICD-10:E83.3"] {
            assert!(is_disease_code(code), "{code}");
        }
        for code in [
            "I10",
            "ICD-10:",
            ":I10",
            "icd-10:I10",
            "ICD 10:I10",
            "ICD-10:I 10",
            "ICD-10:I10\u{7f}",
            "10:I10",
        ] {
            assert!(!is_disease_code(code), "{code}");
        }
    }
}
