//! The split into training, validation and test.
//!
//! Every patient has one of twenty slots, given once by stratified permuted blocks (Zelen 1974, J Chronic
//! Dis 27:365): within each stratum every block of twenty new patients fills each slot once, in an order
//! drawn from the seed. A set is a range of slots, so 70/15/15 is 14/3/3 in every stratum, a patient
//! never changes sets when data are added, and cross-validation folds are ranges of training slots.

mod verify;

use std::collections::HashMap;

use clinical::study::Split;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use verify::{Comparison, Histogram, MomentCheck, Proportion, SplitReport, verify};

/// Slots of a block.
pub const SLOTS: u8 = 20;

/// One of the three sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Set {
    Train,
    Validation,
    Test,
}

impl Set {
    pub const ALL: [Set; 3] = [Set::Train, Set::Validation, Set::Test];

    pub fn name(self) -> &'static str {
        match self {
            Set::Train => "training",
            Set::Validation => "validation",
            Set::Test => "test",
        }
    }

    /// The set of a slot under the study's shares.
    pub fn of_slot(split: &Split, slot: u8) -> Set {
        let train = split.train / 5;
        match slot {
            slot if slot < train => Set::Train,
            slot if slot < train + split.validation / 5 => Set::Validation,
            _ => Set::Test,
        }
    }

    /// The planned share of patients, 0..=1.
    pub fn share(self, split: &Split) -> f64 {
        let percent = match self {
            Set::Train => split.train,
            Set::Validation => split.validation,
            Set::Test => split.test,
        };
        f64::from(percent) / 100.0
    }
}

/// Deals slots.
#[derive(Debug, Clone)]
pub struct Slots {
    seed: u64,
    /// The block that each stratum is in: its twenty patients mostly come soon after each other.
    blocks: HashMap<String, (u64, Block)>,
}

type Block = [u8; SLOTS as usize];

impl Slots {
    pub fn new(seed: u64) -> Slots {
        Slots { seed, blocks: HashMap::new() }
    }

    /// The slot of the `n`-th (from 0) new patient of a stratum: position `n % 20` of the permutation of
    /// block `n / 20`, which the seed and the stratum's name decide, and nothing else.
    pub fn slot(&mut self, stratum: &str, n: u64) -> u8 {
        let (number, position) = (n / u64::from(SLOTS), (n % u64::from(SLOTS)) as usize);
        if let Some((current, block)) = self.blocks.get_mut(stratum) {
            if *current != number {
                (*current, *block) = (number, permutation(self.seed, stratum, number));
            }
            return block[position];
        }
        let block = permutation(self.seed, stratum, number);
        self.blocks.insert(stratum.to_owned(), (number, block));
        block[position]
    }
}

/// Fisher-Yates over the twenty slots, driven by SHA-256 of (seed, stratum, block): the same on every
/// machine, for ever. Taking 32 bits modulo at most 20 is biased by less than 1e-8.
fn permutation(seed: u64, stratum: &str, block: u64) -> Block {
    let mut slots: Block = std::array::from_fn(|slot| slot as u8);
    let mut words = (0u8..).flat_map(|part| {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(block.to_le_bytes());
        hash.update([part]);
        hash.update(stratum.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        std::array::from_fn::<u32, 8, _>(|word| {
            u32::from_le_bytes([
                digest[word * 4],
                digest[word * 4 + 1],
                digest[word * 4 + 2],
                digest[word * 4 + 3],
            ])
        })
    });
    for last in (1..slots.len()).rev() {
        let other = words.next().unwrap_or_default() as usize % (last + 1);
        slots.swap(last, other);
    }
    slots
}

/// Cross-validation folds inside the training set: consecutive training slots, so that a patient is in
/// one fold only and every fold is stratified as the split is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folds {
    folds: usize,
    slots: usize,
}

impl Folds {
    /// At most one fold per training slot.
    pub fn new(split: &Split, folds: usize) -> Folds {
        let slots = usize::from(split.train / 5);
        Folds { folds: folds.clamp(1, slots.max(1)), slots }
    }

    pub fn count(self) -> usize {
        self.folds
    }

    /// The fold of a slot; `None` outside the training set.
    pub fn of_slot(self, slot: u8) -> Option<usize> {
        let slot = usize::from(slot);
        (slot < self.slots).then(|| slot * self.folds / self.slots)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clinical::Study;

    use super::*;

    #[test]
    fn every_block_fills_every_slot_once_and_blocks_differ() {
        let mut slots = Slots::new(1);
        let mut block = |block: u64| -> Vec<u8> {
            (0..20).map(|position| slots.slot("mild/common", block * 20 + position)).collect()
        };
        for number in 0..50 {
            let mut sorted = block(number);
            sorted.sort_unstable();
            assert_eq!(sorted, (0..20).collect::<Vec<u8>>());
        }
        assert_ne!(block(0), block(1));
    }

    #[test]
    fn a_slot_depends_on_nothing_that_was_asked_before() {
        let mut used = Slots::new(3);
        for (stratum, n) in [("a", 0), ("b", 19), ("a", 45), ("b", 20), ("a", 7), ("a", 45)] {
            assert_eq!(used.slot(stratum, n), Slots::new(3).slot(stratum, n));
        }
    }

    #[test]
    fn shares_hold_in_every_prefix_of_whole_blocks() {
        let study = Study::default_study();
        let mut sets: BTreeMap<Set, u64> = BTreeMap::new();
        let mut slots = Slots::new(9);
        for n in 0..2000 {
            *sets.entry(Set::of_slot(&study.split, slots.slot("x", n))).or_default() += 1;
        }
        assert_eq!(sets.values().copied().collect::<Vec<u64>>(), [1400, 300, 300]);
    }

    #[test]
    fn each_slot_is_equally_likely_first() {
        let mut first = [0u32; 20];
        for block in 0..20_000 {
            first[usize::from(permutation(5, "s", block)[0])] += 1;
        }
        // 20,000 blocks, 1,000 expected each, standard deviation 31: five of them.
        assert!(first.iter().all(|count| (845..=1155).contains(count)), "{first:?}");
    }

    #[test]
    fn folds_cover_the_training_slots_evenly() {
        let folds = Folds::new(&Study::default_study().split, 5);
        let sizes = (0..5).map(|fold| (0..20).filter(|&slot| folds.of_slot(slot) == Some(fold)).count());
        assert_eq!(sizes.collect::<Vec<_>>(), [3, 3, 3, 3, 2]);
        assert_eq!(folds.of_slot(14), None);
    }
}
