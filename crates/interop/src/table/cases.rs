//! Cases out, as a case file that can be read again.

use std::io::Write;

use clinical::{Case, Study, study::Accepts};

use super::{ColumnType, TableFormat, TableWriter, Value};
use crate::TableError;

/// Writes a case file of a study, with further columns of the caller's where wanted.
#[derive(Debug)]
pub struct CaseWriter<'s> {
    study: &'s Study,
    table: TableWriter,
}

impl<'s> CaseWriter<'s> {
    /// Columns: `case_id, patient_id, source, recorded_at`, the study's inputs and, where it asks for one, the note, `severity,
    /// rarity, disease_code, confirmed_at`, then `extra`.
    ///
    /// # Errors
    /// The output fails.
    pub fn create(
        format: TableFormat,
        out: Box<dyn Write + Send>,
        study: &'s Study,
        extra: Vec<(String, ColumnType)>,
    ) -> Result<Self, TableError> {
        let text = |name: &str| (name.to_owned(), ColumnType::Text);
        let mut columns = vec![text("case_id"), text("patient_id"), text("source")];
        columns.push(("recorded_at".to_owned(), ColumnType::Instant));
        columns.extend(study.inputs().iter().map(|input| (input.name.clone(), input_type(&input.accepts))));
        columns.extend(study.note().map(|note| text(&note.name)));
        columns.extend([text("severity"), text("rarity"), text("disease_code")]);
        columns.push(("confirmed_at".to_owned(), ColumnType::Instant));
        columns.extend(extra);
        Ok(CaseWriter { study, table: TableWriter::create(format, out, columns)? })
    }

    /// Adds a case with its values of the extra columns.
    ///
    /// # Errors
    /// As [`TableWriter::push`].
    pub fn push(&mut self, case: &Case, extra: &[Value<'_>]) -> Result<(), TableError> {
        let study = self.study;
        let mut row = Vec::with_capacity(self.table.columns().len());
        row.extend([Value::Text(&case.case_id), Value::Text(&case.patient_id), Value::Text(&case.source)]);
        row.push(Value::Instant(case.recorded_at));
        row.extend(
            study
                .inputs()
                .iter()
                .zip(case.patient.values())
                .map(|(input, &value)| input_value(&input.accepts, value)),
        );
        row.extend(study.note().map(|_| Value::from(case.note.as_ref().map(clinical::Note::text))));
        let outcome = case.outcome.as_ref();
        row.push(outcome.map(|outcome| study.severity(outcome.severity).code.as_str()).into());
        row.push(outcome.and_then(|outcome| outcome.rarity).map(clinical::Rarity::code).into());
        row.push(outcome.and_then(|outcome| outcome.disease_code.as_deref()).into());
        row.push(case.confirmed_at.map_or(Value::Missing, Value::Instant));
        row.extend_from_slice(extra);
        self.table.push(&row)
    }

    /// # Errors
    /// As [`TableWriter::finish`].
    pub fn finish(self) -> Result<(), TableError> {
        self.table.finish()
    }
}

pub(super) fn input_type(accepts: &Accepts) -> ColumnType {
    match accepts {
        Accepts::Number { .. } => ColumnType::Integer,
        Accepts::Code(_) => ColumnType::Text,
    }
}

/// A stored value as a file shows it: the number, or the code at that position.
pub(super) fn input_value(accepts: &Accepts, value: i32) -> Value<'_> {
    match accepts {
        Accepts::Number { .. } => Value::Integer(value.into()),
        Accepts::Code(codes) => {
            usize::try_from(value).ok().and_then(|position| codes.get(position)).map(String::as_str).into()
        }
    }
}
