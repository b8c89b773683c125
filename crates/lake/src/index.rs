//! Which cases are stored, and which slot each patient has.

use crate::slots::SLOTS;

/// Bits of an entry that hold the slot.
const SLOT_BITS: u32 = 5;
const _: () = assert!(SLOTS < 1 << SLOT_BITS);

/// A set of case keys and a map from patient key to slot, 7.6 to 8.6 bytes an entry.
///
/// Case keys are whole 64-bit hashes: with n cases a new one is mistaken for a known one with probability
/// n / 2^64 (10 million cases: 5e-13). Of a patient key, 59 bits are kept; two patients that agree in those share a slot, which harms nothing.
#[derive(Debug, Default)]
pub(crate) struct CaseIndex {
    cases: Parts<0>,
    patients: Parts<SLOT_BITS>,
}

impl CaseIndex {
    /// An empty one, with room for so many cases.
    pub(crate) fn with_room(cases: u64) -> CaseIndex {
        CaseIndex { cases: Parts::with_room(cases), ..CaseIndex::default() }
    }

    /// Returns whether the case is new.
    pub(crate) fn insert_case(&mut self, case: u64) -> bool {
        self.cases.insert(case).is_none()
    }

    /// Reads the lines in which these keys, of case and patient, would be, so that they are near when they are looked for.
    pub(crate) fn touch(&self, keys: impl Iterator<Item = (u64, u64)>) {
        let near = keys
            .fold(0, |near, (case, patient)| near ^ self.cases.touch(case) ^ self.patients.touch(patient));
        std::hint::black_box(near);
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

/// Bits of a key that choose its part.
const PART_BITS: u32 = 8;
/// Bytes of an entry: the rest of the key. The part is known from where the entry lies.
const ENTRY: usize = 7;
const ENTRY_BITS: u32 = 8 * ENTRY as u32;
const _: () = assert!(PART_BITS + ENTRY_BITS == u64::BITS);
/// Entries of a line: with their number they fill what the processor fetches at once.
const LINE_ENTRIES: usize = 9;
const LINE: usize = LINE_ENTRIES * ENTRY + 1;
const _: () = assert!(LINE == 64);
/// Lines up to which a part doubles: 1 MiB, with all parts 33 million keys.
const SMALL_LINES: usize = 1 << 14;

/// A hash set of 64-bit keys whose lowest `VALUE` bits are a value, not a part of the key.
///
/// One table that doubles would for a moment be three times as large as what it holds, and half empty for long. Here
/// are 256 tables, each of which grows by an eighth, once it is not small, when it is fifteen sixteenths full: nearly all
/// of the memory holds keys, at any time. A table is one of buckets with linear probing (Knuth, TAOCP 3, 6.4), a bucket a line of the cache.
#[derive(Debug)]
struct Parts<const VALUE: u32>(Vec<Part>);

#[derive(Debug, Clone, Default)]
struct Part {
    lines: Vec<Line>,
    used: usize,
}

/// Entries one after the other; the last byte is their number.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Line([u8; LINE]);

impl<const VALUE: u32> Default for Parts<VALUE> {
    fn default() -> Self {
        Parts(vec![Part::default(); 1 << PART_BITS])
    }
}

impl<const VALUE: u32> Parts<VALUE> {
    /// Room for so many keys, which hashes divide among the parts nearly evenly.
    fn with_room(keys: u64) -> Self {
        let lines = keys as usize / (1 << PART_BITS) / LINE_ENTRIES * 9 / 8;
        Parts(vec![Part::with_lines(lines); 1 << PART_BITS])
    }

    /// Something of the line where the search for a key begins.
    fn touch(&self, key: u64) -> usize {
        let part = &self.0[(key >> ENTRY_BITS) as usize];
        part.lines.get(part.first_line::<VALUE>(rest(key))).map_or(0, Line::len)
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0[(key >> ENTRY_BITS) as usize].find::<VALUE>(rest(key)).ok()
    }

    /// Inserts a key that is not there; else answers the rest of the one that is.
    fn insert(&mut self, key: u64) -> Option<u64> {
        self.0[(key >> ENTRY_BITS) as usize].insert::<VALUE>(rest(key))
    }
}

/// The bits of a key that are stored.
fn rest(key: u64) -> u64 {
    key & ((1 << ENTRY_BITS) - 1)
}

impl Line {
    const EMPTY: Line = Line([0; LINE]);

    fn len(&self) -> usize {
        usize::from(self.0[LINE - 1])
    }

    fn entry(&self, at: usize) -> u64 {
        let bytes = self.0[at * ENTRY..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        rest(bytes)
    }

    /// The entry with this key. All are compared, without a branch that waits for memory, so that the processor goes
    /// on with the next row meanwhile.
    fn find<const VALUE: u32>(&self, key: u64) -> Option<u64> {
        let mut equal = 0u32;
        for at in 0..LINE_ENTRIES {
            equal |= u32::from(self.entry(at) >> VALUE == key) << at;
        }
        equal &= (1 << self.len()) - 1;
        (equal != 0).then(|| self.entry(equal.trailing_zeros() as usize))
    }

    /// The line must not be full.
    fn push(&mut self, entry: u64) {
        let from = self.len() * ENTRY;
        self.0[from..from + ENTRY].copy_from_slice(&entry.to_le_bytes()[..ENTRY]);
        self.0[LINE - 1] += 1;
    }
}

impl Part {
    fn with_lines(lines: usize) -> Part {
        Part { lines: vec![Line::EMPTY; lines], used: 0 }
    }

    /// The entry with the same key, or the line that has room for it.
    fn find<const VALUE: u32>(&self, entry: u64) -> Result<u64, usize> {
        if self.lines.is_empty() {
            return Err(0);
        }
        let key = entry >> VALUE;
        let mut at = self.first_line::<VALUE>(entry);
        loop {
            if let Some(found) = self.lines[at].find::<VALUE>(key) {
                return Ok(found);
            }
            if self.lines[at].len() < LINE_ENTRIES {
                return Err(at);
            }
            at = if at + 1 == self.lines.len() { 0 } else { at + 1 };
        }
    }

    /// Where the search for an entry begins: the larger its key, the later.
    fn first_line<const VALUE: u32>(&self, entry: u64) -> usize {
        ((u128::from(entry >> VALUE) * self.lines.len() as u128) >> (ENTRY_BITS - VALUE)) as usize
    }

    fn insert<const VALUE: u32>(&mut self, entry: u64) -> Option<u64> {
        if self.used >= self.lines.len() * LINE_ENTRIES / 16 * 15 {
            self.grow::<VALUE>();
        }
        match self.find::<VALUE>(entry) {
            Ok(known) => Some(known),
            Err(line) => {
                self.lines[line].push(entry);
                self.used += 1;
                None
            }
        }
    }

    fn grow<const VALUE: u32>(&mut self) {
        let lines = self.lines.len();
        // Small parts are soon too small again.
        let more = if lines < SMALL_LINES { lines.max(2) } else { lines / 8 };
        let mut larger = Part::with_lines(lines + more);
        for line in &self.lines {
            for entry in (0..line.len()).map(|at| line.entry(at)) {
                let mut at = larger.first_line::<VALUE>(entry);
                while larger.lines[at].len() == LINE_ENTRIES {
                    at = if at + 1 == larger.lines.len() { 0 } else { at + 1 };
                }
                larger.lines[at].push(entry);
            }
        }
        larger.used = self.used;
        *self = larger;
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
    fn keys_that_crowd_are_all_kept() {
        let mut index = CaseIndex::default();
        let mut expected = HashMap::new();
        // Neighbours at both ends of a part, which belong into the same line, and the keys of zeros.
        let keys = (0..500u64).flat_map(|n| [n << SLOT_BITS, (u64::MAX >> PART_BITS) - (n << SLOT_BITS)]);
        for (at, key) in keys.chain([0, 1 << ENTRY_BITS, u64::MAX]).enumerate() {
            assert_eq!(index.insert_case(key), !expected.contains_key(&key), "{key:x}");
            index.insert_patient(key, (at % 20) as u8);
            index.insert_patient(key, 19);
            expected.entry(key).or_insert((at % 20) as u8);
        }
        for (key, slot) in &expected {
            assert!(!index.insert_case(*key), "{key:x}");
            assert_eq!(index.slot(*key), Some(*slot), "{key:x}");
        }
    }

    #[test]
    fn room_that_was_asked_for_suffices_or_grows() {
        for room in [0, 1, 10_000, 300_000] {
            let mut index = CaseIndex::with_room(room);
            assert!((0..100_000u32).all(|i| index.insert_case(key(&i.to_string()))));
            assert!((0..100_000u32).all(|i| !index.insert_case(key(&i.to_string()))));
        }
    }
}
