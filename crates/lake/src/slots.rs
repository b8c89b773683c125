//! Which of 20 split slots a patient gets: stratified permuted blocks.
//!
//! The n-th new confirmed patient of a stratum gets a slot by a rule that permutes 0..20 within each block of
//! 20 (permuted-block randomisation; Pocock, *Clinical Trials*, 1983, ch. 5), so that every threshold on
//! the slot splits every stratum in the stated proportion, whatever is added later. The rule itself is
//! the caller's ([`SlotRule`]); this module counts.

use std::collections::{BTreeMap, HashMap};

use crate::{LakeError, Outcome};

/// Number of slots; 14/3/3 of them make 70/15/15 per cent, 16/2/2 make 80/10/10.
pub const SLOTS: u8 = 20;

/// Patients of a disease that are slotted with their severity and rarity before the disease is a stratum of
/// its own: one whole block.
const ENOUGH: u64 = SLOTS as u64;

/// The permutation: slot of the `n`-th (from 0) patient of a stratum.
pub trait SlotRule: Send {
    /// Must be below [`SLOTS`], and must depend on nothing but its arguments; what it keeps is for speed alone.
    fn slot(&mut self, stratum: &str, n: u64) -> u8;
}

impl<F: FnMut(&str, u64) -> u8 + Send> SlotRule for F {
    fn slot(&mut self, stratum: &str, n: u64) -> u8 {
        self(stratum, n)
    }
}

/// Patients seen per stratum, and the names of the strata of the outcomes met in this ingest.
#[derive(Debug, Default)]
pub(crate) struct Strata {
    names: Vec<String>,
    counts: Vec<u64>,
    by_name: HashMap<String, usize>,
    /// Per outcome number: its pooled stratum, and its disease's where it names one.
    of_outcome: Vec<(usize, Option<usize>)>,
}

impl Strata {
    pub(crate) fn resume(counts: &BTreeMap<String, u64>) -> Strata {
        let mut strata = Strata::default();
        for (name, &count) in counts {
            let at = strata.intern(name.clone());
            strata.counts[at] = count;
        }
        strata
    }

    /// Patients so far, by stratum; what [`Strata::resume`] takes.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.names.iter().cloned().zip(self.counts.iter().copied());
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Makes the next outcome number known.
    pub(crate) fn add_outcome(&mut self, outcome: &Outcome) {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let pooled = format!("{}/{}", text(&outcome.severity), text(&outcome.rarity));
        let own = outcome.disease_code.as_ref().map(|disease| format!("{pooled}/{disease}"));
        let pooled = self.intern(pooled);
        let own = own.map(|name| self.intern(name));
        self.of_outcome.push((pooled, own));
    }

    /// Slot of the next new patient with outcome number `outcome`.
    pub(crate) fn next(&mut self, outcome: usize, rule: &mut dyn SlotRule) -> Result<u8, LakeError> {
        let (pooled, own) = self.of_outcome[outcome];
        let (stratum, n) = match own {
            Some(own) if self.counts[own] >= ENOUGH => (own, self.counts[own] - ENOUGH),
            _ => (pooled, self.counts[pooled]),
        };
        let slot = rule.slot(&self.names[stratum], n);
        if slot >= SLOTS {
            return Err(LakeError::BadSlot { stratum: self.names[stratum].clone(), slot });
        }
        // A disease counts all of its patients, also those that were slotted with the pooled stratum.
        if let Some(own) = own {
            self.counts[own] += 1;
        }
        if stratum == pooled {
            self.counts[pooled] += 1;
        }
        Ok(slot)
    }

    fn intern(&mut self, name: String) -> usize {
        if let Some(&at) = self.by_name.get(&name) {
            return at;
        }
        let at = self.names.len();
        self.names.push(name.clone());
        self.counts.push(0);
        self.by_name.insert(name, at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(disease: &str) -> Outcome {
        Outcome {
            severity: Some("mild".into()),
            rarity: Some("common".into()),
            disease_code: Some(disease.into()),
        }
    }

    #[test]
    fn a_disease_is_its_own_stratum_after_one_block_and_counts_survive_resuming() {
        let asked = std::sync::Mutex::new(Vec::new());
        let mut rule = |stratum: &str, n: u64| {
            asked.lock().unwrap().push((stratum.to_owned(), n));
            (n % 20) as u8
        };
        let mut strata = Strata::default();
        strata.add_outcome(&outcome("X"));
        strata.add_outcome(&outcome("Y"));
        for _ in 0..21 {
            strata.next(0, &mut rule).unwrap();
        }
        strata.next(1, &mut rule).unwrap();
        let mut strata = Strata::resume(&strata.counts());
        strata.add_outcome(&outcome("X"));
        strata.next(0, &mut rule).unwrap();
        let asked = asked.into_inner().unwrap();
        assert_eq!(asked[19], ("mild/common".to_owned(), 19));
        assert_eq!(asked[20], ("mild/common/X".to_owned(), 0));
        assert_eq!(asked[21], ("mild/common".to_owned(), 20));
        assert_eq!(asked[22], ("mild/common/X".to_owned(), 1));
    }

    #[test]
    fn a_rule_that_gives_no_slot_is_refused() {
        let mut strata = Strata::default();
        strata.add_outcome(&Outcome::default());
        assert!(matches!(strata.next(0, &mut |_: &str, _| 20), Err(LakeError::BadSlot { .. })));
    }
}
