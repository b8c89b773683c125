//! The cohort: counts of confirmed cases by possible patient, split slot and outcome.
//!
//! Counts are sufficient: training, calibration, metrics and drift on weighted cells give what the
//! rows give. Cohorts add, so a year is the sum of its months.

use std::collections::BTreeMap;

use clinical::{Cell, Outcome, Rarity, Severity, Study};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::split::Set;

/// Outcome of a group of cases: severity, rarity and, where it is known, the disease.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stratum {
    pub severity: Severity,
    pub rarity: Option<Rarity>,
    pub disease_code: Option<String>,
}

impl From<&Outcome> for Stratum {
    fn from(outcome: &Outcome) -> Self {
        Stratum {
            severity: outcome.severity,
            rarity: outcome.rarity,
            disease_code: outcome.disease_code.clone(),
        }
    }
}

impl Stratum {
    pub fn is_orphan(&self) -> bool {
        self.rarity == Some(Rarity::Orphan)
    }
}

/// `count` cases of patient `cell` with outcome `stratum` (index into [`Cohort::strata`]) in split slot `slot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub cell: Cell,
    pub slot: u8,
    pub stratum: usize,
    pub count: u64,
}

/// A counted cohort. Counts are sorted by (cell, slot, stratum) and never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cohort {
    strata: Vec<Stratum>,
    counts: Vec<Count>,
}

/// A cohort that no model can be trained on, with what is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CohortError {
    #[error("the dataset version holds no confirmed case: ingest cases with `severity` and `rarity` first")]
    Empty,
    #[error("the {set} set has no case: at least about twenty confirmed patients per outcome are needed")]
    EmptySet { set: &'static str },
    #[error("all training cases have the severity `{severity}`: there is nothing to learn")]
    OneClass { severity: String },
}

impl Cohort {
    /// Builds a cohort from counts in any order; equal keys are added up.
    pub fn new(counts: impl IntoIterator<Item = (Cell, u8, Stratum, u64)>) -> Cohort {
        let mut index: BTreeMap<Stratum, usize> = BTreeMap::new();
        let mut raw = Vec::new();
        for (cell, slot, stratum, count) in counts.into_iter().filter(|count| count.3 > 0) {
            let next = index.len();
            raw.push((cell, slot, *index.entry(stratum).or_insert(next), count));
        }
        // Strata are numbered in their own order, so that a cohort does not depend on the rows' order.
        let mut order = vec![0; index.len()];
        for (position, &first) in index.values().enumerate() {
            order[first] = position;
        }
        let strata = index.into_keys().collect();
        let mut counts: Vec<Count> = raw
            .into_iter()
            .map(|(cell, slot, stratum, count)| Count { cell, slot, stratum: order[stratum], count })
            .collect();
        counts.sort_unstable_by_key(|count| (count.cell, count.slot, count.stratum));
        counts.dedup_by(|next, kept| {
            let same = (next.cell, next.slot, next.stratum) == (kept.cell, kept.slot, kept.stratum);
            if same {
                kept.count += next.count;
            }
            same
        });
        Cohort { strata, counts }
    }

    pub fn strata(&self) -> &[Stratum] {
        &self.strata
    }

    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// The number of cases.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.count).sum()
    }

    /// SHA-256 over every count with its patient, slot and outcome, in lower-case hexadecimal: equal exactly where
    /// cohorts are equal, whatever the order in which their rows were stored.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let text = |hash: &mut Sha256, text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        hash.update((self.strata.len() as u64).to_le_bytes());
        for stratum in &self.strata {
            hash.update([stratum.severity.0]);
            text(&mut hash, stratum.rarity.map_or("", Rarity::code));
            hash.update([u8::from(stratum.disease_code.is_some())]);
            text(&mut hash, stratum.disease_code.as_deref().unwrap_or_default());
        }
        for count in &self.counts {
            hash.update((count.cell as u64).to_le_bytes());
            hash.update([count.slot]);
            hash.update((count.stratum as u64).to_le_bytes());
            hash.update(count.count.to_le_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The cases of one set.
    pub fn of_set<'a>(&'a self, study: &'a Study, set: Set) -> impl Iterator<Item = Count> + 'a {
        self.counts.iter().copied().filter(move |count| Set::of_slot(&study.split, count.slot) == set)
    }

    /// Fails when no model can be trained, naming what is missing.
    pub fn require_trainable(&self, study: &Study) -> Result<(), CohortError> {
        if self.counts.is_empty() {
            return Err(CohortError::Empty);
        }
        for set in Set::ALL {
            if self.of_set(study, set).next().is_none() {
                return Err(CohortError::EmptySet { set: set.name() });
            }
        }
        let severity_of = |count: Count| self.strata[count.stratum].severity;
        let mut severities = self.of_set(study, Set::Train).map(severity_of);
        match severities.next() {
            Some(first) if severities.all(|severity| severity == first) => {
                Err(CohortError::OneClass { severity: study.severity(first).code.clone() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stratum(severity: u8, rarity: Option<Rarity>) -> Stratum {
        Stratum { severity: Severity(severity), rarity, disease_code: None }
    }

    #[test]
    fn equal_keys_add_and_order_does_not_matter() {
        let rows = [
            (7, 0, stratum(1, Some(Rarity::Common)), 2),
            (3, 19, stratum(0, None), 1),
            (7, 0, stratum(1, Some(Rarity::Common)), 3),
            (7, 0, stratum(0, None), 0),
        ];
        let forwards = Cohort::new(rows.clone());
        let backwards = Cohort::new(rows.clone().into_iter().rev());
        assert_eq!(forwards, backwards);
        assert_eq!(forwards.digest(), backwards.digest());
        let moved = |(cell, slot, stratum, count)| (cell + 1, slot, stratum, count);
        let other = Cohort::new(rows.clone().map(moved));
        assert_ne!(forwards.digest(), other.digest());
        assert_eq!(forwards.total(), 6);
        assert_eq!(forwards.counts().len(), 2);
        assert_eq!(forwards.strata().len(), 2);
    }

    #[test]
    fn a_cohort_without_contrast_is_refused() {
        let study = Study::default_study();
        assert_eq!(Cohort::default().require_trainable(study), Err(CohortError::Empty));
        let one = Cohort::new((0..20).map(|slot| (1, slot, stratum(0, None), 5)));
        assert!(matches!(one.require_trainable(study), Err(CohortError::OneClass { .. })));
        let train_only = Cohort::new([(1, 0, stratum(0, None), 5)]);
        assert_eq!(train_only.require_trainable(study), Err(CohortError::EmptySet { set: "validation" }));
    }
}
