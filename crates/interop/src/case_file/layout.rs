//! Which column of a file feeds which field of a case.

use std::collections::{HashMap, HashSet};

use clinical::Study;

use super::record::{Cells, Records};
use crate::{
    FileError,
    cell::Cell,
    mapping::{ColumnRef, Mapping, OutcomeRule, ValueRule},
};

/// The fields of a case besides the study's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    CaseId,
    PatientId,
    Source,
    RecordedAt,
    Severity,
    Rarity,
    DiseaseCode,
    ConfirmedAt,
}

impl Field {
    pub(crate) const ALL: [Field; 8] = [
        Field::CaseId,
        Field::PatientId,
        Field::Source,
        Field::RecordedAt,
        Field::Severity,
        Field::Rarity,
        Field::DiseaseCode,
        Field::ConfirmedAt,
    ];
    /// Derived where a file does not have them.
    const DERIVED: [Field; 4] = [Field::CaseId, Field::PatientId, Field::RecordedAt, Field::Source];
    const OUTCOME: [Field; 3] = [Field::Severity, Field::Rarity, Field::DiseaseCode];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Field::CaseId => "case_id",
            Field::PatientId => "patient_id",
            Field::Source => "source",
            Field::RecordedAt => "recorded_at",
            Field::Severity => "severity",
            Field::Rarity => "rarity",
            Field::DiseaseCode => "disease_code",
            Field::ConfirmedAt => "confirmed_at",
        }
    }
}

/// Where a field's value comes from.
#[derive(Debug, Clone, Copy)]
enum Origin<'a> {
    Absent,
    /// A column of the file, as it stands.
    Column(usize),
    Rule(&'a ValueRule),
}

/// A file's columns bound to a study's fields.
pub(crate) struct Layout<'a> {
    pub(crate) study: &'a Study,
    pub(crate) mapping: Option<&'a Mapping>,
    /// The file's column of each column that the mapping refers to.
    mapped: Vec<usize>,
    inputs: Vec<Origin<'a>>,
    note: Origin<'a>,
    fields: [Origin<'a>; 8],
}

/// Every column that could be read, for formats without a header.
pub(crate) fn wanted(study: &Study, mapping: Option<&Mapping>) -> Vec<String> {
    let referred =
        mapping.iter().flat_map(|mapping| mapping.columns.iter().map(|column| column.name.clone()));
    let own = names(study).filter(|name| !mapping.is_some_and(|mapping| replaced(mapping, name)));
    let mut seen = HashSet::new();
    referred.chain(own.map(str::to_owned)).filter(|name| seen.insert(name.clone())).collect()
}

/// Whether the mapping, not the column of the same name, gives this field.
pub(crate) fn replaced(mapping: &Mapping, name: &str) -> bool {
    let by_rules = !mapping.outcomes.is_empty() && Field::OUTCOME.iter().any(|field| field.name() == name);
    by_rules || mapping.fields.contains_key(name)
}

/// The names of all fields of a case.
fn names(study: &Study) -> impl Iterator<Item = &str> {
    let inputs = study.inputs().iter().map(|input| input.name.as_str());
    inputs.chain(study.note().map(|note| note.name.as_str())).chain(Field::ALL.map(Field::name))
}

impl<'a> Layout<'a> {
    /// Binds the columns of a header. Everything that is missing is reported at once, and before a repeated
    /// column: in a file without a header the first row's values would be taken for names, and an error
    /// must not print them.
    pub(crate) fn bind(
        header: &[String],
        study: &'a Study,
        mapping: Option<&'a Mapping>,
    ) -> Result<Layout<'a>, FileError> {
        let mut places = HashMap::new();
        for (place, name) in header.iter().enumerate() {
            places.entry(name.as_str()).or_insert(place);
        }
        let (mut mapped, mut problems) = (Vec::new(), Vec::new());
        if let Some(mapping) = mapping {
            known_fields(mapping, study)?;
            for column in &mapping.columns {
                match places.get(column.name.as_str()) {
                    Some(place) => mapped.push(*place),
                    None => problems.push(lacking(column)),
                }
            }
        }
        let origin = |name: &str| match mapping {
            Some(mapping) if replaced(mapping, name) => {
                mapping.fields.get(name).map_or(Origin::Absent, Origin::Rule)
            }
            _ => places.get(name).map_or(Origin::Absent, |&place| Origin::Column(place)),
        };
        let inputs: Vec<_> = study.inputs().iter().map(|input| origin(&input.name)).collect();
        let fields = Field::ALL.map(|field| origin(field.name()));
        // A note is never required, neither of a file nor of a row.
        let note = study.note().map_or(Origin::Absent, |note| origin(&note.name));
        let missing =
            study.inputs().iter().zip(&inputs).filter(|(_, origin)| matches!(origin, Origin::Absent));
        let missing: Vec<String> = missing.map(|(input, _)| input.name.clone()).collect();
        if !missing.is_empty() {
            problems.push(FileError::MissingColumns(missing));
        }
        if let Some(problem) = FileError::all(problems) {
            return Err(problem);
        }
        let repeated = header
            .iter()
            .enumerate()
            .find(|(place, name)| !name.is_empty() && places[name.as_str()] != *place);
        if let Some((_, name)) = repeated {
            return Err(FileError::DuplicateColumn(name.clone()));
        }
        Ok(Layout { study, mapping, mapped, inputs, note, fields })
    }

    /// Holds a file without a header to the same demands once its rows have been seen.
    pub(crate) fn check_seen(&self, records: &dyn Records) -> Result<(), FileError> {
        let referred = self.mapping.iter().flat_map(|mapping| &mapping.columns).zip(&self.mapped);
        let mut problems: Vec<FileError> =
            referred.filter(|(_, place)| !records.has(**place)).map(|(column, _)| lacking(column)).collect();
        let unseen = self
            .study
            .inputs()
            .iter()
            .zip(&self.inputs)
            .filter(|(_, origin)| matches!(origin, Origin::Column(place) if !records.has(*place)));
        let missing: Vec<String> = unseen.map(|(input, _)| input.name.clone()).collect();
        if !missing.is_empty() {
            problems.push(FileError::MissingColumns(missing));
        }
        FileError::all(problems).map_or(Ok(()), Err)
    }

    /// The file's columns that are read.
    pub(crate) fn read(&self) -> Vec<usize> {
        let own =
            self.inputs.iter().chain([&self.note]).chain(&self.fields).filter_map(|origin| match origin {
                Origin::Column(place) => Some(*place),
                Origin::Absent | Origin::Rule(_) => None,
            });
        let mut read: Vec<usize> = own.chain(self.mapped.iter().copied()).collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// The fields that the file does not have and that are derived.
    pub(crate) fn derived(&self) -> Vec<&'static str> {
        let absent = |field: &Field| matches!(self.fields[*field as usize], Origin::Absent);
        Field::DERIVED.into_iter().filter(absent).map(Field::name).collect()
    }

    #[inline]
    pub(crate) fn input<'c>(&'c self, input: usize, cells: &'c Cells<'c>) -> Cell<'c> {
        self.inputs.get(input).map_or(Cell::Missing, |origin| self.value(*origin, cells))
    }

    pub(crate) fn note<'c>(&'c self, cells: &'c Cells<'c>) -> Cell<'c> {
        self.value(self.note, cells)
    }

    #[inline]
    pub(crate) fn field<'c>(&'c self, field: Field, cells: &'c Cells<'c>) -> Cell<'c> {
        self.value(self.fields[field as usize], cells)
    }

    /// What the mapping puts in front of a text field.
    pub(crate) fn prefix(&self, field: Field) -> Option<&str> {
        match self.fields[field as usize] {
            Origin::Rule(rule) => rule.prefix.as_deref(),
            _ => None,
        }
    }

    #[inline]
    fn value<'c>(&'c self, origin: Origin<'c>, cells: &'c Cells<'c>) -> Cell<'c> {
        match origin {
            Origin::Absent => Cell::Missing,
            Origin::Column(column) => cells.get(column),
            Origin::Rule(rule) => rule.value(|column| self.mapped_cell(column, cells)),
        }
    }

    pub(crate) fn mapped_cell<'c>(&'c self, column: usize, cells: &'c Cells<'c>) -> Cell<'c> {
        self.mapped.get(column).map_or(Cell::Missing, |&place| cells.get(place))
    }

    /// Why the mapping leaves the row out, if it does.
    pub(crate) fn skipped(&self, cells: &Cells<'_>) -> Option<std::sync::Arc<str>> {
        let skips = &self.mapping?.skips;
        let skip = skips.iter().find(|skip| skip.when.holds(|column| self.mapped_cell(column, cells)))?;
        Some(skip.reason.clone())
    }

    /// The rule that decides the row's outcome, where the mapping has rules.
    pub(crate) fn outcome_rule(&self, cells: &Cells<'_>) -> Option<&OutcomeRule> {
        self.mapping?.outcomes.iter().find(|rule| {
            rule.when.as_ref().is_none_or(|when| when.holds(|column| self.mapped_cell(column, cells)))
        })
    }
}

fn lacking(column: &ColumnRef) -> FileError {
    FileError::MappedColumnMissing { line: column.line, key: column.key.clone(), column: column.name.clone() }
}

pub(crate) fn known_fields(mapping: &Mapping, study: &Study) -> Result<(), FileError> {
    let known: HashSet<&str> = names(study).collect();
    let mut unknown: Vec<_> =
        mapping.fields.iter().filter(|(name, _)| !known.contains(name.as_str())).collect();
    unknown.sort_by_key(|(_, rule)| rule.line);
    match unknown.first() {
        None => Ok(()),
        Some((name, rule)) => Err(FileError::MappedFieldUnknown {
            line: rule.line,
            key: format!("columns.{name}"),
            field: (*name).clone(),
            study: study.name().to_owned(),
        }),
    }
}
