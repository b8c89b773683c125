//! One input's values, counted in the same pass as the cells.

use arrow::array::{Array, Int32Array};
use serde::{Deserialize, Serialize};

use crate::LakeError;

/// An input whose values are counted one by one: a category of several inputs hides them in the cells.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Margin {
    /// The input's column.
    pub column: String,
    /// The smallest value that is counted.
    pub min: i32,
    /// Values that are counted, from there.
    pub len: u32,
}

/// How often each value came, by slot group. Rows whose value is null or outside are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarginCounts {
    pub margin: Margin,
    /// Slot groups.
    pub groups: u32,
    /// Rows of (value, group) at `(value - min) * groups + group`.
    pub rows: Vec<u64>,
}

impl MarginCounts {
    pub(super) fn new(margin: &Margin, groups: u64) -> MarginCounts {
        let places = u64::from(margin.len) * groups;
        MarginCounts { margin: margin.clone(), groups: groups as u32, rows: vec![0; places as usize] }
    }

    /// `(value, slot group, rows)` where there are any, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i32, u8, u64)> + '_ {
        let groups = self.groups.max(1) as usize;
        self.rows.iter().enumerate().filter(|(_, rows)| **rows > 0).map(move |(place, &rows)| {
            (self.margin.min + (place / groups) as i32, (place % groups) as u8, rows)
        })
    }

    /// Counts a column's rows; `group` is each row's slot group.
    pub(super) fn count(&mut self, values: &Int32Array, group: &[u8]) {
        let groups = self.groups as usize;
        let mut one = |value: i32, group: u8| {
            let offset = value.wrapping_sub(self.margin.min) as u32;
            if offset < self.margin.len {
                self.rows[offset as usize * groups + usize::from(group)] += 1;
            }
        };
        match values.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => values.values().iter().zip(group).for_each(|(&value, &group)| one(value, group)),
            Some(nulls) => {
                let all = values.values().iter().zip(group).zip(nulls.iter());
                all.filter(|(_, valid)| *valid).for_each(|((&value, &group), _)| one(value, group));
            }
        }
    }
}

/// The counts of both.
pub(super) fn add(a: &[MarginCounts], b: &[MarginCounts]) -> Result<Vec<MarginCounts>, LakeError> {
    let alike = |(a, b): (&MarginCounts, &MarginCounts)| a.margin == b.margin && a.groups == b.groups;
    if a.len() != b.len() || !a.iter().zip(b).all(alike) {
        return Err(LakeError::DifferentCohorts);
    }
    let sum = |(a, b): (&MarginCounts, &MarginCounts)| MarginCounts {
        rows: a.rows.iter().zip(&b.rows).map(|(a, b)| a + b).collect(),
        ..a.clone()
    };
    Ok(a.iter().zip(b).map(sum).collect())
}
