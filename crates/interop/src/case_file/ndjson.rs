//! NDJSON: one JSON object per line. A line is parsed once, into the asked-for columns only.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    io::Read,
    ops::Range,
};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    format::stream_error,
    lines::{Lines, Next, RECORD_LIMIT},
    record::{Cells, Problem, Record, Records},
};
use crate::{FileError, cell::Cell};

/// Names of unasked-for keys that are remembered, at most: a hostile file has a new one per line.
const IGNORED_LIMIT: usize = 256;

/// An NDJSON file, read for a fixed list of keys.
pub(crate) struct JsonRecords {
    lines: Lines,
    row: Row,
}

/// The values of one object.
struct Row {
    columns: HashMap<String, usize>,
    values: Vec<Value>,
    /// The characters of the text values.
    text: String,
    /// The first key that the object has twice.
    repeated: Option<String>,
    /// Which columns any object so far had.
    seen: Vec<bool>,
    /// Whether any line so far was an object.
    any: bool,
    ignored: BTreeSet<String>,
}

#[derive(Clone)]
enum Value {
    Missing,
    Integer(i64),
    Real(f64),
    Text(Range<usize>),
    Other,
}

/// One row: its text and its values.
pub(crate) struct JsonRecord<'r> {
    pub(crate) raw: &'r str,
    values: &'r [Value],
    text: &'r str,
}

impl JsonRecord<'_> {
    pub(crate) fn get(&self, column: usize) -> Cell<'_> {
        match self.values.get(column) {
            None | Some(Value::Missing) => Cell::Missing,
            Some(Value::Integer(number)) => Cell::Integer(*number),
            Some(Value::Real(number)) => Cell::Real(*number),
            Some(Value::Text(range)) => self.text.get(range.clone()).map_or(Cell::Other, Cell::Text),
            Some(Value::Other) => Cell::Other,
        }
    }
}

impl JsonRecords {
    /// `columns` are the keys to read; a cell's column is the position in it.
    pub(crate) fn open(reader: Box<dyn Read + Send>, columns: &[String]) -> Result<Self, FileError> {
        let mut lines = Lines::new(reader);
        while lines.window().len() < 3 && lines.extend().map_err(stream_error)? {}
        if lines.window().starts_with(b"\xef\xbb\xbf") {
            lines.take(3, 0);
        }
        let row = Row {
            columns: columns.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect(),
            values: vec![Value::Missing; columns.len()],
            text: String::new(),
            repeated: None,
            seen: vec![false; columns.len()],
            any: false,
            ignored: BTreeSet::new(),
        };
        Ok(JsonRecords { lines, row })
    }
}

impl Records for JsonRecords {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, FileError> {
        let (length, whole) = loop {
            match self.lines.peek().map_err(stream_error)? {
                Next::End => return Ok(None),
                Next::TooLong => {
                    let line = self.lines.line();
                    let broken = Problem::TooLong.with(&self.lines.window()[..RECORD_LIMIT]);
                    self.lines.skip_line().map_err(stream_error)?;
                    return Ok(Some(Record::new(line, Err(broken))));
                }
                Next::Line { length, whole } => {
                    if !self.lines.window()[..length].trim_ascii().is_empty() {
                        break (length, whole);
                    }
                    self.lines.take(whole, 1);
                }
            }
        };
        let line = self.lines.line();
        self.lines.take(whole, 1);
        let bytes = self.lines.taken(whole, length);
        let content = match self.row.read(bytes) {
            Ok(raw) => Ok(Cells::Json(JsonRecord { raw, values: &self.row.values, text: &self.row.text })),
            Err(problem) => Err(problem.with(bytes)),
        };
        Ok(Some(Record::new(line, content)))
    }

    fn ignored(&self) -> Vec<String> {
        self.row.ignored.iter().cloned().collect()
    }

    fn has(&self, column: usize) -> bool {
        !self.row.any || self.row.seen.get(column).copied().unwrap_or(false)
    }
}

impl Row {
    fn read<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b str, Problem> {
        let raw = std::str::from_utf8(bytes).map_err(|_| Problem::NotUtf8)?;
        self.values.fill(Value::Missing);
        self.text.clear();
        self.repeated = None;
        let mut json = serde_json::Deserializer::from_str(raw);
        json.deserialize_map(&mut *self)
            .and_then(|()| json.end())
            .map_err(|_| if raw.contains('\0') { Problem::Nul } else { Problem::NotAnObject })?;
        self.any = true;
        self.repeated.take().map_or(Ok(raw), |key| Err(Problem::RepeatedKey(key)))
    }
}

impl<'de> Visitor<'de> for &mut Row {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // What this object had; `values` alone cannot tell a null from a key that is not there.
        let mut given = vec![false; self.values.len()];
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let Some(&column) = self.columns.get(key.as_ref()) else {
                map.next_value::<IgnoredAny>()?;
                if self.ignored.len() < IGNORED_LIMIT
                    && key.len() <= 128
                    && !self.ignored.contains(key.as_ref())
                {
                    self.ignored.insert(key.into_owned());
                }
                continue;
            };
            self.values[column] = map.next_value_seed(OneValue { text: &mut self.text })?;
            if std::mem::replace(&mut given[column], true) {
                self.repeated.get_or_insert_with(|| key.into_owned());
            }
            self.seen[column] = true;
        }
        Ok(())
    }
}

/// Reads one value and keeps its text in the row's.
struct OneValue<'t> {
    text: &'t mut String,
}

impl<'de> DeserializeSeed<'de> for OneValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneValue<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Missing)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Real(number as f64), Value::Integer))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        let from = self.text.len();
        self.text.push_str(text);
        Ok(Value::Text(from..self.text.len()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}
