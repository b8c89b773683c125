//! A case made of JSON documents, as one row of named columns.

use std::sync::Arc;

use clinical::Issue;
use serde_json::{Map, Value as Json, json};

use crate::cell::Cell;

/// Where a document stands among the files that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) line: u64,
    /// Which document of the file: several may share a line.
    pub(crate) index: u64,
}

/// What all rows that are read together share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) header: Vec<String>,
    /// Names of the files, without their folders.
    pub(crate) files: Vec<String>,
}

/// One row: its cells, and the resources that they come from.
#[derive(Debug)]
pub(crate) struct BuiltRecord {
    pub(crate) shared: Arc<Shared>,
    pub(crate) place: Place,
    pub(crate) values: Vec<Value>,
    pub(crate) used: Vec<Place>,
    pub(crate) issues: Vec<Issue>,
}

/// A cell's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Missing,
    Integer(i64),
    Real(f64),
    Text(String),
    Instant(i64),
}

impl Value {
    pub(crate) fn cell(&self) -> Cell<'_> {
        match self {
            Value::Missing => Cell::Missing,
            Value::Integer(number) => Cell::Integer(*number),
            Value::Real(number) => Cell::Real(*number),
            Value::Text(text) => Cell::Text(text),
            Value::Instant(micros) => Cell::Instant(*micros),
        }
    }

    fn json(&self) -> Json {
        match self {
            Value::Missing => Json::Null,
            Value::Integer(number) => json!(number),
            Value::Real(number) => json!(number),
            Value::Text(text) => json!(text),
            Value::Instant(micros) => json!(crate::instant::format(*micros)),
        }
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        text.map_or(Value::Missing, Value::Text)
    }
}

impl BuiltRecord {
    pub(crate) fn get(&self, column: usize) -> Cell<'_> {
        self.values.get(column).map_or(Cell::Missing, Value::cell)
    }

    /// What was joined, and the files and lines of the resources behind it.
    pub(crate) fn raw(&self) -> String {
        let named = self.shared.header.iter().zip(&self.values);
        let mut row: Map<String, Json> = named
            .filter(|(_, value)| **value != Value::Missing)
            .map(|(name, value)| (name.clone(), value.json()))
            .collect();
        let place = |place: &Place| {
            let file = self.shared.files.get(place.file as usize).map_or("", String::as_str);
            json!(format!("{file}:{}", place.line))
        };
        row.insert("resources".to_owned(), self.used.iter().map(place).collect());
        Json::Object(row).to_string()
    }
}
