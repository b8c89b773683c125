//! Numbering outcomes: few different ones, met once per row.

use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use crate::{CaseRow, Outcome};

/// Stable 64-bit hash of a name: the same in every version of this program.
pub(crate) fn key(name: &str) -> u64 {
    XxHash3_64::oneshot(name.as_bytes())
}

/// Gives each outcome the next number when it is first met.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    known: Vec<Outcome>,
    texts: Vec<Vec<u8>>,
    by_text: HashTable<usize>,
    text: Vec<u8>,
}

impl Outcomes {
    /// Number of the row's outcome, and whether it is new.
    pub(crate) fn number(&mut self, row: &CaseRow<'_>) -> (usize, bool) {
        self.text.clear();
        for part in [row.severity, row.rarity, row.disease_code] {
            self.text.push(u8::from(part.is_some()));
            self.text.extend_from_slice(part.unwrap_or_default().as_bytes());
            self.text.push(0xff); // never in UTF-8, so parts cannot run together
        }
        let hash = XxHash3_64::oneshot(&self.text);
        if let Some(&number) = self.by_text.find(hash, |&number| self.texts[number] == self.text) {
            return (number, false);
        }
        let owned = |part: Option<&str>| part.map(str::to_owned);
        let number = self.known.len();
        self.known.push(Outcome {
            severity: owned(row.severity),
            rarity: owned(row.rarity),
            disease_code: owned(row.disease_code),
        });
        self.texts.push(self.text.clone());
        self.by_text.insert_unique(hash, number, |&number| XxHash3_64::oneshot(&self.texts[number]));
        (number, true)
    }

    pub(crate) fn known(&self) -> &[Outcome] {
        &self.known
    }
}
