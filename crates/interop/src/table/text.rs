//! The two text forms.

use std::io::Write;

use csv::{QuoteStyle, Writer, WriterBuilder};

use super::{ColumnType, Output, Value};
use crate::{TableError, formula, instant};

/// RFC 4180 with LF line ends; a missing value is an empty field, and no text is a [formula].
pub(crate) struct CsvTable {
    writer: Writer<Output>,
    scratch: String,
}

impl CsvTable {
    pub(crate) fn create(out: Output, columns: &[(String, ColumnType)]) -> Result<Self, TableError> {
        let mut writer =
            WriterBuilder::new().has_headers(false).quote_style(QuoteStyle::Necessary).from_writer(out);
        writer.write_record(columns.iter().map(|(name, _)| name)).map_err(io_error)?;
        Ok(CsvTable { writer, scratch: String::new() })
    }

    pub(crate) fn push(&mut self, row: &[Value<'_>]) -> Result<(), TableError> {
        for value in row {
            self.scratch.clear();
            let written = match value {
                Value::Text(text) => self.writer.write_field(&*formula::guarded(text)),
                value => {
                    append(&mut self.scratch, value);
                    self.writer.write_field(&self.scratch)
                }
            };
            written.map_err(io_error)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(io_error)
    }

    pub(crate) fn finish(self) -> Result<(), TableError> {
        self.writer.into_inner().map_err(|error| TableError::Io(error.into_error()))?.finish()
    }
}

/// One object per line; a missing value is left out.
pub(crate) struct JsonTable {
    out: Output,
    /// The columns' names as JSON, with the colon.
    keys: Vec<String>,
    line: String,
}

impl JsonTable {
    pub(crate) fn create(out: Output, columns: &[(String, ColumnType)]) -> Result<Self, TableError> {
        let keys = columns.iter().map(|(name, _)| format!("{}:", serde_json::Value::from(name.as_str())));
        Ok(JsonTable { out, keys: keys.collect(), line: String::new() })
    }

    pub(crate) fn push(&mut self, row: &[Value<'_>]) -> Result<(), TableError> {
        self.line.clear();
        for (key, value) in self.keys.iter().zip(row) {
            if *value == Value::Missing {
                continue;
            }
            self.line.push(if self.line.is_empty() { '{' } else { ',' });
            self.line.push_str(key);
            match value {
                Value::Text(text) => self.line.push_str(&serde_json::Value::from(*text).to_string()),
                Value::Instant(_) => {
                    self.line.push('"');
                    append(&mut self.line, value);
                    self.line.push('"');
                }
                value => append(&mut self.line, value),
            }
        }
        self.line.push_str(if self.line.is_empty() { "{}\n" } else { "}\n" });
        Ok(self.out.write_all(self.line.as_bytes())?)
    }

    pub(crate) fn finish(self) -> Result<(), TableError> {
        self.out.finish()
    }
}

/// A value's characters. A real is the shortest decimal that reads back as the same number, always
/// with a point or an exponent.
fn append(text: &mut String, value: &Value<'_>) {
    use std::fmt::Write as _;
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Missing => Ok(()),
        Value::Text(own) => text.write_str(own),
        Value::Integer(number) => write!(text, "{number}"),
        Value::Real(number) => write!(text, "{number:?}"),
        Value::Instant(micros) => text.write_str(&instant::format(*micros).unwrap_or_default()),
    };
}

fn io_error(error: csv::Error) -> TableError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => TableError::Io(error),
        other => TableError::Io(std::io::Error::other(format!("{other:?}"))),
    }
}
