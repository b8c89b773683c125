//! Accepted rows being gathered into columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int8Builder, Int32Array, Int32Builder, Int64Array, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;

use super::{CHUNK_ROWS, Codes};
use crate::schema::{Column, Schema, arrow_schema};
use crate::{CaseRow, LakeError, Outcome};

/// Bytes that a chunk's identifiers are expected to take.
const ID_BYTES: usize = 24 * CHUNK_ROWS;
/// Bytes of notes after which a chunk is full, whatever its rows.
const NOTE_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct CaseColumns {
    schema: SchemaRef,
    case_id: StringBuilder,
    patient_id: StringBuilder,
    source: Codes,
    recorded_at: TimestampMicrosecondBuilder,
    /// Outcome numbers; severity, rarity and disease follow from them.
    outcome: Vec<usize>,
    confirmed_at: TimestampMicrosecondBuilder,
    case_key: Vec<i64>,
    patient_key: Vec<i64>,
    slot: Int8Builder,
    /// The same for all rows.
    dataset_version: i32,
    inputs: Vec<Int32Builder>,
    /// Where the study asks for notes.
    note: Option<StringBuilder>,
}

impl CaseColumns {
    pub(super) fn new(schema: &Schema, columns: &[Column], dataset_version: u64) -> Self {
        let instants = || TimestampMicrosecondBuilder::with_capacity(CHUNK_ROWS).with_timezone("UTC");
        let inputs = schema.inputs.iter().map(|_| Int32Builder::with_capacity(CHUNK_ROWS));
        CaseColumns {
            schema: arrow_schema(columns),
            case_id: StringBuilder::with_capacity(CHUNK_ROWS, ID_BYTES),
            patient_id: StringBuilder::with_capacity(CHUNK_ROWS, ID_BYTES),
            source: Codes::default(),
            recorded_at: instants(),
            outcome: Vec::with_capacity(CHUNK_ROWS),
            confirmed_at: instants(),
            case_key: Vec::with_capacity(CHUNK_ROWS),
            patient_key: Vec::with_capacity(CHUNK_ROWS),
            slot: Int8Builder::with_capacity(CHUNK_ROWS),
            // Two thousand million ingests are out of reach.
            dataset_version: i32::try_from(dataset_version).unwrap_or(i32::MAX),
            inputs: inputs.collect(),
            note: schema.note.as_ref().map(|_| StringBuilder::new()),
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn len(&self) -> usize {
        self.outcome.len()
    }

    pub(super) fn push(
        &mut self,
        row: &CaseRow<'_>,
        outcome: usize,
        slot: Option<u8>,
        case_key: u64,
        patient_key: u64,
    ) {
        self.case_id.append_value(row.case_id);
        self.patient_id.append_value(row.patient_id);
        self.source.push(row.source);
        self.recorded_at.append_option(row.recorded_at);
        self.outcome.push(outcome);
        self.confirmed_at.append_option(row.confirmed_at);
        self.case_key.push(case_key.cast_signed());
        self.patient_key.push(patient_key.cast_signed());
        self.slot.append_option(slot.map(u8::cast_signed));
        for (column, value) in self.inputs.iter_mut().zip(row.inputs) {
            column.append_option(*value);
        }
        if let Some(note) = &mut self.note {
            note.append_option(row.note);
        }
    }

    /// Whether a batch should be taken now: it has its rows, or long notes fill it sooner.
    pub(super) fn is_full(&self) -> bool {
        let bytes = self.note.as_ref().map_or(0, |note| note.values_slice().len());
        self.len() >= CHUNK_ROWS || bytes >= NOTE_BYTES
    }

    /// The rows so far as one batch, in the order of the storage columns.
    pub(super) fn take(&mut self, outcomes: &[Outcome]) -> Result<RecordBatch, LakeError> {
        let numbers = std::mem::take(&mut self.outcome);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.case_id.finish()),
            Arc::new(self.patient_id.finish()),
            self.source.take()?,
            Arc::new(self.recorded_at.finish()),
            codes(&numbers, outcomes, |outcome| outcome.severity.as_deref())?,
            codes(&numbers, outcomes, |outcome| outcome.rarity.as_deref())?,
            codes(&numbers, outcomes, |outcome| outcome.disease_code.as_deref())?,
            Arc::new(self.confirmed_at.finish()),
            Arc::new(Int64Array::from(std::mem::take(&mut self.case_key))),
            Arc::new(Int64Array::from(std::mem::take(&mut self.patient_key))),
            Arc::new(self.slot.finish()),
            Arc::new(Int32Array::from_value(self.dataset_version, numbers.len())),
        ];
        columns.extend(self.inputs.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend(self.note.as_mut().map(|note| Arc::new(note.finish()) as ArrayRef));
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}

/// One part of the outcomes as a dictionary-encoded column.
fn codes<'a>(
    numbers: &[usize],
    outcomes: &'a [Outcome],
    part: impl Fn(&'a Outcome) -> Option<&'a str>,
) -> Result<ArrayRef, LakeError> {
    let mut texts: Vec<&str> = Vec::new();
    let mut by_text: HashMap<&str, i32> = HashMap::new();
    let code_of: Vec<Option<i32>> = outcomes
        .iter()
        .map(|outcome| {
            let text = part(outcome)?;
            Some(*by_text.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len() as i32 - 1
            }))
        })
        .collect();
    let keys: Int32Array = numbers.iter().map(|&number| code_of[number]).collect();
    let values = StringArray::from(texts);
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values))?))
}
