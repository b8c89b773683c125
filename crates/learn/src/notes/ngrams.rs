//! Character n-grams of a note's words, hashed into a fixed number of buckets, and tf-idf over them.
//!
//! As scikit-learn's `char_wb` analyzer cuts them: three to five characters of one word with a space
//! on either side; a word shorter than that is one gram. They forgive spelling, endings and languages.

use clinical::note::{Reading, Section, Stance};
use serde::{Deserialize, Serialize};

use super::sparse::Sparse;

/// Buckets of the hash.
pub const BUCKETS: usize = 1 << 16;
const LENGTHS: std::ops::RangeInclusive<usize> = 3..=5;

/// How often each bucket comes. Words of the patient and denied ones fall into buckets of their own;
/// what is a relative's or only possible is left out, and so are headings.
pub(super) fn count(reading: &Reading, stances: &[Stance]) -> Sparse {
    let mut grams = Vec::new();
    let mut places = Vec::new();
    for (token, stance) in reading.tokens().iter().zip(stances) {
        let space = match stance {
            Stance::Affirmed => 0,
            Stance::Negated => 1,
            Stance::Family | Stance::Hypothetical | Stance::FamilyNegated => continue,
        };
        if token.section == Section::Heading {
            continue;
        }
        // The spaces around the word are its own.
        let text = reading.search_text();
        let padded = text.get(token.range.start - 1..token.range.end + 1).unwrap_or_default();
        places.clear();
        places.extend(padded.char_indices().map(|(place, _)| place));
        places.push(padded.len());
        cut(&places, |from, to| grams.push((bucket(space, &padded.as_bytes()[from..to]), 1.0)));
    }
    Sparse::of(grams)
}

/// Calls `each` with the byte range of every gram of a word whose characters begin at `places`, the last of which
/// is its end.
fn cut(places: &[usize], mut each: impl FnMut(usize, usize)) {
    let characters = places.len() - 1;
    for length in LENGTHS {
        if characters <= length {
            // Short words count once, whatever the length.
            each(0, places[characters]);
            break;
        }
        for start in 0..=characters - length {
            each(places[start], places[start + length]);
        }
    }
}

/// FNV-1a of 64 bits, folded.
fn bucket(space: u8, gram: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in [space].iter().chain(gram) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let folded = hash ^ (hash >> 32);
    ((folded ^ (folded >> 16)) & (BUCKETS as u64 - 1)) as u32
}

/// Inverse document frequencies of a corpus: how much each place tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Weighting {
    documents: usize,
    /// Documents that have each place.
    frequency: Vec<u32>,
}

impl Weighting {
    /// Learns from documents' counts over `places` places.
    pub fn fit<'a>(places: usize, documents: impl IntoIterator<Item = &'a Sparse>) -> Weighting {
        let mut weighting = Weighting { documents: 0, frequency: vec![0; places] };
        for document in documents {
            weighting.documents += 1;
            for &(place, _) in document.entries() {
                if let Some(frequency) = weighting.frequency.get_mut(place as usize) {
                    *frequency += 1;
                }
            }
        }
        weighting
    }

    /// ln((1 + n) / (1 + df)) + 1, as scikit-learn smooths it: a place that no document had weighs most.
    pub fn idf(&self, place: u32) -> f64 {
        let frequency = self.frequency.get(place as usize).copied().unwrap_or_default();
        ((1.0 + self.documents as f64) / (1.0 + f64::from(frequency))).ln() + 1.0
    }

    /// Counts -> (1 + ln count) * idf, of length 1.
    pub fn apply(&self, counts: &Sparse) -> Sparse {
        counts.map(|place, count| (1.0 + count.max(1.0).ln()) * self.idf(place)).normalised()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grams(word: &str) -> Vec<String> {
        let padded = format!(" {word} ");
        let mut places: Vec<usize> = padded.char_indices().map(|(place, _)| place).collect();
        places.push(padded.len());
        let mut all = Vec::new();
        cut(&places, |from, to| all.push(padded[from..to].to_owned()));
        all
    }

    /// sklearn.feature_extraction.text.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).build_analyzer(), 1.7.2
    #[test]
    fn words_are_cut_as_char_wb_cuts_them() {
        assert_eq!(grams("a"), [" a "]);
        assert_eq!(grams("ab"), [" ab", "ab ", " ab "]);
        assert_eq!(grams("año"), [" añ", "año", "ño ", " año", "año ", " año "]);
        assert_eq!(grams("abcd").len(), 4 + 3 + 2);
    }

    #[test]
    fn denied_words_have_buckets_of_their_own_and_relatives_none() {
        let count = |text: &str| {
            let reading = Reading::of(text);
            super::count(&reading, &reading.stances(|_| false))
        };
        let places = |counts: &Sparse| counts.entries().iter().map(|(place, _)| *place).collect::<Vec<_>>();
        let fever = places(&count("fever"));
        assert_eq!(fever.len(), grams("fever").len());
        // Apart from the grams of the cue itself nothing is shared.
        let denied = places(&count("without fever"));
        let cue = places(&count("without"));
        assert!(denied.iter().all(|place| !fever.contains(place) || cue.contains(place)));
        assert_eq!(
            count("if fever"),
            count("Plan: x"),
            "a possibility and a plan say nothing of the patient"
        );
        assert_eq!(count(""), Sparse::default());
    }
}
