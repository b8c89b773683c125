//! Recall where outcomes are looked for in some patients more than in others.
//!
//! Alarms are reviewed, everybody else's outcome comes as it comes. The share of the alarmed among the orphan cases that are
//! known is no recall then: neither among the reviews, nor among what comes besides, where the alarmed are missing. Whose outcome is known
//! does not depend on it *within* the alarmed and within the others, so each group's share of orphan cases is measured in it,
//! and counts for as many patients as it has (Begg and Greenes, Biometrics 39, 1983).

use crate::figure::{Estimate, Figure};
use crate::proportion::interval;

/// Share of the tails outside of each group's interval: both hold together with 95 % at least (Bonferroni).
const TAIL: f64 = 0.0125;

/// The alarmed patients, or all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stratum {
    /// All of them, whether anything is known of them or not.
    pub patients: u64,
    /// Those whose outcome is known.
    pub verified: u64,
    /// Those of them who have an orphan disease.
    pub orphans: u64,
}

impl Stratum {
    /// Patients with an orphan disease by the share of the verified, and by both ends of its interval.
    fn orphans(&self) -> Option<[f64; 3]> {
        let patients = self.patients as f64;
        if self.patients == 0 {
            return Some([0.0; 3]);
        }
        let (low, high) = interval(self.orphans, self.verified, TAIL)?;
        let share = self.orphans as f64 / self.verified as f64;
        Some([low, share, high].map(|share| share * patients))
    }
}

/// Share of the orphan cases that are alarmed, with an interval that holds it with 95 % at least; `n` is the number of known
/// orphan cases. Undefined where nothing is known of a group that has patients, or no orphan case is known.
#[must_use]
pub fn recall_by_verified(alarmed: Stratum, others: Stratum) -> Figure {
    let n = alarmed.orphans + others.orphans;
    let (Some(found), Some(missed)) = (alarmed.orphans(), others.orphans()) else {
        return Figure::undefined("outcomes are known of alarmed patients only, or of others only");
    };
    if n == 0 {
        return Figure::undefined("no orphan case is known");
    }
    let recall = |found: f64, missed: f64| if found + missed > 0.0 { found / (found + missed) } else { 0.0 };
    let [low, value, high] =
        [recall(found[0], missed[2]), recall(found[1], missed[1]), recall(found[2], missed[0])];
    Figure::Measured(Estimate { value, low, high, n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(patients: u64, verified: u64, orphans: u64) -> Stratum {
        Stratum { patients, verified, orphans }
    }

    /// By hand: 30 of 40 alarmed are orphans, all reviewed; of 960 others a half is known, 4 of them orphans, so 8 in all.
    #[test]
    fn each_group_counts_for_all_its_patients() {
        let figure = recall_by_verified(group(40, 40, 30), group(960, 480, 4));
        let found = *figure.estimate().unwrap();
        assert!((found.value - 30.0 / 38.0).abs() < 1e-12);
        assert!(found.low > 0.5 && found.low < found.value && found.value < found.high && found.high < 1.0);
        assert_eq!(found.n, 34);
        // Counting the known ones alone takes the recall too high, and those who came besides have none at all.
        assert!(found.value < 30.0 / 34.0);
    }

    #[test]
    fn where_everybody_is_verified_it_is_the_plain_recall() {
        let figure = recall_by_verified(group(40, 40, 28), group(960, 960, 12));
        assert!((figure.value().unwrap() - 0.70).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_known_is_not_guessed() {
        assert!(recall_by_verified(group(40, 40, 30), group(960, 0, 0)).value().is_none());
        assert!(recall_by_verified(group(40, 0, 0), group(960, 500, 3)).value().is_none());
        assert!(recall_by_verified(group(40, 40, 0), group(960, 500, 0)).value().is_none());
        assert_eq!(recall_by_verified(group(0, 0, 0), group(960, 500, 3)).value(), Some(0.0));
    }

    /// 2,000 looks at a service whose recall is 0.75: the interval misses it in 5 % of them at most.
    #[test]
    fn the_interval_keeps_its_promise() {
        use rand_chacha::ChaCha8Rng;
        use rand_chacha::rand_core::{RngCore, SeedableRng};

        let mut dice = ChaCha8Rng::seed_from_u64(3);
        let mut draws = |n: u64, p: f64| {
            (0..n).filter(|_| (dice.next_u32() as f64) < p * f64::from(u32::MAX)).count() as u64
        };
        let looks = 2_000;
        let missed = (0..looks).filter(|_| {
            // 1,000 patients, of whom 30 have an orphan disease: 22.5 among 30 alarmed, 7.5 among the others.
            let alarmed = group(30, 30, draws(30, 0.75));
            let others = group(970, 400, draws(400, 7.5 / 970.0));
            let figure = recall_by_verified(alarmed, others);
            figure.estimate().is_some_and(|found| !(found.low..=found.high).contains(&0.75))
        });
        assert!(missed.count() as f64 <= 0.05 * f64::from(looks));
    }
}
