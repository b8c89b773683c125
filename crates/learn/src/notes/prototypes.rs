//! A class by the mean of its notes: enough where there are a handful of each.

use super::sparse::Sparse;

/// Power of the mean's entries: a finding of one case in five tells more than a fifth. Chosen on other diseases than
/// those it is measured on (`bench/run notes --choose`), as is the weight.
pub const EXPONENT: f64 = 0.35;
/// What a cosine of n-grams counts beside one of terms.
pub const NGRAM_WEIGHT: f64 = 0.25;

/// One prototype per class: the mean of its vectors with every entry raised to a power, of length 1 (Snell et al. 2017,
/// with the cosine of sparse text vectors for the distance of an embedding).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prototypes {
    /// By place: the classes that have it, with their value there.
    by_place: Vec<Vec<(u32, f64)>>,
    classes: usize,
}

impl Prototypes {
    /// `support`: vectors of length 1 and without negative entries, with their class, `0..classes`, over `places`
    /// places; `exponent` as [`EXPONENT`], 1 for the mean itself.
    pub fn of<'a>(
        classes: usize,
        places: usize,
        exponent: f64,
        support: impl IntoIterator<Item = (&'a Sparse, usize)>,
    ) -> Prototypes {
        let mut sums: Vec<Vec<(u32, f64)>> = vec![Vec::new(); classes];
        for (vector, class) in support {
            if let Some(sum) = sums.get_mut(class) {
                sum.extend_from_slice(vector.entries());
            }
        }
        let mut by_place = vec![Vec::new(); places];
        for (class, sum) in sums.into_iter().enumerate() {
            // The mean's length is divided out, so the sum does.
            let raised = Sparse::of(sum).map(|_, value| value.powf(exponent)).normalised();
            for &(place, value) in raised.entries() {
                if let Some(entries) = by_place.get_mut(place as usize) {
                    entries.push((class as u32, value));
                }
            }
        }
        Prototypes { by_place, classes }
    }

    /// The cosine of a vector of length 1 with each prototype.
    pub fn similarities(&self, vector: &Sparse) -> Vec<f64> {
        let mut similar = vec![0.0; self.classes];
        for &(place, value) in vector.entries() {
            for &(class, prototype) in self.by_place.get(place as usize).into_iter().flatten() {
                if let Some(similar) = similar.get_mut(class as usize) {
                    *similar += value * prototype;
                }
            }
        }
        similar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prototype_is_the_direction_of_the_mean() {
        let unit = |entries: &[(u32, f64)]| Sparse::of(entries.to_vec()).normalised();
        let (a, b, c) = (unit(&[(0, 1.0)]), unit(&[(1, 1.0)]), unit(&[(2, 2.0)]));
        let d = unit(&[(0, 3.0), (1, 4.0)]);
        let prototypes = Prototypes::of(3, 3, 1.0, [(&a, 0), (&b, 0), (&c, 1)]);
        let half = 0.5f64.sqrt();
        let close = |got: Vec<f64>, expected: [f64; 3]| {
            got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12)
        };
        assert!(close(prototypes.similarities(&a), [half, 0.0, 0.0]));
        assert!(close(prototypes.similarities(&c), [0.0, 1.0, 0.0]), "a class without notes is like nothing");
        let softened = Prototypes::of(1, 3, 0.5, [(&d, 0)]).similarities(&a);
        assert!((softened[0] - (3.0f64 / 7.0).sqrt()).abs() < 1e-12);
    }
}
