//! Conditions on a row of the foreign file, on its values as they stand there.

use super::value::Scalar;
use crate::cell::Cell;

/// Holds when every test of `all` holds and, unless `any` is empty, at least one of `any`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Condition {
    pub(crate) all: Vec<Test>,
    pub(crate) any: Vec<Test>,
}

/// A test of one column (a position in the mapping's list). Everything that it says must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Test {
    pub(crate) column: usize,
    /// The value is one of these.
    pub(crate) is: Option<Vec<Scalar>>,
    /// The value is none of these; an empty cell passes.
    pub(crate) not: Option<Vec<Scalar>>,
    /// Its text begins with one of these: a chapter of a classification.
    pub(crate) starts_with: Option<Vec<String>>,
    pub(crate) missing: Option<bool>,
    /// Bounds; only a number can pass them.
    pub(crate) below: Option<f64>,
    pub(crate) above: Option<f64>,
    pub(crate) at_least: Option<f64>,
    pub(crate) at_most: Option<f64>,
}

impl Condition {
    pub(crate) fn holds<'a>(&self, cell: impl Fn(usize) -> Cell<'a>) -> bool {
        self.all.iter().all(|test| test.passes(cell(test.column)))
            && (self.any.is_empty() || self.any.iter().any(|test| test.passes(cell(test.column))))
    }
}

impl Test {
    fn passes(&self, cell: Cell<'_>) -> bool {
        let among = |values: &Vec<Scalar>| values.iter().any(|value| value.matches(cell));
        let number = cell.number();
        let begins = |starts: &Vec<String>| {
            cell.text().is_some_and(|text| starts.iter().any(|start| text.starts_with(start.as_str())))
        };
        let bound = |limit: Option<f64>, holds: fn(f64, f64) -> bool| {
            limit.is_none_or(|limit| number.is_some_and(|number| holds(number, limit)))
        };
        self.is.as_ref().is_none_or(among)
            && !self.not.as_ref().is_some_and(among)
            && self.starts_with.as_ref().is_none_or(begins)
            && self.missing.is_none_or(|missing| cell.is_empty() == missing)
            && bound(self.below, |number, limit| number < limit)
            && bound(self.above, |number, limit| number > limit)
            && bound(self.at_least, |number, limit| number >= limit)
            && bound(self.at_most, |number, limit| number <= limit)
    }
}
