//! Vectors that are mostly zero.

use serde::{Deserialize, Serialize};

/// Non-zero entries by ascending place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sparse {
    entries: Vec<(u32, f64)>,
}

impl Sparse {
    /// Sums entries of the same place.
    pub fn of(mut entries: Vec<(u32, f64)>) -> Sparse {
        entries.sort_by_key(|(place, _)| *place);
        entries.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        entries.retain(|(_, value)| *value != 0.0);
        Sparse { entries }
    }

    pub fn entries(&self) -> &[(u32, f64)] {
        &self.entries
    }

    pub fn map(&self, value: impl Fn(u32, f64) -> f64) -> Sparse {
        Sparse { entries: self.entries.iter().map(|&(place, old)| (place, value(place, old))).collect() }
    }

    pub fn norm(&self) -> f64 {
        self.entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt()
    }

    /// Of length 1; the zero vector stays.
    #[must_use]
    pub fn normalised(self) -> Sparse {
        let norm = self.norm();
        if norm > 0.0 { self.map(|_, value| value / norm) } else { self }
    }

    /// The sum of the products with a dense vector, whose missing places are 0.
    pub fn dot_dense(&self, dense: &[f32]) -> f64 {
        let product = |&(place, value): &(u32, f64)| {
            value * f64::from(dense.get(place as usize).copied().unwrap_or_default())
        };
        self.entries.iter().map(product).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_summed_sorted_and_scaled() {
        let vector = Sparse::of(vec![(7, 1.0), (2, 4.0), (7, 2.0), (5, 1.0), (5, -1.0)]);
        assert_eq!(vector.entries(), [(2, 4.0), (7, 3.0)]);
        assert_eq!(vector.norm(), 5.0);
        assert_eq!(vector.dot_dense(&[0.0, 0.0, 10.0]), 40.0);
        assert_eq!(vector.normalised().entries(), [(2, 0.8), (7, 0.6)]);
        assert_eq!(Sparse::default().normalised(), Sparse::default());
    }
}
