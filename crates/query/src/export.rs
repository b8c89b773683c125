//! An answer as a table for people, CSV, JSON or Parquet.

use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringArray};
use datafusion::arrow::csv;
use datafusion::arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, WriterBuilder};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use futures_util::StreamExt;

use crate::{QueryError, Rows};

/// Forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns; at most so many rows (0: all).
    Table {
        rows: usize,
    },
    Csv,
    Ndjson,
    Json,
    Parquet,
}

impl FromStr for Format {
    type Err = QueryError;

    /// The form that a file's name asks for.
    fn from_str(name: &str) -> Result<Format, QueryError> {
        match name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "csv" => Ok(Format::Csv),
            "ndjson" | "jsonl" => Ok(Format::Ndjson),
            "json" => Ok(Format::Json),
            "parquet" => Ok(Format::Parquet),
            "txt" => Ok(Format::Table { rows: 0 }),
            _ => Err(QueryError::Write(format!(
                "`{name}` has no ending that names a form: .csv, .ndjson, .json, .parquet or .txt; or give --format"
            ))),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub rows: usize,
    /// There were more rows than a table was to show.
    pub more: bool,
}

/// Writes all rows of an answer, a batch at a time.
///
/// # Errors
/// What goes wrong with the query while it runs, or with the writing.
pub async fn write(
    mut rows: Rows,
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<Shown, QueryError> {
    let schema = rows.schema();
    match format {
        Format::Table { rows: limit } => table(rows, limit, out).await,
        Format::Csv => {
            // The header also when there is no row.
            let mut writer = csv::WriterBuilder::new().with_header(true).build(&mut *out);
            drain(&mut rows, Some(RecordBatch::new_empty(schema)), |batch| {
                writer.write(&flat(batch)?).map_err(written)
            })
            .await
        }
        Format::Ndjson => json::<LineDelimited>(rows, out).await,
        Format::Json => json::<JsonArray>(rows, out).await,
        Format::Parquet => {
            let level = ZstdLevel::try_new(3).map_err(written)?;
            let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
            let mut writer = ArrowWriter::try_new(&mut *out, schema, Some(properties)).map_err(written)?;
            let shown = drain(&mut rows, None, |batch| writer.write(batch).map_err(written)).await?;
            writer.close().map_err(written)?;
            Ok(shown)
        }
    }
}

fn written(error: impl std::fmt::Display) -> QueryError {
    QueryError::Write(error.to_string())
}

async fn drain(
    rows: &mut Rows,
    first: Option<RecordBatch>,
    mut write: impl FnMut(&RecordBatch) -> Result<(), QueryError>,
) -> Result<Shown, QueryError> {
    let mut count = 0;
    if let Some(first) = first {
        write(&first)?;
    }
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        count += batch.num_rows();
        write(&batch)?;
    }
    Ok(Shown { rows: count, more: false })
}

/// Lists and structures as texts, which is all that CSV has.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let column: ArrayRef = match field.data_type().is_nested() {
            false => Arc::clone(column),
            true => {
                let text = |row| column.is_valid(row).then(|| array_value_to_string(column, row)).transpose();
                let texts = (0..column.len()).map(text).collect::<Result<StringArray, _>>();
                Arc::new(texts.map_err(written)?)
            }
        };
        columns.push((field.name().clone(), column, true));
    }
    if columns.is_empty() {
        return Ok(batch.clone());
    }
    RecordBatch::try_from_iter_with_nullable(columns).map_err(written)
}

async fn json<F: JsonFormat>(mut rows: Rows, out: &mut (dyn Write + Send)) -> Result<Shown, QueryError> {
    // A null is a value that was asked for, so it is said.
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, F>(&mut *out);
    let shown = drain(&mut rows, None, |batch| writer.write(batch).map_err(written)).await?;
    writer.finish().map_err(written)?;
    Ok(shown)
}

async fn table(mut rows: Rows, limit: usize, out: &mut (dyn Write + Send)) -> Result<Shown, QueryError> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut batches = vec![RecordBatch::new_empty(rows.schema())];
    let (mut count, mut more) = (0, false);
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let taken = batch.num_rows().min(limit - count);
        more |= taken < batch.num_rows();
        count += taken;
        batches.push(batch.slice(0, taken));
        if more {
            break;
        }
    }
    let text = pretty_format_batches(&batches).map_err(written)?;
    writeln!(out, "{text}").map_err(written)?;
    Ok(Shown { rows: count, more })
}
