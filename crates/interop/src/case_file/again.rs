//! Refused rows, read again by another mapping.

use std::io::Cursor;

use super::{CaseFile, Format, Reading, Row};
use crate::FileError;

/// Reads rows as [`Row::Refused`] handed them out, all of one file: with the `header` of a CSV file, or JSON objects without
/// one, which is also how the rows of a Parquet file were handed out. The answer has one entry per row, `None` where its text
/// is no row any more: it was cut off because it was long, or its quotes are broken.
///
/// # Errors
/// The header lacks a required column, or the mapping does not fit it.
pub fn read_again(
    rows: &[&str],
    header: Option<&[String]>,
    reading: Reading<'_>,
) -> Result<Vec<Option<Row>>, FileError> {
    let together = read(rows, header, reading)?;
    if together.len() == rows.len() {
        return Ok(together.into_iter().map(Some).collect());
    }
    // A broken row swallowed others, or was passed over: each by itself.
    let alone = rows.iter().map(|row| {
        let mut read = read(&[row], header, reading)?;
        Ok(if read.len() == 1 { read.pop() } else { None })
    });
    alone.collect()
}

fn read(rows: &[&str], header: Option<&[String]>, reading: Reading<'_>) -> Result<Vec<Row>, FileError> {
    let mut text = String::new();
    if let Some(header) = header {
        let delimiter = reading.mapping.map_or(b',', |mapping| mapping.delimiter);
        let names = header.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        text = names.collect::<Vec<_>>().join(&char::from(delimiter).to_string());
        text.push('\n');
    }
    for row in rows {
        text.push_str(row);
        text.push('\n');
    }
    let format = if header.is_some() { Format::Csv } else { Format::Ndjson };
    let file = CaseFile::stream(Box::new(Cursor::new(text.into_bytes())), Some(format), reading)?;
    // The last item may say that no row had some column: these rows need not be all of their file.
    Ok(file.map_while(Result::ok).collect())
}
