//! Which cases are stored, and which slot each patient has.

use hashbrown::HashTable;

use crate::slots::SLOTS;

/// Bits of an entry that hold the slot.
const SLOT_BITS: u32 = 5;
const _: () = assert!(SLOTS < 1 << SLOT_BITS);

/// A set of case keys and a map from patient key to slot, 8 bytes an entry.
///
/// Case keys are whole 64-bit hashes: with n cases a new one is mistaken for a known one with probability
/// n / 2^64 (10 million cases: 5e-13). Of a patient key, 59 bits are kept; two patients that agree in those share a slot, which harms nothing.
#[derive(Debug, Default)]
pub(crate) struct CaseIndex {
    cases: HashTable<u64>,
    patients: HashTable<u64>,
}

fn whole(entry: &u64) -> u64 {
    *entry
}

/// The bits of a patient entry that are its key.
fn patient_key(entry: u64) -> u64 {
    entry & !((1 << SLOT_BITS) - 1)
}

/// Spreads the kept bits over the low ones too, which place an entry in the table.
fn patient_hash(entry: &u64) -> u64 {
    let key = patient_key(*entry);
    key ^ (key >> SLOT_BITS)
}

impl CaseIndex {
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.cases.reserve(rows, whole);
    }

    /// Returns whether the case is new.
    pub(crate) fn insert_case(&mut self, case: u64) -> bool {
        use hashbrown::hash_table::Entry;
        match self.cases.entry(case, |known| *known == case, whole) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(case);
                true
            }
        }
    }

    pub(crate) fn slot(&self, patient: u64) -> Option<u8> {
        let key = patient_key(patient);
        let entry = self.patients.find(patient_hash(&key), |known| patient_key(*known) == key)?;
        Some((entry & ((1 << SLOT_BITS) - 1)) as u8)
    }

    /// Records the slot of a patient; a patient that has one keeps it.
    pub(crate) fn insert_patient(&mut self, patient: u64, slot: u8) {
        if self.slot(patient).is_none() {
            self.insert_new_patient(patient, slot);
        }
    }

    /// The same for a patient that is known to have none.
    pub(crate) fn insert_new_patient(&mut self, patient: u64, slot: u8) {
        let key = patient_key(patient);
        self.patients.insert_unique(patient_hash(&key), key | u64::from(slot), patient_hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::key;

    #[test]
    fn remembers_cases_and_first_slots() {
        let mut index = CaseIndex::default();
        for i in 0..5000u32 {
            let name = i.to_string();
            assert!(index.insert_case(key(&name)));
            assert!(!index.insert_case(key(&name)));
            index.insert_patient(key(&name), (i % 20) as u8);
            index.insert_patient(key(&name), 19);
        }
        for i in 0..5000u32 {
            assert_eq!(index.slot(key(&i.to_string())), Some((i % 20) as u8));
        }
        assert_eq!(index.slot(key("nobody")), None);
    }
}
