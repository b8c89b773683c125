//! Answers of a batch out: one row per row that came in, answered or refused.

use std::io::Write;

use clinical::{Case, Issue, Kind, Prediction, Study};

use super::{ColumnType, TableFormat, TableWriter, Value};
use crate::TableError;

/// Writes the answers of a batch.
#[derive(Debug)]
pub struct PredictionWriter<'s> {
    study: &'s Study,
    explain: bool,
    table: TableWriter,
}

impl<'s> PredictionWriter<'s> {
    /// Columns: `case_id, patient_id, model_version, severity, rarity`, `p_` and each severity's code,
    /// `p_orphan`, each category (e.g. `blood_pressure`), with `explain` also `contribution_` and each
    /// feature, and `error`.
    ///
    /// # Errors
    /// The output fails.
    pub fn create(
        format: TableFormat,
        out: Box<dyn Write + Send>,
        study: &'s Study,
        explain: bool,
    ) -> Result<Self, TableError> {
        let mut columns: Vec<(String, ColumnType)> =
            ["case_id", "patient_id", "model_version", "severity", "rarity"]
                .map(|name| (name.to_owned(), ColumnType::Text))
                .into();
        columns.extend(probability_columns(study));
        columns.extend(
            study
                .features()
                .iter()
                .filter(is_category)
                .map(|feature| (feature.name.clone(), ColumnType::Text)),
        );
        if explain {
            let features = study.features().iter().map(|feature| &feature.name);
            let names = features.chain(study.note().map(|note| &note.name));
            let names = names.map(|name| format!("contribution_{name}"));
            columns.extend(names.map(|name| (name, ColumnType::Real)));
        }
        columns.push(("error".to_owned(), ColumnType::Text));
        Ok(PredictionWriter { study, explain, table: TableWriter::create(format, out, columns)? })
    }

    /// Adds an answer.
    ///
    /// # Errors
    /// As [`TableWriter::push`].
    pub fn push(
        &mut self,
        case: &Case,
        model_version: &str,
        prediction: &Prediction,
    ) -> Result<(), TableError> {
        let study = self.study;
        let values = case.patient.values();
        let categories: Vec<String> = study
            .features()
            .iter()
            .filter(is_category)
            .map(|feature| {
                feature.level_code(feature.level(values.get(feature.inputs.clone()).unwrap_or_default()))
            })
            .collect();
        let mut row = vec![
            Value::Text(&case.case_id),
            Value::Text(&case.patient_id),
            Value::Text(model_version),
            Value::Text(&study.severity(prediction.severity).code),
            prediction.rarity.map(clinical::Rarity::code).into(),
        ];
        row.extend(prediction.probabilities.iter().map(|&probability| Value::Real(probability)));
        row.push(Value::Real(prediction.probability_orphan));
        row.extend(categories.iter().map(|category| Value::Text(category)));
        if self.explain {
            let contributions = &prediction.explanation.contributions;
            // The note comes after the features; it has a contribution where the case has one.
            let explained = study.features().len() + usize::from(study.note().is_some());
            row.extend((0..explained).map(|feature| {
                let found = contributions.iter().find(|contribution| contribution.feature == feature);
                found.map_or(Value::Missing, |contribution| Value::Real(contribution.value))
            }));
        }
        row.push(Value::Missing);
        self.table.push(&row)
    }

    /// Adds a row that could not be answered: its id where it has one, and under `error` its line and
    /// what is wrong with it (`line 7: systolic_mmhg:out_of_range; gender:unknown_code`).
    ///
    /// # Errors
    /// As [`TableWriter::push`].
    pub fn refuse(&mut self, line: u64, case_id: Option<&str>, issues: &[Issue]) -> Result<(), TableError> {
        let reasons: Vec<String> = issues.iter().map(Issue::reason).collect();
        let error = format!("line {line}: {}", reasons.join("; "));
        let mut row = vec![Value::Missing; self.table.columns().len()];
        if let [first, .., last] = row.as_mut_slice() {
            *first = case_id.into();
            *last = Value::Text(&error);
        }
        self.table.push(&row)
    }

    /// # Errors
    /// As [`TableWriter::finish`].
    pub fn finish(self) -> Result<(), TableError> {
        self.table.finish()
    }
}

pub(super) fn probability_columns(study: &Study) -> Vec<(String, ColumnType)> {
    let severities = study.severities().iter().map(|class| format!("p_{}", class.code));
    severities.chain(["p_orphan".to_owned()]).map(|name| (name, ColumnType::Real)).collect()
}

fn is_category(feature: &&clinical::Feature) -> bool {
    matches!(feature.kind, Kind::Category(_))
}
