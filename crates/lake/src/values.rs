//! Values counted by column and source: all that monitoring needs of rows.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;

use crate::schema::{Kind, columns};
use crate::{Lake, LakeError};

/// A number column and the values that are counted one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueColumn {
    pub name: String,
    pub min: i32,
    /// How many values from `min` up.
    pub len: usize,
}

/// The rows of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueCounts {
    pub rows: u64,
    /// Per column: rows by value, from the column's smallest up.
    pub counts: Vec<Vec<u64>>,
    /// Per column: rows without a value.
    pub missing: Vec<u64>,
    /// Per column: rows with a value that is not counted.
    pub outside: Vec<u64>,
}

impl ValueCounts {
    fn of(wanted: &[ValueColumn]) -> ValueCounts {
        let none = vec![0; wanted.len()];
        let counts = wanted.iter().map(|column| vec![0; column.len]).collect();
        ValueCounts { rows: 0, counts, missing: none.clone(), outside: none }
    }
}

impl Lake {
    /// The rows of a dataset version (`after`: those alone that the earlier version has not) whose split slot is
    /// wanted, counted by source. A row without a confirmed outcome has no slot.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`], [`LakeError::NoSuchColumn`].
    pub fn value_counts(
        &self,
        after: Option<u64>,
        version: u64,
        wanted: &[ValueColumn],
        slot_wanted: impl Fn(Option<u8>) -> bool,
    ) -> Result<BTreeMap<String, ValueCounts>, LakeError> {
        let mut names = vec![columns::SOURCE, columns::SLOT];
        names.extend(wanted.iter().map(|column| column.name.as_str()));
        let scan = match after {
            Some(after) => self.scan_cases_since(after, version, &names)?,
            None => self.scan_cases(version, &names)?,
        };
        let mut sources: Vec<(String, ValueCounts)> = Vec::new();
        for chunk in scan {
            let chunk = chunk?;
            let batch = chunk.record_batch();
            let source = crate::scan::column(batch, columns::SOURCE, Kind::Text)?;
            let (source, slots) = (source.as_string::<i32>(), crate::scan::ints(batch, columns::SLOT)?);
            // The place of every wanted row's source; files mostly hold one, so the last one is tried first.
            let (mut of_row, mut last) = (vec![usize::MAX; chunk.rows()], 0);
            for (row, of_row) in of_row.iter_mut().enumerate() {
                let slot =
                    slots.is_valid(row).then(|| slots.value(row)).and_then(|slot| u8::try_from(slot).ok());
                if !slot_wanted(slot) {
                    continue;
                }
                let name = if source.is_valid(row) { source.value(row) } else { "" };
                if sources.get(last).is_none_or(|(known, _)| known != name) {
                    last = sources.iter().position(|(known, _)| known == name).unwrap_or(sources.len());
                    if last == sources.len() {
                        sources.push((name.to_owned(), ValueCounts::of(wanted)));
                    }
                }
                *of_row = last;
                sources[last].1.rows += 1;
            }
            for (at, column) in wanted.iter().enumerate() {
                let values = crate::scan::column(batch, &column.name, Kind::Int)?;
                let values = values.as_primitive::<Int32Type>();
                for (row, &source) in of_row.iter().enumerate().filter(|(_, source)| **source != usize::MAX) {
                    let counted = &mut sources[source].1;
                    if values.is_null(row) {
                        counted.missing[at] += 1;
                        continue;
                    }
                    let offset = i64::from(values.value(row)) - i64::from(column.min);
                    match usize::try_from(offset).ok().and_then(|offset| counted.counts[at].get_mut(offset)) {
                        Some(count) => *count += 1,
                        None => counted.outside[at] += 1,
                    }
                }
            }
        }
        Ok(sources.into_iter().collect())
    }
}
