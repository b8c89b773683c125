//! A clinical note: free text that a doctor may add to a case. What may be in it, how it is read
//! (words, sentences, sections), and which of its words speak of the patient here and now.
//!
//! A note is a patient's own story: it has no `Display`, its `Debug` shows a length, and no error of
//! this module repeats a word of it. Everything is linear in the note's length.

mod accept;
mod cues;
mod reading;
mod scope;
mod vocabulary;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use reading::{Reading, Section, Token};
pub use vocabulary::{Vocabulary, VocabularyTerm};

use crate::{Language, Text};

/// An accepted note: text in NFC with `\n` for line ends, without surrounding spaces, never empty.
/// Only [`NoteField::accept`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// The text, for storage and for reading it; never for a log.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note").field("bytes", &self.0.len()).finish_non_exhaustive()
    }
}

/// A feature of kind `text`: a column of a case file and a field of the form that may always stay
/// empty. It has no levels and is no part of the finite domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteField {
    /// Column and JSON field.
    pub name: String,
    pub label: Text,
    pub hint: Option<Text>,
    /// The languages that notes are written in.
    pub languages: Vec<Language>,
    /// Characters at most.
    pub max_chars: usize,
    /// Built-in vocabularies whose terms are looked for.
    pub vocabularies: Vec<Vocabulary>,
    /// The study's own terms, beside the vocabularies'.
    pub terms: Vec<NoteTerm>,
}

/// A term of a study: what is looked for in a note, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteTerm {
    /// Its own name, or a vocabulary's code (`HP:0002240`) whose term it adds spellings to.
    pub code: String,
    /// Spellings in Spanish; the first one is shown.
    #[serde(default)]
    pub es: Vec<String>,
    /// Spellings in English; the first one is shown.
    #[serde(default)]
    pub en: Vec<String>,
}

/// Of whom, and how, a word of a note speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stance {
    /// The patient has it.
    Affirmed,
    /// The patient does not have it: "niega fiebre".
    Negated,
    /// A relative has it.
    Family,
    /// It may come, or is to be ruled out: "si presenta fiebre".
    Hypothetical,
    /// It is denied of a relative: it says nothing of the patient.
    FamilyNegated,
}

impl Stance {
    /// The stances that a mention may count with.
    pub const TELLING: [Stance; 4] =
        [Stance::Affirmed, Stance::Negated, Stance::Family, Stance::Hypothetical];

    /// How an explanation says that a note has a term: `menciona «hepatomegalia»`.
    pub fn words(self, language: Language) -> &'static str {
        match (self, language) {
            (Stance::Affirmed, Language::Es) => "menciona",
            (Stance::Affirmed, Language::En) => "mentions",
            (Stance::Negated, Language::Es) => "niega",
            (Stance::Negated, Language::En) => "denies",
            (Stance::Family, Language::Es) => "en la familia",
            (Stance::Family, Language::En) => "in the family",
            (Stance::Hypothetical, Language::Es) => "como posibilidad",
            (Stance::Hypothetical, Language::En) => "as a possibility",
            (Stance::FamilyNegated, Language::Es) => "niega en la familia",
            (Stance::FamilyNegated, Language::En) => "denies in the family",
        }
    }
}

impl NoteField {
    /// What a term is called; its code where neither the study nor a vocabulary names it.
    pub fn term_label<'a>(&'a self, code: &'a str, language: Language) -> &'a str {
        let own = self.terms.iter().find(|term| term.code == code).and_then(|term| {
            let (first, other) = match language {
                Language::Es => (&term.es, &term.en),
                Language::En => (&term.en, &term.es),
            };
            first.first().or(other.first()).map(String::as_str)
        });
        own.or_else(|| Vocabulary::of_code(code)?.label(code)).unwrap_or(code)
    }
}
