//! Walks a TOML document with the line of every key at hand, and notices keys that nobody asked for.

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::value::Scalar;
use crate::MappingError;

/// A key's value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Item<'d> {
    pub(super) value: &'d DeValue<'d>,
    pub(super) line: usize,
}

/// One table of the document.
pub(super) struct Section<'d> {
    text: &'d str,
    table: &'d DeTable<'d>,
    /// How the table is called in errors: `[columns.age_years]`.
    pub(super) name: String,
    pub(super) line: usize,
    asked: Vec<&'static str>,
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
}

pub(super) fn error(line: usize, problem: impl Into<String>) -> MappingError {
    MappingError { line, problem: problem.into() }
}

pub(super) fn document(text: &str) -> Result<Spanned<DeTable<'_>>, MappingError> {
    DeTable::parse(text).map_err(|problem| {
        let line = problem.span().map_or(1, |span| line_of(text, span.start));
        error(line, problem.message().lines().next().unwrap_or("not valid TOML"))
    })
}

impl<'d> Section<'d> {
    pub(super) fn new(text: &'d str, table: &'d DeTable<'d>, name: String, line: usize) -> Self {
        Section { text, table, name, line, asked: Vec::new() }
    }

    pub(super) fn get(&mut self, key: &'static str) -> Option<Item<'d>> {
        self.asked.push(key);
        let (key, value) = self.table.get_key_value(key)?;
        Some(self.item(key, value))
    }

    /// Every key of the table, in the order they are written.
    pub(super) fn entries(&self) -> Vec<(&'d str, Item<'d>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries.into_iter().map(|(key, value)| (key.get_ref().as_ref(), self.item(key, value))).collect()
    }

    fn item(&self, key: &Spanned<DeString<'d>>, value: &'d Spanned<DeValue<'d>>) -> Item<'d> {
        Item { value: value.get_ref(), line: line_of(self.text, key.span().start) }
    }

    /// A table inside this one.
    pub(super) fn inner(&self, item: Item<'d>, name: String) -> Result<Section<'d>, MappingError> {
        match item.value {
            DeValue::Table(table) => Ok(Section::new(self.text, table, name, item.line)),
            _ => Err(error(item.line, format!("{name} must be a table"))),
        }
    }

    /// The tables of `[[key]]`, in order.
    pub(super) fn list(&mut self, key: &'static str) -> Result<Vec<Section<'d>>, MappingError> {
        let Some(item) = self.get(key) else {
            return Ok(Vec::new());
        };
        let wrong = || error(item.line, format!("`{key}` is written as `[[{key}]]`"));
        let DeValue::Array(array) = item.value else {
            return Err(wrong());
        };
        let mut sections = Vec::new();
        for value in array.iter() {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(wrong());
            };
            let line = line_of(self.text, value.span().start);
            sections.push(Section::new(self.text, table, format!("[[{key}]]"), line));
        }
        Ok(sections)
    }

    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<String>, MappingError> {
        self.get(key).map(|item| string(item, key)).transpose()
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<f64>, MappingError> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        match scalar(item, key)? {
            Scalar::Number(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(error(item.line, format!("`{key}` must be a number"))),
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, MappingError> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        match item.value {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            _ => Err(error(item.line, format!("`{key}` must be true or false"))),
        }
    }

    /// Refuses keys that were never asked for.
    pub(super) fn finish(self) -> Result<(), MappingError> {
        match self.entries().into_iter().find(|(key, _)| !self.asked.contains(key)) {
            None => Ok(()),
            Some((key, item)) => {
                let known = self.asked.join("`, `");
                Err(error(item.line, format!("{} has no key `{key}`; it has `{known}`", self.name)))
            }
        }
    }
}

pub(super) fn string(item: Item<'_>, key: &str) -> Result<String, MappingError> {
    match item.value {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err(error(item.line, format!("`{key}` must be a text in quotes"))),
    }
}

/// A text or a number.
pub(super) fn scalar(item: Item<'_>, key: &str) -> Result<Scalar, MappingError> {
    let number = |number: Option<f64>| {
        number
            .map(Scalar::Number)
            .ok_or_else(|| error(item.line, format!("`{key}` has a number out of range")))
    };
    match item.value {
        DeValue::String(text) => Ok(Scalar::Text(text.trim().to_owned())),
        DeValue::Integer(whole) => {
            number(i64::from_str_radix(whole.as_str(), whole.radix()).ok().map(|whole| whole as f64))
        }
        DeValue::Float(real) => number(real.as_str().parse().ok()),
        _ => Err(error(item.line, format!("`{key}` takes texts and numbers"))),
    }
}

/// One text or number, or a list of them.
pub(super) fn scalars(item: Item<'_>, key: &str) -> Result<Vec<Scalar>, MappingError> {
    match item.value {
        DeValue::Array(array) => {
            array.iter().map(|value| scalar(Item { value: value.get_ref(), line: item.line }, key)).collect()
        }
        _ => Ok(vec![scalar(item, key)?]),
    }
}

/// One text, or a list of them.
pub(super) fn texts(item: Item<'_>, key: &str) -> Result<Vec<String>, MappingError> {
    match item.value {
        DeValue::Array(array) => {
            array.iter().map(|value| string(Item { value: value.get_ref(), line: item.line }, key)).collect()
        }
        _ => Ok(vec![string(item, key)?]),
    }
}
