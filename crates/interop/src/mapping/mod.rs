//! Mapping files: how a foreign file's columns become a case's fields.
//!
//! Everything that a mapping does to a value is written in it; nothing is guessed, nothing is
//! clipped. `docs/mapping.md` shows the form with examples.
//!
//! ```toml
//! [file]
//! delimiter = ";"                    # CSV only; "," unless given
//!
//! [columns]                          # field of the case = column of the file
//! case_id = "record_no"
//!
//! [columns.age_years]
//! from = "age_days"                  # one column, or a list: the mean of those not missing
//! missing = ["", 7777]               # these values mean: not known
//! convert = "days_to_completed_years"
//!
//! [[skip]]                           # rows that are not meant: counted, not errors
//! reason = "under 18"
//! when = { age_days = { below = 6575 } }
//!
//! [[outcome]]                        # first rule that holds decides
//! when_any = { diabetes = "Yes", stroke = "Yes" }
//! severity = "chronic"
//! rarity = "common"
//!
//! [[outcome]]                        # the last one has no condition
//! unconfirmed = true
//! ```
//!
//! The keys of a field work in this order: `missing`, `recode`, `zero_below`, `missing_below` (per
//! column), then the mean, then `convert` or `factor`, then `round`, then `prefix`.

mod condition;
mod fhir;
mod parse;
mod toml_walk;
mod value;

use std::collections::HashMap;

pub(crate) use condition::Condition;
pub(crate) use fhir::{CaseOf, Choose, ConditionDate, FhirRules, ObservedValue, Token};
pub(crate) use value::{From, ValueRule};

use crate::MappingError;

/// A mapping file, read and checked in itself; whether the columns exist is checked with the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    pub(crate) delimiter: u8,
    /// Every column that is referred to, once; rules hold positions in this list.
    pub(crate) columns: Vec<ColumnRef>,
    /// Rules by the case's field.
    pub(crate) fields: HashMap<String, ValueRule>,
    pub(crate) skips: Vec<Skip>,
    /// Empty: the file's own (mapped) severity, rarity and disease code count.
    pub(crate) outcomes: Vec<OutcomeRule>,
    /// How FHIR resources become rows; `None`: by the study's codes and the built-in rules.
    pub(crate) fhir: Option<FhirRules>,
}

/// A column of the foreign file, and the first place that refers to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnRef {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) line: usize,
}

/// Rows that the mapping leaves out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Skip {
    pub(crate) reason: std::sync::Arc<str>,
    pub(crate) when: Condition,
}

/// One rule of the outcome; the fields of an unconfirmed one are all empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutcomeRule {
    /// `None`: holds for every row.
    pub(crate) when: Option<Condition>,
    pub(crate) severity: Option<String>,
    pub(crate) rarity: Option<String>,
    pub(crate) disease_code: Option<String>,
    /// The column that holds the disease code, instead of one code for all.
    pub(crate) disease_code_from: Option<usize>,
}

impl Mapping {
    /// Reads a mapping file. Errors name the key and its line; unknown keys are errors.
    pub fn parse(text: &str) -> Result<Mapping, MappingError> {
        parse::mapping(text)
    }

    /// Whether it fits a study: it gives values to no field that the study lacks and, where no file's columns are
    /// needed to say so (FHIR), gives all that the study requires.
    ///
    /// # Errors
    /// It does not; everything that is wrong is named.
    pub fn check(&self, study: &clinical::Study) -> Result<(), crate::FileError> {
        crate::case_file::check_mapping(study, self)
    }

    /// Whether it reads FHIR: all files of such a source are one export.
    pub fn is_fhir(&self) -> bool {
        self.fhir.is_some()
    }

    /// The reasons that rows can be skipped for, in the order they are tried.
    pub fn skip_reasons(&self) -> impl Iterator<Item = &str> {
        self.skips.iter().map(|skip| skip.reason.as_ref())
    }
}
