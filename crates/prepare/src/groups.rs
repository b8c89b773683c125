//! The classes that a model tells apart: the pairs of severity and rarity that occur among the training cases.

use clinical::{Severity, Study};

use crate::{Cohort, Set, Stratum};

/// The groups of a cohort, in the order of severity, then common before orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    pairs: Vec<(Severity, bool)>,
    /// `healthy`, `mild common`, `mild orphan`: what an error calls a group.
    names: Vec<String>,
    /// Group of each of the cohort's strata; none where no training case has the pair.
    of_stratum: Vec<Option<usize>>,
}

impl Groups {
    pub fn of(study: &Study, cohort: &Cohort) -> Groups {
        let pair = |stratum: &Stratum| (stratum.severity, stratum.is_orphan());
        let strata = cohort.strata();
        let mut pairs: Vec<(Severity, bool)> = cohort
            .of_set(study, Set::Train)
            .filter_map(|count| strata.get(count.stratum))
            .map(pair)
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        let name = |&(severity, orphan): &(Severity, bool)| {
            let code = &study.severity(severity).code;
            match (severity == study.healthy(), orphan) {
                (true, false) => code.clone(),
                (_, true) => format!("{code} orphan"),
                (_, false) => format!("{code} common"),
            }
        };
        Groups {
            names: pairs.iter().map(name).collect(),
            of_stratum: strata.iter().map(|stratum| pairs.binary_search(&pair(stratum)).ok()).collect(),
            pairs,
        }
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// (severity, whether orphan) of every group.
    pub fn pairs(&self) -> &[(Severity, bool)] {
        &self.pairs
    }

    /// What errors and reports call the groups.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The group of a stratum of the cohort; none where no training case belongs to it.
    pub fn of_stratum(&self, stratum: usize) -> Option<usize> {
        self.of_stratum.get(stratum).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use clinical::Rarity;

    use super::*;

    #[test]
    fn groups_are_the_pairs_of_the_training_cases_in_order() {
        let study = Study::default_study();
        let stratum = |severity, rarity, disease: &str| Stratum {
            severity: Severity(severity),
            rarity,
            disease_code: Some(disease.to_owned()),
        };
        let cohort = Cohort::new([
            (1, 0, stratum(3, Some(Rarity::Orphan), "a"), 1),
            (2, 1, stratum(3, Some(Rarity::Orphan), "b"), 1),
            (3, 2, stratum(1, Some(Rarity::Common), "c"), 1),
            (4, 3, Stratum { severity: study.healthy(), rarity: None, disease_code: None }, 1),
            (5, 19, stratum(2, Some(Rarity::Common), "only in the test set"), 1),
        ]);
        let groups = Groups::of(study, &cohort);
        assert_eq!(groups.names(), ["healthy", "mild common", "chronic orphan"]);
        assert_eq!(groups.pairs()[2], (Severity(3), true));
        let of: Vec<Option<usize>> = (0..5).map(|stratum| groups.of_stratum(stratum)).collect();
        assert_eq!(of, [Some(0), Some(1), None, Some(2), Some(2)]);
        assert_eq!(groups.of_stratum(5), None);
    }
}
