//! What resampling makes: cases that never happened, kept apart from those that did.

use std::collections::BTreeMap;

use clinical::Cell;

use super::TrainingCounts;

/// Synthetic cases, counted per possible patient and group, for the member that leaves out one fold.
///
/// They are for a learner to train on and for a report to describe. They are no [`crate::Count`]s: nothing that
/// measures, calibrates or chooses a threshold takes them.
///
/// ```compile_fail,E0308
/// fn measured(study: &clinical::Study, synthetic: &prepare::Synthetic) -> usize {
///     let cohort: &prepare::Cohort = synthetic; // whatever is measured comes from a cohort
///     cohort.of_set(study, prepare::Set::Validation).count()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synthetic {
    left_out: usize,
    groups: usize,
    /// Distinct cells, ascending.
    cells: Vec<Cell>,
    /// Synthetic cases of each group per cell, `cells x groups`.
    counts: Vec<u64>,
}

impl Synthetic {
    /// Cases made from `training`: (group, cell, cases) in any order; equal keys add up. Groups that the training
    /// cases do not have are left out.
    pub fn of(training: &TrainingCounts, made: impl IntoIterator<Item = (usize, Cell, u64)>) -> Synthetic {
        let groups = training.group_names().len();
        let mut by_cell: BTreeMap<Cell, Vec<u64>> = BTreeMap::new();
        for (group, cell, cases) in made.into_iter().filter(|made| made.0 < groups && made.2 > 0) {
            if let Some(place) = by_cell.entry(cell).or_insert_with(|| vec![0; groups]).get_mut(group) {
                *place += cases;
            }
        }
        Synthetic {
            left_out: training.left_out(),
            groups,
            cells: by_cell.keys().copied().collect(),
            counts: by_cell.into_values().flatten().collect(),
        }
    }

    /// The fold that had no part in these cases: only the member that leaves it out may train on them.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Distinct patients, ascending.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Synthetic cases of each group of the `i`-th cell; empty when there is none.
    pub fn counts(&self, i: usize) -> &[u64] {
        self.counts.get(i * self.groups..(i + 1) * self.groups).unwrap_or_default()
    }

    /// The cells of one group with their synthetic cases, ascending by cell.
    pub fn of_group(&self, group: usize) -> impl Iterator<Item = (Cell, u64)> + '_ {
        let counted = self.cells.iter().enumerate().map(move |(i, &cell)| (cell, self.counts(i).get(group)));
        counted.filter_map(|(cell, count)| count.filter(|count| **count > 0).map(|&count| (cell, count)))
    }

    /// Synthetic cases per group.
    pub fn totals(&self) -> Vec<u64> {
        (0..self.groups).map(|group| self.of_group(group).map(|(_, count)| count).sum()).collect()
    }
}
