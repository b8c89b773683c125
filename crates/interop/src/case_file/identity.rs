//! Identifiers for rows that have none. They follow from the source and what the row says, so the
//! same file read again gives the same ids, whatever its column order, format or compression.

use std::{collections::HashMap, fmt::Write};

use clinical::{Outcome, Patient};
use sha2::{Digest, Sha256};

/// What a row without an id says.
pub(crate) struct Content<'c> {
    pub(crate) source: &'c str,
    pub(crate) patient_id: Option<&'c str>,
    /// As given: the time of reading is not part of it.
    pub(crate) recorded_at: Option<i64>,
    pub(crate) patient: &'c Patient,
    pub(crate) outcome: Option<&'c Outcome>,
    pub(crate) confirmed_at: Option<i64>,
}

impl Content<'_> {
    /// `derived-` and 32 hexadecimal digits; from the second row with the same content on, `-2` and so
    /// forth, so that identical rows of one file stay distinct.
    pub(crate) fn case_id(&self, occurrences: &mut HashMap<u128, u32>) -> String {
        let digest = self.digest();
        let count = occurrences.entry(digest).or_insert(0);
        *count = count.saturating_add(1);
        match *count {
            1 => format!("derived-{digest:032x}"),
            count => format!("derived-{digest:032x}-{count}"),
        }
    }

    fn digest(&self) -> u128 {
        let mut hash = Sha256::new();
        text(&mut hash, Some(self.source));
        text(&mut hash, self.patient_id);
        time(&mut hash, self.recorded_at);
        for value in self.patient.values() {
            hash.update(value.to_le_bytes());
        }
        match self.outcome {
            None => hash.update([0]),
            Some(outcome) => {
                hash.update([1, outcome.severity.0]);
                text(&mut hash, outcome.rarity.map(clinical::Rarity::code));
                text(&mut hash, outcome.disease_code.as_deref());
            }
        }
        time(&mut hash, self.confirmed_at);
        first_half(hash)
    }
}

/// A pseudonym for a case without one: every such case is a patient of its own.
pub(crate) fn patient_id(source: &str, case_id: &str) -> String {
    let mut hash = Sha256::new();
    text(&mut hash, Some(source));
    text(&mut hash, Some(case_id));
    let mut id = String::with_capacity(34);
    let _ = write!(id, "p-{:032x}", first_half(hash));
    id
}

fn first_half(hash: Sha256) -> u128 {
    hash.finalize().iter().take(16).fold(0, |number, &byte| (number << 8) | u128::from(byte))
}

/// Length first, so that no two lists of texts look alike.
fn text(hash: &mut Sha256, text: Option<&str>) {
    match text {
        None => hash.update([0]),
        Some(text) => {
            hash.update([1]);
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
}

fn time(hash: &mut Sha256, time: Option<i64>) {
    match time {
        None => hash.update([0]),
        Some(time) => {
            hash.update([1]);
            hash.update(time.to_le_bytes());
        }
    }
}
