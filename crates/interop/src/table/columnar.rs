//! The Parquet form: zstd, a row group at a time.

use std::{io::Write, sync::Arc};

use arrow::{
    array::{
        ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::{ColumnType, Value};
use crate::TableError;

/// Rows that are collected before they go to the writer.
const BATCH: usize = 16_384;

pub(crate) struct ParquetTable {
    writer: ArrowWriter<Box<dyn Write + Send>>,
    schema: Arc<Schema>,
    columns: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Real(Float64Builder),
    Instant(TimestampMicrosecondBuilder),
}

impl ParquetTable {
    pub(crate) fn create(
        out: Box<dyn Write + Send>,
        columns: &[(String, ColumnType)],
    ) -> Result<Self, TableError> {
        let fields: Vec<Field> =
            columns.iter().map(|(name, kind)| Field::new(name, data_type(*kind), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
        let columns = columns.iter().map(|(_, kind)| Builder::new(*kind)).collect();
        Ok(ParquetTable { writer, schema, columns, rows: 0 })
    }

    pub(crate) fn push(&mut self, row: &[Value<'_>]) -> Result<(), TableError> {
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value);
        }
        self.rows += 1;
        if self.rows == BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let arrays = self.columns.iter_mut().map(Builder::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)?;
        self.rows = 0;
        Ok(self.writer.write(&batch)?)
    }

    pub(crate) fn finish(mut self) -> Result<(), TableError> {
        if self.rows > 0 {
            self.flush()?;
        }
        self.writer.into_inner()?.flush()?;
        Ok(())
    }
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Real => DataType::Float64,
        ColumnType::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

impl Builder {
    fn new(kind: ColumnType) -> Builder {
        match kind {
            ColumnType::Text => Builder::Text(StringBuilder::new()),
            ColumnType::Integer => Builder::Integer(Int64Builder::new()),
            ColumnType::Real => Builder::Real(Float64Builder::new()),
            ColumnType::Instant => Builder::Instant(
                TimestampMicrosecondBuilder::new().with_data_type(data_type(ColumnType::Instant)),
            ),
        }
    }

    /// The value's type has been checked against the column's.
    fn push(&mut self, value: &Value<'_>) {
        match (self, value) {
            (Builder::Text(column), Value::Text(text)) => column.append_value(text),
            (Builder::Integer(column), Value::Integer(number)) => column.append_value(*number),
            (Builder::Real(column), Value::Real(number)) => column.append_value(*number),
            (Builder::Instant(column), Value::Instant(micros)) => column.append_value(*micros),
            (Builder::Text(column), _) => column.append_null(),
            (Builder::Integer(column), _) => column.append_null(),
            (Builder::Real(column), _) => column.append_null(),
            (Builder::Instant(column), _) => column.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Text(column) => Arc::new(column.finish()),
            Builder::Integer(column) => Arc::new(column.finish()),
            Builder::Real(column) => Arc::new(column.finish()),
            Builder::Instant(column) => Arc::new(column.finish()),
        }
    }
}
