//! Rows of what was served being gathered into columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    StringDictionaryBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Int32Type, SchemaRef};

use super::{OutcomeRow, PredictionRow};
use crate::LakeError;
use crate::outcome::key;
use crate::schema::{Column, arrow_schema};

type Codes = StringDictionaryBuilder<Int32Type>;

fn instants() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
}

pub(super) struct PredictionColumns {
    schema: SchemaRef,
    rows: usize,
    prediction_id: StringBuilder,
    created_at: TimestampMicrosecondBuilder,
    model_version: Codes,
    dataset_version: Int32Builder,
    patient_id: StringBuilder,
    patient_key: Int64Builder,
    severity: Codes,
    rarity: Codes,
    p_orphan: Float64Builder,
    threshold: Float64Builder,
    abstained: BooleanBuilder,
    probabilities: Vec<Float64Builder>,
    inputs: Vec<Int32Builder>,
}

impl PredictionColumns {
    pub(super) fn new(columns: &[Column], severities: usize, inputs: usize) -> Self {
        PredictionColumns {
            schema: arrow_schema(columns),
            rows: 0,
            prediction_id: StringBuilder::new(),
            created_at: instants(),
            model_version: Codes::new(),
            dataset_version: Int32Builder::new(),
            patient_id: StringBuilder::new(),
            patient_key: Int64Builder::new(),
            severity: Codes::new(),
            rarity: Codes::new(),
            p_orphan: Float64Builder::new(),
            threshold: Float64Builder::new(),
            abstained: BooleanBuilder::new(),
            probabilities: (0..severities).map(|_| Float64Builder::new()).collect(),
            inputs: (0..inputs).map(|_| Int32Builder::new()).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn push(&mut self, row: &PredictionRow<'_>) {
        self.rows += 1;
        self.prediction_id.append_value(row.prediction_id);
        self.created_at.append_value(row.created_at);
        self.model_version.append_value(row.model_version);
        // Two thousand million ingests are out of reach.
        self.dataset_version.append_value(i32::try_from(row.dataset_version).unwrap_or(i32::MAX));
        self.patient_id.append_option(row.patient_id);
        self.patient_key.append_option(row.patient_id.map(|id| key(id).cast_signed()));
        self.severity.append_option(row.severity);
        self.rarity.append_option(row.rarity);
        self.p_orphan.append_value(row.probability_orphan);
        self.threshold.append_value(row.threshold);
        self.abstained.append_value(row.abstained);
        for (at, column) in self.probabilities.iter_mut().enumerate() {
            column.append_option(row.probabilities.get(at).copied().flatten());
        }
        for (at, column) in self.inputs.iter_mut().enumerate() {
            column.append_option(row.inputs.get(at).copied().flatten());
        }
    }

    /// The rows so far, in the order of the storage columns.
    pub(super) fn take(&mut self) -> Result<RecordBatch, LakeError> {
        self.rows = 0;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.prediction_id.finish()),
            Arc::new(self.created_at.finish()),
            Arc::new(self.model_version.finish()),
            Arc::new(self.dataset_version.finish()),
            Arc::new(self.patient_id.finish()),
            Arc::new(self.patient_key.finish()),
            Arc::new(self.severity.finish()),
            Arc::new(self.rarity.finish()),
            Arc::new(self.p_orphan.finish()),
            Arc::new(self.threshold.finish()),
            Arc::new(self.abstained.finish()),
        ];
        columns.extend(self.probabilities.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend(self.inputs.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// Outcomes as one batch, in the order of the storage columns.
pub(super) fn outcomes<'a>(
    columns: &[Column],
    rows: impl Iterator<Item = OutcomeRow<'a>>,
) -> Result<RecordBatch, LakeError> {
    let (mut id, mut prediction) = (Int64Builder::new(), StringBuilder::new());
    let (mut severity, mut rarity, mut disease) = (Codes::new(), Codes::new(), Codes::new());
    let (mut confirmed, mut recorded) = (instants(), instants());
    let (mut source, mut reviewer) = (Codes::new(), Codes::new());
    for row in rows {
        id.append_value(row.outcome_id.cast_signed());
        prediction.append_value(row.prediction_id);
        severity.append_value(row.severity);
        rarity.append_option(row.rarity);
        disease.append_option(row.disease_code);
        confirmed.append_value(row.confirmed_at);
        recorded.append_value(row.recorded_at);
        source.append_value(row.source);
        reviewer.append_value(row.reviewer);
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(id.finish()),
        Arc::new(prediction.finish()),
        Arc::new(severity.finish()),
        Arc::new(rarity.finish()),
        Arc::new(disease.finish()),
        Arc::new(confirmed.finish()),
        Arc::new(recorded.finish()),
        Arc::new(source.finish()),
        Arc::new(reviewer.finish()),
    ];
    Ok(RecordBatch::try_new(arrow_schema(columns), arrays)?)
}
