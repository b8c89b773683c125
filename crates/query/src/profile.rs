//! What the columns of a dataset version hold: counts, ranges, histograms; no single patient.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use lake::columns;
use serde::Serialize;

use crate::{Dataset, Input};

/// Bars of a histogram at most; more values are gathered into intervals of equal width.
const BARS: i64 = 20;

/// A dataset version in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    pub rows: u64,
    pub columns: Vec<ColumnProfile>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnProfile {
    pub name: String,
    pub nulls: u64,
    /// Different values.
    pub distinct: u64,
    /// Whether `distinct` is an estimate (HyperLogLog, about 2 % off): identifiers only.
    pub estimated: bool,
    pub min: Option<String>,
    pub max: Option<String>,
    /// Of numbers only.
    pub mean: Option<f64>,
    /// Ascending; codes by their name. Empty for identifiers and times.
    pub histogram: Vec<HistogramBar>,
}

/// Rows with one value, or with one from an interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistogramBar {
    pub from: String,
    /// The last value of the interval; as `from` where it is one value.
    pub to: String,
    pub rows: u64,
}

/// Profiles `cases` of a context in which the files are registered as they are stored.
pub(crate) async fn profile(context: &SessionContext, dataset: &Dataset) -> Result<Profile, DataFusionError> {
    let mut columns = Vec::new();
    let total = one_row(context, "SELECT count(*) FROM cases").await?;
    let rows = number(&total, 0)?;
    for field in dataset.cases.schema.fields() {
        let column = match (field.name().as_str(), field.data_type()) {
            (columns::CASE_KEY | columns::PATIENT_KEY, _) => continue,
            (columns::CASE_ID, _) => identifiers(context, field, columns::CASE_KEY, rows).await?,
            (columns::PATIENT_ID, _) => identifiers(context, field, columns::PATIENT_KEY, rows).await?,
            (name, _) if dataset.notes().iter().any(|note| note == name) => continue,
            (_, DataType::Timestamp(..)) => times(context, field, rows).await?,
            (name, _) => {
                let input = dataset.inputs().iter().find(|input| input.name == name);
                values(context, field, input).await?
            }
        };
        columns.push(column);
    }
    Ok(Profile { rows, columns })
}

async fn identifiers(
    context: &SessionContext,
    field: &Field,
    key: &str,
    rows: u64,
) -> Result<ColumnProfile, DataFusionError> {
    let name = field.name();
    let sql = format!("SELECT count(\"{name}\"), approx_distinct(\"{key}\") FROM cases");
    let row = one_row(context, &sql).await?;
    Ok(ColumnProfile {
        name: name.clone(),
        nulls: rows - number(&row, 0)?,
        distinct: number(&row, 1)?,
        estimated: true,
        min: None,
        max: None,
        mean: None,
        histogram: Vec::new(),
    })
}

async fn times(context: &SessionContext, field: &Field, rows: u64) -> Result<ColumnProfile, DataFusionError> {
    let name = field.name();
    let sql = format!(
        "SELECT count(\"{name}\"), count(DISTINCT \"{name}\"), min(\"{name}\"), max(\"{name}\") FROM cases"
    );
    let row = one_row(context, &sql).await?;
    Ok(ColumnProfile {
        name: name.clone(),
        nulls: rows - number(&row, 0)?,
        distinct: number(&row, 1)?,
        estimated: false,
        min: text(&row, 2)?,
        max: text(&row, 3)?,
        mean: None,
        histogram: Vec::new(),
    })
}

/// A column with few different values: everything follows from how often each comes.
async fn values(
    context: &SessionContext,
    field: &Field,
    input: Option<&Input>,
) -> Result<ColumnProfile, DataFusionError> {
    let name = field.name();
    let sql = format!("SELECT \"{name}\", count(*) FROM cases GROUP BY \"{name}\"");
    let batches = collect(context, &sql).await?;
    let codes = input.map(|input| input.codes.as_slice()).unwrap_or_default();
    if field.data_type().is_integer() && codes.is_empty() {
        let mut counts = BTreeMap::<Option<i64>, u64>::new();
        for batch in &batches {
            let values = column(batch, 0, &DataType::Int64)?;
            for row in 0..batch.num_rows() {
                let value = values.is_valid(row).then(|| values.as_primitive::<Int64Type>().value(row));
                *counts.entry(value).or_default() += number_at(batch, 1, row)?;
            }
        }
        return Ok(numbers(name, counts));
    }
    let mut counts = BTreeMap::<Option<String>, u64>::new();
    for batch in &batches {
        let values = column(batch, 0, &DataType::Utf8)?;
        for row in 0..batch.num_rows() {
            let value = values.is_valid(row).then(|| values.as_string::<i32>().value(row).to_owned());
            let code = value.map(|value| match value.parse::<usize>().ok().and_then(|at| codes.get(at)) {
                Some(code) => code.clone(),
                None => value,
            });
            *counts.entry(code).or_default() += number_at(batch, 1, row)?;
        }
    }
    Ok(texts(name, counts))
}

fn numbers(name: &str, mut counts: BTreeMap<Option<i64>, u64>) -> ColumnProfile {
    let nulls = counts.remove(&None).unwrap_or(0);
    let counts: BTreeMap<i64, u64> =
        counts.into_iter().filter_map(|(value, rows)| Some((value?, rows))).collect();
    let (min, max) = (counts.keys().next().copied(), counts.keys().next_back().copied());
    let rows: u64 = counts.values().sum();
    let sum: i128 = counts.iter().map(|(&value, &rows)| i128::from(value) * i128::from(rows)).sum();
    let mut histogram = Vec::<HistogramBar>::new();
    if let (Some(min), Some(max)) = (min, max) {
        let width = if counts.len() as i64 <= BARS { 1 } else { (max - min) / BARS + 1 };
        for (&value, &rows) in &counts {
            let from = min + (value - min) / width * width;
            let (from, to) = (from.to_string(), (from + width - 1).min(max).to_string());
            match histogram.last_mut() {
                Some(last) if last.from == from => last.rows += rows,
                _ => histogram.push(HistogramBar { from, to, rows }),
            }
        }
    }
    ColumnProfile {
        name: name.to_owned(),
        nulls,
        distinct: counts.len() as u64,
        estimated: false,
        min: min.map(|min| min.to_string()),
        max: max.map(|max| max.to_string()),
        mean: (rows > 0).then(|| sum as f64 / rows as f64),
        histogram,
    }
}

fn texts(name: &str, mut counts: BTreeMap<Option<String>, u64>) -> ColumnProfile {
    let nulls = counts.remove(&None).unwrap_or(0);
    let bar = |(value, rows): (Option<String>, u64)| {
        let value = value?;
        Some(HistogramBar { from: value.clone(), to: value, rows })
    };
    let histogram: Vec<HistogramBar> = counts.into_iter().filter_map(bar).collect();
    ColumnProfile {
        name: name.to_owned(),
        nulls,
        distinct: histogram.len() as u64,
        estimated: false,
        min: histogram.first().map(|bar| bar.from.clone()),
        max: histogram.last().map(|bar| bar.from.clone()),
        mean: None,
        histogram,
    }
}

async fn collect(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, DataFusionError> {
    context.sql(sql).await?.collect().await
}

async fn one_row(context: &SessionContext, sql: &str) -> Result<RecordBatch, DataFusionError> {
    let batches = collect(context, sql).await?;
    let row = batches.into_iter().find(|batch| batch.num_rows() == 1);
    row.ok_or_else(|| DataFusionError::Internal("an aggregate without its row".into()))
}

fn column(
    batch: &RecordBatch,
    at: usize,
    kind: &DataType,
) -> Result<datafusion::arrow::array::ArrayRef, DataFusionError> {
    Ok(cast(batch.column(at), kind)?)
}

fn number_at(batch: &RecordBatch, at: usize, row: usize) -> Result<u64, DataFusionError> {
    Ok(column(batch, at, &DataType::Int64)?.as_primitive::<Int64Type>().value(row).unsigned_abs())
}

fn number(row: &RecordBatch, at: usize) -> Result<u64, DataFusionError> {
    number_at(row, at, 0)
}

fn text(row: &RecordBatch, at: usize) -> Result<Option<String>, DataFusionError> {
    let texts = column(row, at, &DataType::Utf8)?;
    Ok(texts.is_valid(0).then(|| texts.as_string::<i32>().value(0).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_become_intervals_that_hold_every_row() {
        let counts = (0..=120).map(|age| (Some(age), 10)).chain([(None, 3)]).collect();
        let profile = numbers("age", counts);
        assert_eq!((profile.nulls, profile.distinct, profile.mean), (3, 121, Some(60.0)));
        assert!(profile.histogram.len() <= BARS as usize);
        assert_eq!(profile.histogram.iter().map(|bar| bar.rows).sum::<u64>(), 1210);
        assert_eq!(profile.histogram[0], HistogramBar { from: "0".into(), to: "6".into(), rows: 70 });
        assert_eq!(profile.histogram.last().map(|bar| bar.to.as_str()), Some("120"));
    }

    #[test]
    fn few_numbers_have_a_bar_each_and_none_has_no_mean() {
        let profile = numbers("x", [(Some(-3), 1), (Some(5), 3)].into());
        assert_eq!(profile.histogram.len(), 2);
        assert_eq!(profile.mean, Some(3.0));
        let empty = numbers("x", BTreeMap::new());
        assert_eq!((empty.mean, empty.min), (None, None));
    }
}
