//! The predictor table out: one row per possible patient.

use std::io::Write;

use clinical::{Cell, Kind, Rarity, Severity, Study};

use super::{ColumnType, TableFormat, TableWriter, Value, predictions::probability_columns};
use crate::TableError;

/// Writes a predictor table.
#[derive(Debug)]
pub struct PredictorTableWriter<'s> {
    study: &'s Study,
    /// Per feature, the code of each level; empty for numbers.
    codes: Vec<Vec<String>>,
    table: TableWriter,
}

impl<'s> PredictorTableWriter<'s> {
    /// Columns: one per feature (named by its input for numbers and codes, by the feature for
    /// categories), `p_` and each severity's code, `p_orphan`, `severity`, `rarity`. For the default
    /// study: `age_years, gender, blood_type, blood_pressure, exercise_days_per_month, p_healthy, p_mild,
    /// p_acute, p_chronic, p_orphan, severity, rarity`.
    ///
    /// # Errors
    /// The output fails.
    pub fn create(
        format: TableFormat,
        out: Box<dyn Write + Send>,
        study: &'s Study,
    ) -> Result<Self, TableError> {
        let mut columns = Vec::new();
        let mut codes = Vec::new();
        for feature in study.features() {
            let input = study.inputs_of(feature).first().map_or(&feature.name, |input| &input.name);
            columns.push(match feature.kind {
                Kind::Number { .. } => (input.clone(), ColumnType::Integer),
                Kind::Code(_) => (input.clone(), ColumnType::Text),
                Kind::Category(_) => (feature.name.clone(), ColumnType::Text),
            });
            codes.push(feature.choices().iter().map(|choice| choice.code.clone()).collect());
        }
        columns.extend(probability_columns(study));
        columns.extend(["severity", "rarity"].map(|name| (name.to_owned(), ColumnType::Text)));
        Ok(PredictorTableWriter { study, codes, table: TableWriter::create(format, out, columns)? })
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
        let levels = self.study.domain().levels(cell);
        let mut row = Vec::with_capacity(self.table.columns().len());
        for ((feature, codes), level) in self.study.features().iter().zip(&self.codes).zip(levels) {
            row.push(match &feature.kind {
                Kind::Number { min, .. } => Value::Integer(i64::from(*min) + level as i64),
                Kind::Code(_) | Kind::Category(_) => codes.get(level).map(String::as_str).into(),
            });
        }
        row.extend(probabilities.iter().map(|&probability| Value::Real(probability)));
        row.push(Value::Real(probability_orphan));
        row.push(Value::Text(&self.study.severity(severity).code));
        row.push(rarity.map(Rarity::code).into());
        self.table.push(&row)
    }

    /// # Errors
    /// As [`TableWriter::finish`].
    pub fn finish(self) -> Result<(), TableError> {
        self.table.finish()
    }
}
