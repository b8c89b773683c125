//! Terms in notes: all spellings at once by one automaton (Aho and Corasick 1975), whole words, the
//! longest spelling first, in time linear in the note.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use clinical::note::{NoteField, Reading};

use crate::{Error, Result};

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Dictionary {
    automaton: AhoCorasick,
    codes: Vec<String>,
    /// The term of each pattern of the automaton.
    terms: Vec<u32>,
}

/// A term where a note has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Position among [`Dictionary::codes`].
    pub term: u32,
    /// The words that it covers.
    pub words: Range<usize>,
}

impl Dictionary {
    /// The study's own terms and those of the vocabularies that it names. A spelling that several terms
    /// have belongs to the study's, else to the first vocabulary's with the lowest code.
    ///
    /// # Errors
    /// When the spellings are more than an automaton holds.
    pub fn of(field: &NoteField) -> Result<Dictionary> {
        let own = field.terms.iter().flat_map(|term| {
            term.es.iter().chain(&term.en).map(|spelling| (term.code.as_str(), spelling.as_str()))
        });
        let known = field.vocabularies.iter().flat_map(|vocabulary| vocabulary.terms());
        Dictionary::new(own.chain(known.map(|term| (term.code, term.label))))
    }

    /// Terms by code and spelling; a code may come several times.
    ///
    /// # Errors
    /// As [`Dictionary::of`].
    pub fn new<'a>(spellings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Dictionary> {
        let mut codes: Vec<String> = Vec::new();
        let mut by_code: BTreeMap<&str, u32> = BTreeMap::new();
        let (mut patterns, mut terms) = (BTreeMap::new(), Vec::new());
        for (code, spelling) in spellings {
            let pattern = Reading::pattern(spelling);
            if pattern.is_empty() || patterns.contains_key(&pattern) {
                continue;
            }
            let term = *by_code.entry(code).or_insert_with(|| {
                codes.push(code.to_owned());
                codes.len() as u32 - 1
            });
            patterns.insert(pattern, term);
        }
        terms.extend(patterns.values().copied());
        let automaton =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(patterns.keys()).map_err(
                |error| Error::Invalid(format!("the terms of the notes cannot be searched for: {error}")),
            )?;
        Ok(Dictionary { automaton, codes, terms })
    }

    /// The codes of the terms.
    pub fn codes(&self) -> &[String] {
        &self.codes
    }

    /// The terms of a note, in order; no two share a word.
    pub fn mentions(&self, reading: &Reading) -> Vec<Mention> {
        let found = self.automaton.find_iter(reading.search_text());
        found
            .filter_map(|found| {
                let term = *self.terms.get(found.pattern().as_usize())?;
                Some(Mention { term, words: reading.tokens_in(found.range()) })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(dictionary: &Dictionary, text: &str) -> Vec<String> {
        let reading = Reading::of(text);
        let mentions = dictionary.mentions(&reading);
        mentions.iter().map(|mention| dictionary.codes()[mention.term as usize].clone()).collect()
    }

    #[test]
    fn the_longest_whole_spelling_is_found() {
        let dictionary = Dictionary::new([
            ("seizure", "Seizure"),
            ("febrile", "Febrile seizure"),
            ("liver", "Hepatomegalia"),
            ("liver", "hígado grande"),
            ("other", "seizure"),
        ])
        .unwrap();
        assert_eq!(dictionary.codes(), ["seizure", "febrile", "liver"]);
        assert_eq!(found(&dictionary, "FEBRILE  seizure, seizure; seizures"), ["febrile", "seizure"]);
        assert_eq!(found(&dictionary, "Higado grande. Hepatomegalia"), ["liver", "liver"]);
        assert_eq!(found(&dictionary, "hígado. Grande"), [""; 0], "not across sentences");
        assert_eq!(found(&dictionary, "seizure seizure").len(), 2, "neighbours share no space");
        assert_eq!(found(&Dictionary::new([]).unwrap(), "fiebre"), [""; 0]);
    }

    proptest! {
        #[test]
        fn finds_are_ordered_disjoint_and_whole(text in "(ab|abc|b c|c|[ .,]){0,60}") {
            let dictionary = Dictionary::new([("1", "ab"), ("2", "ab c"), ("3", "b"), ("4", "c c c")]).unwrap();
            let reading = Reading::of(&text);
            let mentions = dictionary.mentions(&reading);
            prop_assert!(mentions.windows(2).all(|pair| pair[0].words.end <= pair[1].words.start));
            for mention in mentions {
                let words: Vec<&str> =
                    reading.tokens()[mention.words.clone()].iter().map(|token| reading.word(token)).collect();
                let spelling = ["ab", "ab c", "b", "c c c"][mention.term as usize];
                prop_assert_eq!(words.join(" "), spelling);
            }
        }
    }
}
