//! How many synthetic cases each group gets.

use super::{ResampleError, TrainingCounts};

/// Synthetic cases per group, so that orphan cases, real and synthetic, are `share` (0 to 1, exclusive) of all
/// training cases. Every orphan group grows by the same factor; the groups' odds among the orphan cases and among
/// the others stay what they are. None where the share is reached already.
///
/// # Errors
/// [`ResampleError::Share`] outside its range; [`ResampleError::NoOrphan`] without an orphan case.
pub fn orphan_share(training: &TrainingCounts, share: f64) -> Result<Vec<u64>, ResampleError> {
    if !(share > 0.0 && share < 1.0) {
        return Err(ResampleError::Share);
    }
    let totals = training.totals();
    let sum = |orphan: bool| -> u64 {
        totals.iter().zip(training.orphan()).filter(|(_, of)| **of == orphan).map(|(total, _)| total).sum()
    };
    let (orphans, others) = (sum(true), sum(false));
    if orphans == 0 {
        return Err(ResampleError::NoOrphan);
    }
    let factor = share / (1.0 - share) * others as f64 / orphans as f64;
    let wanted = totals.iter().zip(training.orphan()).map(|(&total, &orphan)| {
        if orphan { ((factor - 1.0) * total as f64).round().max(0.0) as u64 } else { 0 }
    });
    Ok(wanted.collect())
}

#[cfg(test)]
mod tests {
    use clinical::{Rarity, Severity, Study};

    use super::*;
    use crate::{Cohort, Folds, Groups, Stratum};

    /// Fold 0 is left out: of each group's cases one in two remains.
    fn training(healthy: u64, mild_orphan: u64, chronic_orphan: u64) -> TrainingCounts {
        let study = Study::default_study();
        let stratum = |severity, rarity| Stratum { severity: Severity(severity), rarity, disease_code: None };
        let groups = [
            (stratum(0, None), healthy),
            (stratum(1, Some(Rarity::Orphan)), mild_orphan),
            (stratum(3, Some(Rarity::Orphan)), chronic_orphan),
        ];
        let counts = groups.into_iter().flat_map(|(stratum, cases)| {
            [0u8, 13].map(|slot| (100 + usize::from(slot), slot, stratum.clone(), cases))
        });
        let cohort = Cohort::new(counts);
        let folds = Folds::new(&study.split, 2);
        TrainingCounts::without_fold(study, &cohort, &Groups::of(study, &cohort), folds, 0).unwrap()
    }

    #[test]
    fn orphan_groups_grow_by_one_factor_to_the_share() {
        let training = training(900, 40, 60);
        assert_eq!(training.totals(), [900, 40, 60]);
        assert_eq!(training.left_out(), 0);
        let wanted = orphan_share(&training, 0.25).unwrap();
        assert_eq!(wanted, [0, 80, 120]);
        let orphans = wanted.iter().sum::<u64>() + 100;
        assert_eq!(orphans * 3, 900);
    }

    #[test]
    fn a_share_that_is_reached_wants_nothing_and_one_that_is_none_is_refused() {
        assert_eq!(orphan_share(&training(900, 40, 60), 0.05).unwrap(), [0, 0, 0]);
        assert_eq!(orphan_share(&training(900, 0, 0), 0.2), Err(ResampleError::NoOrphan));
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            assert_eq!(orphan_share(&training(900, 1, 1), share), Err(ResampleError::Share));
        }
    }
}
