//! Which cases are stored, and which slot each patient has.

use crate::slots::SLOTS;

/// Bits of an entry that hold the slot.
const SLOT_BITS: u32 = 5;
const _: () = assert!(SLOTS < 1 << SLOT_BITS);

/// A set of case keys and a map from patient key to slot, 7 to 9 bytes an entry.
///
/// Case keys are whole 64-bit hashes: with n cases a new one is mistaken for a known one with probability
/// n / 2^64 (10 million cases: 5e-13). Of a patient key, 59 bits are kept; two patients that agree in those share a slot, which harms nothing.
#[derive(Debug, Default)]
pub(crate) struct CaseIndex {
    cases: Buckets<0>,
    patients: Buckets<SLOT_BITS>,
}

impl CaseIndex {
    /// An empty one, with room for so many cases.
    pub(crate) fn with_room(cases: u64) -> CaseIndex {
        CaseIndex { cases: Buckets::with_room(cases), ..CaseIndex::default() }
    }

    /// Returns whether the case is new.
    pub(crate) fn insert_case(&mut self, case: u64) -> bool {
        self.cases.insert(case).is_none()
    }

    pub(crate) fn slot(&self, patient: u64) -> Option<u8> {
        self.patients.get(patient).map(|entry| (entry & ((1 << SLOT_BITS) - 1)) as u8)
    }

    /// Records the slot of a patient; a patient that has one keeps it.
    pub(crate) fn insert_patient(&mut self, patient: u64, slot: u8) {
        let key = patient & !((1 << SLOT_BITS) - 1);
        self.patients.insert(key | u64::from(slot));
    }
}

/// Bits of a key that choose its bucket.
const BUCKET_BITS: u32 = 16;
/// Bytes of an entry: the rest of the key. The bucket is known from where the entry lies.
const ENTRY: usize = 6;
const ENTRY_BITS: u32 = 8 * ENTRY as u32;
const _: () = assert!(BUCKET_BITS + ENTRY_BITS == u64::BITS);
/// Places at the end of a bucket that nothing is assigned to, so that what is pushed on has room; as many are searched at once.
const TAIL: usize = 8;

/// A hash set of 64-bit keys whose lowest `VALUE` bits are a value, not a part of the key.
///
/// One table that doubles would for a moment be three times as large as what it holds, and half empty for long. Here
/// are 65,536 small tables, each of which grows by an eighth when it is nine tenths full: nearly all of the memory
/// holds keys, at any time.
#[derive(Debug)]
struct Buckets<const VALUE: u32> {
    buckets: Vec<Bucket>,
}

/// A table by ordered linear probing (Amble and Knuth, 1974): entries ascend, each where its bits say or after, and a run of
/// them has no gap before one. So a search ends at the first larger entry, and growing is one pass.
#[derive(Debug, Clone, Default)]
struct Bucket {
    /// All zeros where there is none.
    entries: Box<[[u8; ENTRY]]>,
    used: u32,
    /// The entry whose bits are all zeros, which cannot lie in the table.
    zero: bool,
}

impl<const VALUE: u32> Default for Buckets<VALUE> {
    fn default() -> Self {
        Buckets { buckets: vec![Bucket::default(); 1 << BUCKET_BITS] }
    }
}

impl<const VALUE: u32> Buckets<VALUE> {
    /// Room for so many keys, which hashes divide among the buckets nearly evenly.
    fn with_room(keys: u64) -> Self {
        let places = (keys as f64 / f64::from(1 << BUCKET_BITS) * 1.2) as usize;
        let mut buckets = vec![Bucket::default(); 1 << BUCKET_BITS];
        if places > 0 {
            buckets.fill_with(|| Bucket::with_places(places));
        }
        Buckets { buckets }
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.buckets[(key >> ENTRY_BITS) as usize].find::<VALUE>(rest(key)).ok()
    }

    /// Inserts a key that is not there; else answers the rest of the one that is.
    fn insert(&mut self, key: u64) -> Option<u64> {
        self.buckets[(key >> ENTRY_BITS) as usize].insert::<VALUE>(rest(key))
    }
}

/// The bits of a key that are stored.
fn rest(key: u64) -> u64 {
    key & ((1 << ENTRY_BITS) - 1)
}

fn read(entry: &[u8; ENTRY]) -> u64 {
    let [a, b, c, d, e, f] = *entry;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

fn written(entry: u64) -> [u8; ENTRY] {
    let [a, b, c, d, e, f, ..] = entry.to_le_bytes();
    [a, b, c, d, e, f]
}

impl Bucket {
    fn with_places(places: usize) -> Bucket {
        Bucket { entries: vec![[0; ENTRY]; places + TAIL].into_boxed_slice(), ..Bucket::default() }
    }

    /// Places that entries are assigned to.
    fn places(&self) -> usize {
        self.entries.len().saturating_sub(TAIL)
    }

    /// Where an entry belongs by its bits: the larger, the later.
    fn assigned(&self, entry: u64) -> usize {
        ((u128::from(entry) * self.places() as u128) >> ENTRY_BITS) as usize
    }

    /// The entry with the same key, or the place where it would be inserted.
    fn find<const VALUE: u32>(&self, entry: u64) -> Result<u64, usize> {
        let key = entry >> VALUE;
        if key == 0 && self.zero {
            return Ok(0);
        }
        let mut at = self.assigned(key << VALUE);
        while let Some(window) = self.entries.get(at..).and_then(<[_]>::first_chunk::<TAIL>) {
            // Counting has no branch that depends on memory, so the processor goes on with the next row meanwhile. Beyond
            // a gap all entries are larger.
            let less = |found: &&[u8; ENTRY]| (read(found) != 0) & (read(found) >> VALUE < key);
            let smaller = window.iter().filter(less).count();
            at += smaller;
            if smaller < TAIL {
                let found = read(&window[smaller]);
                return if found != 0 && found >> VALUE == key { Ok(found) } else { Err(at) };
            }
        }
        self.find_in_tail::<VALUE>(key, at)
    }

    /// The same from a place on that is nearer to the end than a window is long.
    fn find_in_tail<const VALUE: u32>(&self, key: u64, from: usize) -> Result<u64, usize> {
        for (at, found) in self.entries.iter().enumerate().skip(from) {
            let found = read(found);
            if found == 0 || found >> VALUE > key {
                return Err(at);
            }
            if found >> VALUE == key {
                return Ok(found);
            }
        }
        Err(self.entries.len())
    }

    fn insert<const VALUE: u32>(&mut self, entry: u64) -> Option<u64> {
        if self.used as usize >= self.places() / 10 * 9 {
            self.grow();
        }
        loop {
            match self.find::<VALUE>(entry) {
                Ok(known) => return Some(known),
                Err(_) if entry == 0 => {
                    self.zero = true;
                    return None;
                }
                Err(at) => {
                    let free = self.entries.iter().skip(at).position(|found| read(found) == 0);
                    if let Some(run) = free {
                        self.entries.copy_within(at..at + run, at + 1);
                        self.entries[at] = written(entry);
                        self.used += 1;
                        return None;
                    }
                    self.grow();
                }
            }
        }
    }

    fn grow(&mut self) {
        let mut places = self.places();
        loop {
            places = (places + places / 8).max(2 * TAIL);
            let mut larger = Bucket { used: self.used, zero: self.zero, ..Bucket::with_places(places) };
            // Where more crowd at the upper end than the tail holds, it must be larger still.
            if larger.fill(&self.entries) {
                *self = larger;
                return;
            }
        }
    }

    /// Takes ascending entries into an empty table. Answers whether all had room.
    fn fill(&mut self, entries: &[[u8; ENTRY]]) -> bool {
        let mut next = 0;
        for entry in entries.iter().map(read).filter(|&entry| entry != 0) {
            let at = self.assigned(entry).max(next);
            let Some(place) = self.entries.get_mut(at) else { return false };
            *place = written(entry);
            next = at + 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::outcome::key;

    #[test]
    fn remembers_cases_and_first_slots() {
        let mut index = CaseIndex::default();
        for i in 0..300_000u32 {
            let name = i.to_string();
            assert!(index.insert_case(key(&name)));
            assert!(!index.insert_case(key(&name)));
            index.insert_patient(key(&name), (i % 20) as u8);
            index.insert_patient(key(&name), 19);
        }
        for i in 0..300_000u32 {
            assert_eq!(index.slot(key(&i.to_string())), Some((i % 20) as u8));
        }
        assert_eq!(index.slot(key("nobody")), None);
    }

    #[test]
    fn keys_that_crowd_one_bucket_are_all_kept() {
        let mut index = CaseIndex::default();
        let mut expected = HashMap::new();
        // Neighbours at both ends of a bucket, and the keys of zeros.
        let keys = (0..5000u64).flat_map(|n| [n << SLOT_BITS, (u64::MAX >> BUCKET_BITS) - (n << SLOT_BITS)]);
        for (at, key) in keys.chain([0, 1 << ENTRY_BITS, u64::MAX]).enumerate() {
            let slot = (at % 20) as u8;
            let patient = key >> SLOT_BITS << SLOT_BITS;
            assert_eq!(index.insert_case(key), !expected.contains_key(&key), "{key:x}");
            index.insert_patient(patient, slot);
            expected.entry(key).or_insert(slot);
        }
        for key in expected.keys() {
            assert!(!index.insert_case(*key), "{key:x}");
            assert!(index.slot(*key).is_some(), "{key:x}");
        }
    }
}
