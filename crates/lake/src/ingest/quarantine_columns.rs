//! Refused rows being gathered into columns.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringBuilder};
use arrow::datatypes::SchemaRef;
use uuid::Uuid;

use super::Codes;
use crate::schema::{Column, arrow_schema};
use crate::{LakeError, QuarantineRow};

#[derive(Debug)]
pub(super) struct QuarantineColumns {
    schema: SchemaRef,
    ingest: String,
    ingest_id: Codes,
    source: Codes,
    file: Codes,
    row: Vec<i64>,
    reasons: Codes,
    raw: StringBuilder,
    row_key: Vec<i64>,
}

impl QuarantineColumns {
    pub(super) fn new(ingest: Uuid, columns: &[Column]) -> Self {
        QuarantineColumns {
            schema: arrow_schema(columns),
            ingest: ingest.to_string(),
            ingest_id: Codes::default(),
            source: Codes::default(),
            file: Codes::default(),
            row: Vec::new(),
            reasons: Codes::default(),
            raw: StringBuilder::new(),
            row_key: Vec::new(),
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    pub(super) fn push(&mut self, row: &QuarantineRow<'_>, reasons: &str, row_key: u64) {
        self.ingest_id.push(&self.ingest);
        self.source.push(row.source);
        self.file.push(row.file);
        self.row.push(row.row.cast_signed());
        self.reasons.push(reasons);
        self.raw.append_value(row.raw);
        self.row_key.push(row_key.cast_signed());
    }

    pub(super) fn take(&mut self) -> Result<RecordBatch, LakeError> {
        Ok(RecordBatch::try_new(
            self.schema(),
            vec![
                self.ingest_id.take()?,
                self.source.take()?,
                self.file.take()?,
                Arc::new(Int64Array::from(std::mem::take(&mut self.row))),
                self.reasons.take()?,
                Arc::new(self.raw.finish()),
                Arc::new(Int64Array::from(std::mem::take(&mut self.row_key))),
            ],
        )?)
    }
}
