//! The cohort query: possible patients, counted by split slot and outcome.
//!
//! One pass over the columns that it needs, on as many threads as are given. A plan of the caller maps each
//! row's inputs to a cell; the outcome's number and the cell make an integer key, and keys are counted
//! ([`count`]). Cohorts add: the sum of two is the cohort of both sets of rows.

mod cache;
mod count;
mod margin;
mod query;

use serde::{Deserialize, Serialize};

use crate::{LakeError, Outcome, SLOTS};

pub use cache::CohortCache;
pub use margin::{Margin, MarginCounts};

/// Cell of a row that lies outside the plan's domain; such rows are counted in [`Cohort::outside`] only.
pub const NO_CELL: u32 = u32::MAX;

/// Group of rows without a split slot, when each slot is kept ([`EACH_SLOT`]).
pub const NO_SLOT: u8 = SLOTS;

/// [`CohortQuery::slot_group`] that keeps each slot, and rows without one as [`NO_SLOT`].
pub const EACH_SLOT: [u8; SLOTS as usize + 1] = {
    let mut groups = [0; SLOTS as usize + 1];
    let mut slot = 0;
    while slot < groups.len() {
        groups[slot] = slot as u8;
        slot += 1;
    }
    groups
};

/// From the inputs of rows to the cells of the domain, whole columns at a time.
pub trait CellMap: Sync {
    /// Input columns that the map reads.
    fn columns(&self) -> &[String];
    /// Number of cells; every cell is below it.
    fn len(&self) -> u32;
    /// Writes the cell of each row to `out`, or [`NO_CELL`]. `columns` are as [`CellMap::columns`] names them,
    /// each as long as `out`. Rows with a null are not counted, whatever is written for them.
    fn cells(&self, columns: &[&[i32]], out: &mut [u32]);
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What to count.
pub struct CohortQuery<'a> {
    pub cells: &'a dyn CellMap,
    /// Group of each slot 0..20, then of rows without a slot: [`EACH_SLOT`], or for instance train, validation, test.
    pub slot_group: [u8; SLOTS as usize + 1],
    /// Inputs whose values are counted one by one beside the cells.
    pub margins: &'a [Margin],
    /// Threads to use, at least 1.
    pub threads: usize,
}

impl std::fmt::Debug for CohortQuery<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CohortQuery").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Rows of one cell, slot group and outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortCount {
    pub cell: u32,
    /// Index in [`Cohort::outcomes`].
    pub outcome: u32,
    /// Slot group, as [`CohortQuery::slot_group`] gave it.
    pub group: u8,
    /// At least 1.
    pub rows: u64,
}

impl CohortCount {
    fn key(&self) -> (u32, u32, u8) {
        (self.outcome, self.cell, self.group)
    }
}

/// A counted set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// Cells of the domain.
    pub cells: u32,
    /// Outcomes met, ascending; rows without a confirmed one have the outcome of three `None`s.
    pub outcomes: Vec<Outcome>,
    /// Ascending by outcome, cell, group; no two with the same three.
    pub counts: Vec<CohortCount>,
    /// Rows counted: the sum of `counts`.
    pub rows: u64,
    /// Rows that are in no cell: a needed input is null or outside the plan's domain.
    pub outside: u64,
    /// As [`CohortQuery::margins`] asked for them.
    pub margins: Vec<MarginCounts>,
}

impl Cohort {
    /// The cohort of the rows of both.
    ///
    /// # Errors
    /// [`LakeError::DifferentCohorts`] when their domains or margins differ.
    pub fn add(&self, other: &Cohort) -> Result<Cohort, LakeError> {
        if self.cells != other.cells {
            return Err(LakeError::DifferentCohorts);
        }
        let margins = margin::add(&self.margins, &other.margins)?;
        let mut outcomes: Vec<Outcome> = self.outcomes.iter().chain(&other.outcomes).cloned().collect();
        outcomes.sort();
        outcomes.dedup();
        let renumbered = |cohort: &Cohort| -> Vec<CohortCount> {
            let number = |outcome: &Outcome| outcomes.partition_point(|known| known < outcome) as u32;
            let new: Vec<u32> = cohort.outcomes.iter().map(number).collect();
            let renumber =
                |count: &CohortCount| CohortCount { outcome: new[count.outcome as usize], ..*count };
            // Both numberings ascend, so the order stays.
            cohort.counts.iter().map(renumber).collect()
        };
        let counts = merge(&renumbered(self), &renumbered(other));
        Ok(Cohort {
            cells: self.cells,
            outcomes,
            counts,
            rows: self.rows + other.rows,
            outside: self.outside + other.outside,
            margins,
        })
    }
}

/// Sums two ascending lists.
fn merge(a: &[CohortCount], b: &[CohortCount]) -> Vec<CohortCount> {
    let mut sum = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        let order = x.key().cmp(&y.key());
        let rows = if order.is_eq() { x.rows + y.rows } else { 0 };
        let next = if order.is_gt() { b.next() } else { a.next() };
        if order.is_eq() {
            b.next();
        }
        sum.extend(next.map(|count| CohortCount { rows: rows.max(count.rows), ..*count }));
    }
    sum.extend(a);
    sum.extend(b);
    sum
}
