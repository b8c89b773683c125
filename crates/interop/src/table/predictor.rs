//! The predictor table out: one row per possible patient.

use std::io::Write;

use clinical::{Cell, Kind, Rarity, Severity, Study};

use super::{ColumnType, TableFormat, TableWriter, Value, predictions::probability_columns};
use crate::TableError;

/// Writes a table with a row per possible patient: its features, then columns of the caller's.
#[derive(Debug)]
pub struct PossiblePatientWriter<'s> {
    study: &'s Study,
    /// Per feature, the code of each level; empty for numbers.
    codes: Vec<Vec<String>>,
    table: TableWriter,
}

impl<'s> PossiblePatientWriter<'s> {
    /// Columns: one per feature (named by its input for numbers and codes, by the feature for categories), then
    /// `further`.
    ///
    /// # Errors
    /// The output fails.
    pub fn create(
        format: TableFormat,
        out: Box<dyn Write + Send>,
        study: &'s Study,
        further: Vec<(String, ColumnType)>,
    ) -> Result<Self, TableError> {
        let mut columns = Vec::new();
        let mut codes = Vec::new();
        for feature in study.features() {
            let kind = match feature.kind {
                Kind::Number { .. } => ColumnType::Integer,
                Kind::Code(_) | Kind::Category(_) => ColumnType::Text,
            };
            columns.push((study.table_name(feature).to_owned(), kind));
            codes.push(feature.choices().iter().map(|choice| choice.code.clone()).collect());
        }
        columns.extend(further);
        Ok(PossiblePatientWriter { study, codes, table: TableWriter::create(format, out, columns)? })
    }

    /// Adds a possible patient with the values of the further columns.
    ///
    /// # Errors
    /// As [`TableWriter::push`].
    pub fn push(&mut self, cell: Cell, further: &[Value<'_>]) -> Result<(), TableError> {
        let levels = self.study.domain().levels(cell);
        let mut row = Vec::with_capacity(self.table.columns().len());
        for ((feature, codes), level) in self.study.features().iter().zip(&self.codes).zip(levels) {
            row.push(match feature.level_number(level) {
                Some(number) => Value::Integer(number),
                None => codes.get(level).map(String::as_str).into(),
            });
        }
        row.extend_from_slice(further);
        self.table.push(&row)
    }

    /// # Errors
    /// As [`TableWriter::finish`].
    pub fn finish(self) -> Result<(), TableError> {
        self.table.finish()
    }
}

/// The columns of one model's answer: `p_` and each severity's code, `p_orphan`, `severity`, `rarity`.
pub fn answer_columns(study: &Study) -> Vec<(String, ColumnType)> {
    let mut columns = probability_columns(study);
    columns.extend(["severity", "rarity"].map(|name| (name.to_owned(), ColumnType::Text)));
    columns
}

/// One model's answer as the values of [`answer_columns`]. `probabilities` has one value per severity, in the study's
/// order.
pub fn answer_values<'s>(
    study: &'s Study,
    probabilities: &[f64],
    probability_orphan: f64,
    severity: Severity,
    rarity: Option<Rarity>,
) -> Vec<Value<'s>> {
    let mut values: Vec<Value<'s>> =
        probabilities.iter().map(|&probability| Value::Real(probability)).collect();
    values.push(Value::Real(probability_orphan));
    values.push(Value::Text(&study.severity(severity).code));
    values.push(rarity.map(Rarity::code).into());
    values
}

/// Writes a predictor table.
#[derive(Debug)]
pub struct PredictorTableWriter<'s> {
    study: &'s Study,
    table: PossiblePatientWriter<'s>,
}

impl<'s> PredictorTableWriter<'s> {
    /// Columns: the features, then [`answer_columns`]. For the default study: `age_years, gender, blood_type,
    /// blood_pressure, exercise_days_per_month, p_healthy, p_mild, p_acute, p_chronic, p_orphan, severity, rarity`.
    ///
    /// # Errors
    /// The output fails.
    pub fn create(
        format: TableFormat,
        out: Box<dyn Write + Send>,
        study: &'s Study,
    ) -> Result<Self, TableError> {
        let table = PossiblePatientWriter::create(format, out, study, answer_columns(study))?;
        Ok(PredictorTableWriter { study, table })
    }

    /// Adds a possible patient. `probabilities` has one value per severity, in the study's order.
    ///
    /// # Errors
    /// As [`TableWriter::push`].
    pub fn push(
        &mut self,
        cell: Cell,
        probabilities: &[f64],
        probability_orphan: f64,
        severity: Severity,
        rarity: Option<Rarity>,
    ) -> Result<(), TableError> {
        self.table.push(cell, &answer_values(self.study, probabilities, probability_orphan, severity, rarity))
    }

    /// # Errors
    /// As [`TableWriter::finish`].
    pub fn finish(self) -> Result<(), TableError> {
        self.table.finish()
    }
}
