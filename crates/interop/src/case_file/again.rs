//! Refused rows, read again: by another mapping, or to know whose they are.

use std::io::Cursor;

use super::layout::Field;
use super::{CaseFile, Content, Format, Reading, Row};
use crate::FileError;

/// Reads rows as [`Row::Refused`] handed them out, all of one file: with the `header` of a CSV file, or JSON objects without
/// one, which is also how the rows of a Parquet file and the joined rows of a FHIR export were handed out. (A refused resource
/// of an export is no row by itself: it stays refused.) The answer has one entry per row, `None` where its text
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

/// The patient's pseudonym in a refused row, whatever else is wrong with it. `None` where it has none or cannot be read.
/// `header` as for [`read_again`].
pub fn patient_id_of(row: &str, header: Option<&[String]>, reading: Reading<'_>) -> Option<String> {
    let mut file = open(&[row], header, reading).ok()?;
    let Content::Cells(cells) = file.records.next_record().ok()??.content else {
        return None;
    };
    let id = file.assembler.layout.text(Field::PatientId, &cells).ok()??;
    Some(id.into_owned())
}

fn read(rows: &[&str], header: Option<&[String]>, reading: Reading<'_>) -> Result<Vec<Row>, FileError> {
    // The last item may say that no row had some column: these rows need not be all of their file.
    Ok(open(rows, header, reading)?.map_while(Result::ok).collect())
}

fn open<'a>(
    rows: &[&str],
    header: Option<&[String]>,
    reading: Reading<'a>,
) -> Result<CaseFile<'a>, FileError> {
    let mut text = String::new();
    if header.is_none() && reading.mapping.is_some_and(crate::Mapping::is_fhir) {
        return CaseFile::joined(&rows.join("\n"), reading);
    }
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
    CaseFile::stream(Box::new(Cursor::new(text.into_bytes())), Some(format), reading)
}
