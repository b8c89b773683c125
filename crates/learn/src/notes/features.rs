//! A note's text -> what the models see of it.

use std::collections::BTreeSet;

use clinical::note::{NoteField, Reading, Section, Stance};

use super::dictionary::Dictionary;
use super::ngrams;
use super::sparse::Sparse;
use crate::Result;

/// What the models see of a note.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Positions in the dictionary with their stances, each once.
    pub terms: BTreeSet<(u32, Stance)>,
    /// Counts of the n-grams' buckets.
    pub grams: Sparse,
}

/// Reads notes.
#[derive(Debug, Clone)]
pub struct NoteReader {
    dictionary: Dictionary,
}

impl NoteReader {
    /// # Errors
    /// As [`Dictionary::of`].
    pub fn of(field: &NoteField) -> Result<NoteReader> {
        Ok(NoteReader { dictionary: Dictionary::of(field)? })
    }

    pub fn new(dictionary: Dictionary) -> NoteReader {
        NoteReader { dictionary }
    }

    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Reads one note; any text will do.
    pub fn read(&self, text: &str) -> Features {
        let reading = Reading::of(text);
        let mentions = self.dictionary.mentions(&reading);
        let mut within = vec![false; reading.tokens().len()];
        for word in mentions.iter().flat_map(|mention| mention.words.clone()) {
            if let Some(within) = within.get_mut(word) {
                *within = true;
            }
        }
        let stances = reading.stances(|word| within.get(word).copied().unwrap_or(false));
        let heading =
            |at: usize| reading.tokens().get(at).is_some_and(|token| token.section == Section::Heading);
        let stance = |at: usize| stances.get(at).copied().filter(|_| !heading(at));
        let terms = mentions
            .iter()
            .filter_map(|mention| Some((mention.term, stance(mention.words.start)?)))
            .filter(|(_, stance)| Stance::TELLING.contains(stance));
        Features { terms: terms.collect(), grams: ngrams::count(&reading, &stances) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_come_with_their_stances() {
        let dictionary = Dictionary::new([
            ("fever", "fiebre"),
            ("cough", "tos"),
            ("gout", "gota"),
            ("thumb", "Absent thumb"),
        ])
        .unwrap();
        let reader = NoteReader::new(dictionary);
        let found = reader
            .read("Tos. Niega fiebre y tos. Padre con gota. Si fiebre, acudir. Absent thumb. Madre sin gota");
        let codes = reader.dictionary().codes();
        let found: Vec<(&str, Stance)> =
            found.terms.iter().map(|&(term, stance)| (codes[term as usize].as_str(), stance)).collect();
        assert_eq!(
            found,
            [
                ("fever", Stance::Negated),
                ("fever", Stance::Hypothetical),
                ("cough", Stance::Affirmed),
                ("cough", Stance::Negated),
                ("gout", Stance::Family),
                ("thumb", Stance::Affirmed),
            ]
        );
    }
}
