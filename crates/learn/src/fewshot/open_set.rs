//! "None of these": how unusual it is to lie as far from every prototype as a patient does.
//!
//! The conformal p-value (Vovk, Gammerman and Shafer 2005): the rank of the distance to the nearest
//! prototype among those of known cases that did not make the prototypes. For a patient with a known
//! disease P(p <= a) <= a, whatever the distances' distribution.

/// Kept ranks differ by at least this share of themselves: p is exact to it, and never too small.
const RESOLUTION: f64 = 0.01;

/// Distances of known cases to their nearest prototype.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpenSet {
    /// Cases measured.
    pub(super) cases: f64,
    /// Steps (distance, cases at least about that far), ascending by distance.
    pub(super) tail: Vec<[f64; 2]>,
}

impl OpenSet {
    /// From (distance, cases) in any order.
    pub(super) fn new(mut measured: Vec<(f64, f64)>) -> OpenSet {
        measured.retain(|(_, count)| *count > 0.0);
        measured.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut beyond = 0.0;
        let mut tail: Vec<[f64; 2]> = Vec::new();
        // The limit of cases up to which a distance joins the step above it.
        let mut limit = 0.0;
        for (distance, count) in measured {
            beyond += count;
            match tail.last_mut() {
                Some([step, cases]) if *step == distance || beyond <= limit => *cases = beyond,
                _ => {
                    tail.push([distance, beyond]);
                    limit = beyond * (1.0 + RESOLUTION);
                }
            }
        }
        tail.reverse();
        OpenSet { cases: beyond, tail }
    }

    /// The p-value of a distance: small when few known cases lie that far. 1 without known cases.
    pub fn p_value(&self, distance: f64) -> f64 {
        let above = self.tail.partition_point(|&[step, _]| step < distance);
        let beyond = self.tail.get(above).map_or(0.0, |&[_, beyond]| beyond);
        (beyond + 1.0) / (self.cases + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_is_the_rank_among_known_cases() {
        let open = OpenSet::new(vec![(3.0, 1.0), (1.0, 5.0), (2.0, 3.0), (9.0, 0.0)]);
        let p = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.1].map(|distance| open.p_value(distance));
        assert_eq!(p, [1.0, 1.0, 0.5, 0.5, 0.2, 0.2, 0.1]);
        assert_eq!(OpenSet::default().p_value(7.0), 1.0);
    }

    #[test]
    fn thinning_never_makes_p_smaller_and_keeps_it_within_a_hundredth() {
        let distances: Vec<(f64, f64)> =
            (0..20_000).map(|i| (f64::from((i * 7_919) % 20_000), 1.0)).collect();
        let open = OpenSet::new(distances.clone());
        assert!(open.tail.len() < 1_500, "{} steps", open.tail.len());
        for distance in (0..20_005).map(|d| f64::from(d) - 0.5) {
            let beyond = distances.iter().filter(|(known, _)| *known >= distance).count() as f64;
            let exact = (beyond + 1.0) / 20_001.0;
            let p = open.p_value(distance);
            assert!(p >= exact && p <= exact * 1.011, "{distance}: {p} for {exact}");
        }
    }
}
