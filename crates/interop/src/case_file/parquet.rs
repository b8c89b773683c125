//! Parquet, a batch at a time, the asked-for columns only. Every column becomes one of four plain
//! kinds; what is none of them is a value of the wrong type, row by row.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Date64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    },
    error::ArrowError,
};
use bytes::Bytes;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};

use super::record::{Cells, Record, Records};
use crate::{FileError, cell::Cell};

const BATCH: usize = 8192;

/// A Parquet file whose columns are known and whose rows are not yet asked for.
pub(crate) struct ParquetFile {
    builder: Builder,
    pub(crate) names: Vec<String>,
}

enum Builder {
    File(ParquetRecordBatchReaderBuilder<File>),
    Bytes(ParquetRecordBatchReaderBuilder<Bytes>),
}

/// Its rows.
pub(crate) struct ParquetRecords {
    reader: ParquetRecordBatchReader,
    /// Per column of the file: its place in `columns`, where it was asked for.
    places: Vec<Option<usize>>,
    names: Vec<String>,
    columns: Vec<Plain>,
    rows: usize,
    /// The row of the batch to hand out next, and the file's rows before the batch.
    row: usize,
    before: u64,
    /// Rows of the file, as it says itself.
    total: u64,
}

enum Plain {
    Null,
    Integer(Int64Array),
    Real(Float64Array),
    Text(StringArray),
    /// UTC microseconds.
    Instant(Int64Array),
    Other(ArrayRef),
}

/// One row of the current batch.
pub(crate) struct ParquetRecord<'r> {
    records: &'r ParquetRecords,
    row: usize,
}

fn damaged(problem: impl ToString) -> FileError {
    FileError::Damaged { format: "Parquet", problem: problem.to_string() }
}

/// The reader trusts some lengths in a file and panics where they are wrong; for us that is a
/// damaged file like any other.
fn guarded<T>(read: impl FnOnce() -> Result<T, FileError>) -> Result<T, FileError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged("its structure contradicts itself")))
}

impl ParquetFile {
    pub(crate) fn open_file(file: File) -> Result<Self, FileError> {
        guarded(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
            let names = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
            Ok(ParquetFile { builder: Builder::File(builder), names })
        })
    }

    pub(crate) fn open_bytes(bytes: Bytes) -> Result<Self, FileError> {
        guarded(|| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(damaged)?;
            let names = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
            Ok(ParquetFile { builder: Builder::Bytes(builder), names })
        })
    }

    /// Starts reading these columns (numbers of the file's columns).
    pub(crate) fn read(self, wanted: &[usize]) -> Result<ParquetRecords, FileError> {
        let mut order = wanted.to_vec();
        order.sort_unstable();
        order.dedup();
        let mut places = vec![None; self.names.len()];
        for (place, &column) in order.iter().enumerate() {
            places[column] = Some(place);
        }
        let total = match &self.builder {
            Builder::File(builder) => builder.metadata().file_metadata().num_rows(),
            Builder::Bytes(builder) => builder.metadata().file_metadata().num_rows(),
        };
        let reader = guarded(|| {
            match self.builder {
                Builder::File(builder) => {
                    let mask = ProjectionMask::roots(builder.parquet_schema(), order.iter().copied());
                    builder.with_projection(mask).with_batch_size(BATCH).build()
                }
                Builder::Bytes(builder) => {
                    let mask = ProjectionMask::roots(builder.parquet_schema(), order.iter().copied());
                    builder.with_projection(mask).with_batch_size(BATCH).build()
                }
            }
            .map_err(damaged)
        })?;
        Ok(ParquetRecords {
            reader,
            places,
            names: self.names,
            columns: Vec::new(),
            rows: 0,
            row: 0,
            before: 0,
            total: u64::try_from(total).unwrap_or(0),
        })
    }
}

impl ParquetRecords {
    fn next_batch(&mut self) -> Result<bool, FileError> {
        let reader = &mut self.reader;
        let batch = guarded(|| {
            let Some(batch) = reader.next().transpose().map_err(damaged)? else {
                return Ok(None);
            };
            plain_columns(&batch).map(|columns| Some((batch.num_rows(), columns))).map_err(damaged)
        })?;
        self.before += self.rows as u64;
        self.row = 0;
        let more = batch.is_some();
        (self.rows, self.columns) = batch.unwrap_or_default();
        Ok(more)
    }
}

impl Records for ParquetRecords {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, FileError> {
        while self.row >= self.rows {
            if !self.next_batch()? {
                return Ok(None);
            }
        }
        let row = self.row;
        self.row += 1;
        let line = self.before + row as u64 + 1;
        Ok(Some(Record::new(line, Ok(Cells::Parquet(ParquetRecord { records: self, row })))))
    }

    fn done(&self) -> Option<f64> {
        let read = self.before + self.row as u64;
        (self.total > 0).then(|| (read as f64 / self.total as f64).min(1.0))
    }

    fn ignored(&self) -> Vec<String> {
        let unasked = self.names.iter().zip(&self.places).filter(|(_, place)| place.is_none());
        unasked.map(|(name, _)| name.clone()).collect()
    }
}

impl ParquetRecord<'_> {
    pub(crate) fn get(&self, column: usize) -> Cell<'_> {
        let place = self.records.places.get(column).copied().flatten();
        place
            .and_then(|place| self.records.columns.get(place))
            .map_or(Cell::Missing, |plain| plain.get(self.row))
    }

    /// The asked-for columns as one JSON object.
    pub(crate) fn raw(&self) -> String {
        let mut object = serde_json::Map::new();
        for (column, name) in self.records.names.iter().enumerate() {
            if self.records.places[column].is_none() {
                continue;
            }
            let value = match self.get(column) {
                Cell::Missing => serde_json::Value::Null,
                Cell::Integer(number) => number.into(),
                Cell::Real(number) => number.into(),
                Cell::Text(text) | Cell::Written(text) => text.into(),
                Cell::Instant(micros) => crate::instant::format(micros).into(),
                Cell::Other => "(a value that is neither number, text nor time)".into(),
            };
            object.insert(name.clone(), value);
        }
        serde_json::Value::Object(object).to_string()
    }
}

impl Plain {
    fn get(&self, row: usize) -> Cell<'_> {
        match self {
            Plain::Integer(values) if values.is_valid(row) => Cell::Integer(values.value(row)),
            Plain::Real(values) if values.is_valid(row) => Cell::Real(values.value(row)),
            Plain::Text(values) if values.is_valid(row) => Cell::Text(values.value(row)),
            Plain::Instant(values) if values.is_valid(row) => Cell::Instant(values.value(row)),
            Plain::Other(values) if values.is_valid(row) => Cell::Other,
            _ => Cell::Missing,
        }
    }
}

fn plain_columns(batch: &RecordBatch) -> Result<Vec<Plain>, ArrowError> {
    batch.columns().iter().map(plain).collect()
}

/// Widens a column to the plain kind that holds all its values exactly (an unsigned or decimal
/// number beyond 2^53 is rounded, far outside any accepted range).
fn plain(array: &ArrayRef) -> Result<Plain, ArrowError> {
    use DataType::{
        Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, Float16, Float32, Float64,
        Int8, Int16, Int32, Int64, LargeUtf8, Null, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    const DAY: i64 = 86_400_000_000;
    Ok(match array.data_type() {
        Null => Plain::Null,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => {
            Plain::Integer(cast(array, &Int64)?.as_primitive::<Int64Type>().clone())
        }
        UInt64 | Float16 | Float32 | Float64 | Decimal32(..) | Decimal64(..) | Decimal128(..)
        | Decimal256(..) => Plain::Real(cast(array, &Float64)?.as_primitive().clone()),
        Utf8 | LargeUtf8 | Utf8View => Plain::Text(cast(array, &Utf8)?.as_string::<i32>().clone()),
        Dictionary(_, values) => plain(&cast(array, values)?)?,
        Date32 => Plain::Instant(
            array.as_primitive::<Date32Type>().unary(|days| i64::from(days).saturating_mul(DAY)),
        ),
        Date64 => {
            Plain::Instant(array.as_primitive::<Date64Type>().unary(|millis| millis.saturating_mul(1_000)))
        }
        Timestamp(unit, _) => Plain::Instant(match unit {
            TimeUnit::Second => {
                array.as_primitive::<TimestampSecondType>().unary(|time| time.saturating_mul(1_000_000))
            }
            TimeUnit::Millisecond => {
                array.as_primitive::<TimestampMillisecondType>().unary(|time| time.saturating_mul(1_000))
            }
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().unary(|time| time),
            TimeUnit::Nanosecond => {
                array.as_primitive::<TimestampNanosecondType>().unary(|time| time.div_euclid(1_000))
            }
        }),
        _ => Plain::Other(array.clone()),
    })
}
