//! The columns of the tables.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use deltalake_core::kernel::{DataType as DeltaType, StructField};

use crate::LakeError;

/// Names of the columns that every case table has.
pub mod columns {
    pub const CASE_ID: &str = "case_id";
    pub const PATIENT_ID: &str = "patient_id";
    pub const SOURCE: &str = "source";
    pub const RECORDED_AT: &str = "recorded_at";
    pub const SEVERITY: &str = "severity";
    pub const RARITY: &str = "rarity";
    pub const DISEASE_CODE: &str = "disease_code";
    pub const CONFIRMED_AT: &str = "confirmed_at";
    /// 64-bit hash of the case identifier (XXH3).
    pub const CASE_KEY: &str = "case_key";
    /// 64-bit hash of the patient's pseudonym (XXH3).
    pub const PATIENT_KEY: &str = "patient_key";
    /// Split slot, 0 to 19; null without a confirmed outcome.
    pub const SLOT: &str = "slot";
    /// The dataset version that brought the row. Files older than this column hold the rows of one version.
    pub const DATASET_VERSION: &str = "dataset_version";

    /// The ingest that refused a row.
    pub const INGEST_ID: &str = "ingest_id";
    pub(crate) const FILE: &str = "file";
    pub(crate) const ROW: &str = "row";
    pub(crate) const REASONS: &str = "reasons";
    /// A refused row as it came.
    pub const RAW: &str = "raw";
    /// 64-bit hash of a refused row (XXH3).
    pub const ROW_KEY: &str = "row_key";

    /// An answer, as the prediction log names it.
    pub const PREDICTION_ID: &str = "prediction_id";
    pub const CREATED_AT: &str = "created_at";
    pub const MODEL_VERSION: &str = "model_version";
    /// Probability that the disease is an orphan disease.
    pub const P_ORPHAN: &str = "p_orphan";
    pub const THRESHOLD: &str = "threshold";
    /// Whether the model was less certain than its study wants an answer to be.
    pub const ABSTAINED: &str = "abstained";

    /// Number of an outcome in the registry; a correction has a higher one.
    pub const OUTCOME_ID: &str = "outcome_id";
    /// Who found the outcome: a pseudonym.
    pub const REVIEWER: &str = "reviewer";
}

/// What a study asks for: each input is a 32-bit integer column of the case table, the note a text column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Column names, in the order in which rows bring their values.
    pub inputs: Vec<String>,
    /// Column of free text, where the study asks for one.
    pub note: Option<String>,
}

/// A column's type, in Arrow and in Delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Text with few different values, dictionary-encoded.
    Code,
    Int,
    Long,
    Byte,
    Instant,
    Real,
    Flag,
}

impl Kind {
    pub(crate) fn arrow(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Code => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Kind::Int => DataType::Int32,
            Kind::Long => DataType::Int64,
            Kind::Byte => DataType::Int8,
            Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Real => DataType::Float64,
            Kind::Flag => DataType::Boolean,
        }
    }

    fn delta(self) -> DeltaType {
        match self {
            Kind::Text | Kind::Code => DeltaType::STRING,
            Kind::Int => DeltaType::INTEGER,
            Kind::Long => DeltaType::LONG,
            Kind::Byte => DeltaType::BYTE,
            Kind::Instant => DeltaType::TIMESTAMP,
            Kind::Real => DeltaType::DOUBLE,
            Kind::Flag => DeltaType::BOOLEAN,
        }
    }
}

/// A named column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.to_owned(), kind }
}

/// Columns of `cases`, in storage order.
pub(crate) fn case_columns(schema: &Schema) -> Result<Vec<Column>, LakeError> {
    use columns::*;
    let mut all = vec![
        column(CASE_ID, Kind::Text),
        column(PATIENT_ID, Kind::Text),
        column(SOURCE, Kind::Code),
        column(RECORDED_AT, Kind::Instant),
        column(SEVERITY, Kind::Code),
        column(RARITY, Kind::Code),
        column(DISEASE_CODE, Kind::Code),
        column(CONFIRMED_AT, Kind::Instant),
        column(CASE_KEY, Kind::Long),
        column(PATIENT_KEY, Kind::Long),
        column(SLOT, Kind::Byte),
        column(DATASET_VERSION, Kind::Int),
    ];
    let inputs = schema.inputs.iter().map(|input| (input, Kind::Int));
    for (name, kind) in inputs.chain(schema.note.iter().map(|note| (note, Kind::Text))) {
        if all.iter().any(|known| known.name == *name) {
            return Err(LakeError::ReservedColumn { column: name.clone() });
        }
        all.push(column(name, kind));
    }
    Ok(all)
}

/// Columns of `quarantine`, in storage order.
pub(crate) fn quarantine_columns() -> Vec<Column> {
    use columns::*;
    vec![
        column(INGEST_ID, Kind::Code),
        column(SOURCE, Kind::Code),
        column(FILE, Kind::Code),
        column(ROW, Kind::Long),
        column(REASONS, Kind::Code),
        column(RAW, Kind::Text),
        column(ROW_KEY, Kind::Long),
    ]
}

/// Names of the probabilities' columns: one per severity's code.
pub(crate) fn probability_column(severity: &str) -> String {
    format!("p_{severity}")
}

/// Columns of `predictions`, in storage order: those that every one has, a probability per severity, the inputs.
pub(crate) fn prediction_columns(inputs: &[String], severities: &[String]) -> Result<Vec<Column>, LakeError> {
    use columns::*;
    let mut all = vec![
        column(PREDICTION_ID, Kind::Text),
        column(CREATED_AT, Kind::Instant),
        column(MODEL_VERSION, Kind::Code),
        column(DATASET_VERSION, Kind::Int),
        column(PATIENT_ID, Kind::Text),
        column(PATIENT_KEY, Kind::Long),
        column(SEVERITY, Kind::Code),
        column(RARITY, Kind::Code),
        column(P_ORPHAN, Kind::Real),
        column(THRESHOLD, Kind::Real),
        column(ABSTAINED, Kind::Flag),
    ];
    let probabilities = severities.iter().map(|code| (probability_column(code), Kind::Real));
    for (name, kind) in probabilities.chain(inputs.iter().map(|input| (input.clone(), Kind::Int))) {
        if all.iter().any(|known| known.name == name) {
            return Err(LakeError::ReservedColumn { column: name });
        }
        all.push(column(&name, kind));
    }
    Ok(all)
}

/// Columns of `outcomes`, in storage order.
pub(crate) fn outcome_columns() -> Vec<Column> {
    use columns::*;
    vec![
        column(OUTCOME_ID, Kind::Long),
        column(PREDICTION_ID, Kind::Text),
        column(SEVERITY, Kind::Code),
        column(RARITY, Kind::Code),
        column(DISEASE_CODE, Kind::Code),
        column(CONFIRMED_AT, Kind::Instant),
        column(RECORDED_AT, Kind::Instant),
        column(SOURCE, Kind::Code),
        column(REVIEWER, Kind::Code),
    ]
}

/// The kind of a column that a table of the lake has.
pub(crate) fn kind_of(stored: &DeltaType) -> Option<Kind> {
    let kinds = [Kind::Text, Kind::Int, Kind::Long, Kind::Byte, Kind::Instant, Kind::Real, Kind::Flag];
    kinds.into_iter().find(|kind| kind.delta() == *stored)
}

pub(crate) fn arrow_schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|c| Field::new(&c.name, c.kind.arrow(), true));
    Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
}

/// All columns are nullable, so that a study may gain an input later.
pub(crate) fn delta_fields(columns: &[Column]) -> Vec<StructField> {
    columns.iter().map(|c| StructField::nullable(&c.name, c.kind.delta())).collect()
}
