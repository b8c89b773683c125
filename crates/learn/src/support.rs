//! How many training cases resemble a patient: where a model has seen nobody, it guesses.
//!
//! A case resembles a patient when all codes and categories are the same and every number lies within
//! one twentieth of its range. Computed for every possible patient at once by sliding sums.

use clinical::{Kind, Study};

/// Fewer similar training cases than this make a patient unusual.
const FEWEST: f64 = 5.0;
/// Half the width of a number's window, as a share of its levels.
const WINDOW: f64 = 0.05;

/// One bit per possible patient: usual or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Support {
    usual: Vec<u8>,
}

impl Support {
    /// `weights`: training cases per cell of the study's domain, which must be a table's (it is walked whole).
    pub(crate) fn of(study: &Study, weights: &[(usize, f64)]) -> Support {
        let dims = study.domain().dims();
        let cells = study.domain().size().unwrap_or(0);
        let mut similar = vec![0.0; cells];
        for &(cell, weight) in weights {
            if let Some(place) = similar.get_mut(cell) {
                *place += weight;
            }
        }
        for (axis, feature) in study.features().iter().enumerate() {
            if matches!(feature.kind, Kind::Number { .. }) {
                let stride = dims.iter().skip(axis + 1).product();
                slide(&mut similar, stride, feature.dim(), (feature.dim() as f64 * WINDOW).round() as usize);
            }
        }
        let mut usual = vec![0u8; cells.div_ceil(8)];
        for (cell, &similar) in similar.iter().enumerate() {
            if similar >= FEWEST {
                usual[cell / 8] |= 1 << (cell % 8);
            }
        }
        Support { usual }
    }

    /// Whether at least five training cases resemble the patient.
    pub(crate) fn usual(&self, cell: usize) -> bool {
        self.usual.get(cell / 8).is_some_and(|byte| byte >> (cell % 8) & 1 == 1)
    }

    pub(crate) fn to_bytes(&self) -> &[u8] {
        &self.usual
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Support {
        Support { usual: bytes.to_vec() }
    }
}

/// Replaces every value by the sum over `-half..=half` along one axis.
fn slide(values: &mut [f64], stride: usize, dim: usize, half: usize) {
    let block = stride * dim;
    let mut prefix = vec![0.0; dim + 1];
    for start in (0..values.len()).step_by(block) {
        for offset in start..start + stride {
            for level in 0..dim {
                prefix[level + 1] = prefix[level] + values[offset + level * stride];
            }
            for level in 0..dim {
                let (low, high) = (level.saturating_sub(half), (level + half + 1).min(dim));
                values[offset + level * stride] = prefix[high] - prefix[low];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_means_same_codes_and_near_numbers() {
        let study = Study::default_study();
        let cell = |age, gender, days| study.domain().cell(&[age, gender, 0, 0, days]);
        let support = Support::of(study, &[(cell(50, 0, 10), 4.0), (cell(54, 0, 11), 1.0)]);
        assert!(support.usual(cell(50, 0, 10)));
        assert!(support.usual(cell(56, 0, 12)));
        assert!(!support.usual(cell(61, 0, 10)), "too far in age");
        assert!(!support.usual(cell(50, 1, 10)), "another gender");
        assert!(!support.usual(cell(50, 0, 20)), "too far in exercise");
        assert_eq!(Support::from_bytes(support.to_bytes()), support);
    }
}
