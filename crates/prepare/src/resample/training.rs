//! What may be resampled: the training cases that one member of a cross-fit learns from.

use std::collections::BTreeMap;

use clinical::{Cell, Study};

use super::ResampleError;
use crate::{Cohort, Folds, Groups, Set};

/// The counted training cases of every fold but one.
///
/// Synthetic cases are made of several real ones. Made before the data are divided, they carry what is known of
/// the held-out cases into the training set, and any table then looks solved: a table of pure noise has shown
/// a ROC area of 0.996. Therefore a method of resampling takes this type alone, and the only way to it is
/// through the training set and a fold that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingCounts {
    left_out: usize,
    names: Vec<String>,
    orphan: Vec<bool>,
    /// Distinct cells, ascending.
    cells: Vec<Cell>,
    /// Cases of each group per cell, `cells x groups`.
    counts: Vec<u64>,
}

impl TrainingCounts {
    /// The training cases outside `fold`.
    ///
    /// # Errors
    /// [`ResampleError::Fold`] when there is no such fold, or it is the only one.
    pub fn without_fold(
        study: &Study,
        cohort: &Cohort,
        groups: &Groups,
        folds: Folds,
        fold: usize,
    ) -> Result<TrainingCounts, ResampleError> {
        if folds.count() < 2 || fold >= folds.count() {
            return Err(ResampleError::Fold { fold, folds: folds.count() });
        }
        let mut by_cell: BTreeMap<Cell, Vec<u64>> = BTreeMap::new();
        for count in cohort.of_set(study, Set::Train) {
            if folds.of_slot(count.slot).is_none_or(|of| of == fold) {
                continue;
            }
            let row = by_cell.entry(count.cell).or_insert_with(|| vec![0; groups.len()]);
            if let Some(place) = groups.of_stratum(count.stratum).and_then(|group| row.get_mut(group)) {
                *place += count.count;
            }
        }
        Ok(TrainingCounts {
            left_out: fold,
            names: groups.names().to_vec(),
            orphan: groups.pairs().iter().map(|(_, orphan)| *orphan).collect(),
            cells: by_cell.keys().copied().collect(),
            counts: by_cell.into_values().flatten().collect(),
        })
    }

    /// The fold whose cases are not among these.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Distinct patients, ascending.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Names of the groups, in the order of the counts.
    pub fn group_names(&self) -> &[String] {
        &self.names
    }

    /// Whether each group's disease is orphan.
    pub fn orphan(&self) -> &[bool] {
        &self.orphan
    }

    /// Cases of each group of the `i`-th cell; empty when there is none.
    pub fn counts(&self, i: usize) -> &[u64] {
        let groups = self.names.len();
        self.counts.get(i * groups..(i + 1) * groups).unwrap_or_default()
    }

    /// The cells of one group with their cases, ascending by cell.
    pub fn of_group(&self, group: usize) -> impl Iterator<Item = (Cell, u64)> + '_ {
        let counted = self.cells.iter().enumerate().map(move |(i, &cell)| (cell, self.counts(i).get(group)));
        counted.filter_map(|(cell, count)| count.filter(|count| **count > 0).map(|&count| (cell, count)))
    }

    /// Cases per group.
    pub fn totals(&self) -> Vec<u64> {
        (0..self.names.len()).map(|group| self.of_group(group).map(|(_, count)| count).sum()).collect()
    }
}
