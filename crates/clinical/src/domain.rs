//! The finite set of possible patients.
//!
//! Every feature of a study takes one of a known number of levels, so a patient is a *cell*: the
//! mixed-radix number of its levels, first feature most significant. Counting, training tables,
//! explanations and verification all run over cells.

use serde::{Deserialize, Serialize};

use crate::Study;

/// A patient's accepted values, one per input of the study in the study's order: the number itself
/// for a number, the position of the code for a code. Only [`Study::check`] makes one, so every
/// value is inside its range.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Patient(pub(crate) Vec<i32>);

impl Patient {
    /// Values that were accepted once, as they were kept. Whether they are a study's must be looked at.
    pub fn read_back(values: Vec<i32>) -> Patient {
        Patient(values)
    }

    pub fn values(&self) -> &[i32] {
        &self.0
    }
}

/// The index of one possible patient, `0..Domain::size()`.
pub type Cell = usize;

/// The shape of the set of possible patients: how many levels each feature has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    dims: Vec<usize>,
}

impl Domain {
    pub fn new(dims: Vec<usize>) -> Self {
        Domain { dims }
    }

    /// Levels per feature, in the study's order.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The number of possible patients; `None` when it does not fit the machine's word.
    pub fn size(&self) -> Option<usize> {
        self.dims.iter().try_fold(1usize, |size, &dim| size.checked_mul(dim))
    }

    /// The cell of one level per feature. Levels must be inside their dimension.
    pub fn cell(&self, levels: &[usize]) -> Cell {
        debug_assert_eq!(levels.len(), self.dims.len());
        self.dims.iter().zip(levels).fold(0, |cell, (&dim, &level)| cell * dim + level)
    }

    /// The levels of a cell: the inverse of [`Domain::cell`].
    pub fn levels(&self, cell: Cell) -> Vec<usize> {
        let mut levels = vec![0; self.dims.len()];
        self.levels_into(cell, &mut levels);
        levels
    }

    /// The same into `levels`, one place per feature.
    pub fn levels_into(&self, mut cell: Cell, levels: &mut [usize]) {
        for (level, &dim) in levels.iter_mut().zip(&self.dims).rev() {
            *level = cell % dim;
            cell /= dim;
        }
    }
}

impl Study {
    /// The levels of a patient's features, in the study's order.
    pub fn levels(&self, patient: &Patient) -> Vec<usize> {
        let mut levels = Vec::with_capacity(self.features().len());
        for feature in self.features() {
            let values = &patient.0[feature.inputs.clone()];
            levels.push(self.level(feature, values));
        }
        levels
    }

    /// The cell of a patient.
    pub fn cell(&self, patient: &Patient) -> Cell {
        self.domain().cell(&self.levels(patient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_study_has_154_880_possible_patients_and_cells_round_trip() {
        let domain = Study::default_study().domain().clone();
        assert_eq!(domain.dims(), &[121, 2, 4, 5, 32]);
        let size = domain.size().unwrap();
        assert_eq!(size, 154_880);
        for cell in (0..size).step_by(97).chain([size - 1]) {
            assert_eq!(domain.cell(&domain.levels(cell)), cell);
        }
    }
}
