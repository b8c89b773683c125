//! Text -> words, sentences and sections, in one pass.
//!
//! Words are lower-case and without accents, so that "Hepatomegalía" meets "hepatomegalia"; `ñ` stays
//! itself, because "año" is no "ano". The words stand in one text, each between spaces of its own, so
//! that a whole-word search is a plain one and neighbouring finds share no character.

use std::iter::Peekable;
use std::ops::Range;
use std::str::Chars;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::cues;

/// Words of a heading at most: `Antecedentes familiares de interés:`.
const HEADING_WORDS: usize = 5;

/// The part of a note that a word stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Section {
    /// The patient, now or before: everything that no heading says otherwise of.
    #[default]
    Patient,
    Family,
    /// What is to be done: a finding there may come or is to be ruled out.
    Plan,
    /// The heading itself: says nothing of anybody.
    Heading,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its letters in [`Reading::search_text`], without the spaces around it.
    pub range: Range<usize>,
    /// Number of its sentence, from 0.
    pub sentence: usize,
    pub section: Section,
    /// An accent was folded away: "sí" is not "si".
    pub accented: bool,
}

/// A note's words.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Reading {
    text: String,
    tokens: Vec<Token>,
}

impl std::fmt::Debug for Reading {
    /// Leaves the words out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("words", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl Reading {
    /// Reads any text; never fails.
    pub fn of(text: &str) -> Reading {
        let mut reader = Reader::default();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            reader.take(c, &mut rest);
        }
        reader.end_word();
        reader.reading
    }

    /// How a phrase stands in a [`Reading::search_text`]: the pattern to look for. Empty without a word.
    pub fn pattern(phrase: &str) -> String {
        Reading::of(phrase).text.replace('\n', "")
    }

    /// All words in order, each between two spaces; a line end between sentences.
    pub fn search_text(&self) -> &str {
        &self.text
    }

    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub fn word(&self, token: &Token) -> &str {
        self.text.get(token.range.clone()).unwrap_or_default()
    }

    /// The words that a place in [`Reading::search_text`] covers.
    pub fn tokens_in(&self, place: Range<usize>) -> Range<usize> {
        let first = self.tokens.partition_point(|token| token.range.start < place.start);
        let end = self.tokens.partition_point(|token| token.range.end <= place.end);
        first..end.max(first)
    }
}

/// The state of the pass.
#[derive(Default)]
struct Reader {
    reading: Reading,
    /// Where the word under way begins in the text, behind its space.
    word: Option<usize>,
    accented: bool,
    sentence: usize,
    /// First word of the sentence.
    first: usize,
    /// Whether the sentence so far has a capital letter, and whether it has another.
    capitals: bool,
    small: bool,
    section: Section,
    /// First word behind the section's heading.
    section_start: usize,
}

impl Reader {
    fn take(&mut self, c: char, rest: &mut Peekable<Chars<'_>>) {
        // Joiners, soft hyphens, marks of direction and accents that belong to no letter are invisible.
        if is_invisible(c) || is_combining_mark(c) {
            // Except the one that makes another letter, in text that is not composed.
            if c == '\u{303}' && self.word.is_some() && self.reading.text.ends_with('n') {
                self.reading.text.pop();
                self.reading.text.push('ñ');
            }
            return;
        }
        if c.is_alphanumeric() {
            return self.letter(c);
        }
        match c {
            '\n' => self.line_end(rest),
            '.' => {
                let inside = self.word.is_some() && rest.peek().is_some_and(|next| next.is_alphanumeric());
                let abbreviated = self.word.is_some() && self.is_abbreviation();
                self.end_word();
                if !inside && !abbreviated {
                    self.end_sentence();
                }
            }
            '!' | '?' | ';' | '…' | '•' | '|' => {
                self.end_word();
                self.end_sentence();
            }
            ':' => {
                self.end_word();
                self.heading();
            }
            _ => self.end_word(),
        }
    }

    fn letter(&mut self, c: char) {
        let text = &mut self.reading.text;
        if self.word.is_none() {
            text.push(' ');
            self.word = Some(text.len());
            self.accented = false;
        }
        self.capitals |= c.is_uppercase();
        self.small |= c.is_lowercase();
        if c.is_ascii() {
            text.push(c.to_ascii_lowercase());
            return;
        }
        for lower in c.to_lowercase() {
            if lower == 'ñ' {
                text.push(lower);
                continue;
            }
            for part in std::iter::once(lower).nfd() {
                if is_combining_mark(part) {
                    self.accented = true;
                } else {
                    text.push(part);
                }
            }
        }
    }

    fn end_word(&mut self) {
        let Some(start) = self.word.take() else { return };
        let text = &mut self.reading.text;
        if start == text.len() {
            text.pop();
            return;
        }
        let range = start..text.len();
        text.push(' ');
        self.reading.tokens.push(Token {
            range,
            sentence: self.sentence,
            section: self.section,
            accented: self.accented,
        });
    }

    fn end_sentence(&mut self) {
        if self.first < self.reading.tokens.len() {
            self.reading.text.push('\n');
            self.sentence += 1;
            self.first = self.reading.tokens.len();
        }
        (self.capitals, self.small) = (false, false);
    }

    /// A line that goes on in lower case is the same sentence; an empty line ends the section too.
    fn line_end(&mut self, rest: &mut Peekable<Chars<'_>>) {
        self.end_word();
        let mut empty_line = false;
        while let Some(&next) = rest.peek().filter(|next| next.is_whitespace()) {
            empty_line |= next == '\n';
            rest.next();
        }
        if empty_line || !rest.peek().is_some_and(|next| next.is_lowercase()) {
            self.end_sentence();
        }
        if empty_line && self.section_start < self.reading.tokens.len() {
            self.section = Section::Patient;
        }
    }

    /// `Dr.`, `p. ej.`: the point ends no sentence.
    fn is_abbreviation(&self) -> bool {
        let start = self.word.unwrap_or_default();
        let word = self.reading.text.get(start..).unwrap_or_default();
        word.chars().nth(1).is_none() || cues::ABBREVIATIONS.contains(&word)
    }

    /// The words of the sentence so far may be a heading: a known one opens its section, another one in
    /// capitals ends the section before it.
    fn heading(&mut self) {
        let tokens = &self.reading.tokens;
        let words = tokens.get(self.first..).unwrap_or_default();
        if words.is_empty() || words.len() > HEADING_WORDS {
            return;
        }
        let phrase: Vec<&str> = words.iter().map(|token| self.reading.word(token)).collect();
        let (section, of_words) = match cues::section(&phrase.join(" ")) {
            Some(section) => (section, Section::Heading),
            None if self.capitals && !self.small => (Section::Patient, Section::Patient),
            None => return,
        };
        self.section = section;
        for token in self.reading.tokens.iter_mut().skip(self.first) {
            token.section = of_words;
        }
        if of_words == Section::Heading {
            self.end_sentence();
        }
        self.section_start = self.reading.tokens.len();
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sentences(text: &str) -> Vec<String> {
        let reading = Reading::of(text);
        let mut all: Vec<String> = Vec::new();
        for token in reading.tokens() {
            all.resize(token.sentence + 1, String::new());
            if let Some(last) = all.last_mut() {
                last.push_str(reading.word(token));
                last.push(' ');
            }
        }
        all.iter().map(|sentence| sentence.trim_end().to_owned()).collect()
    }

    #[test]
    fn case_and_accents_fold_and_the_spanish_letter_stays() {
        assert_eq!(
            sentences("HEPATOMEGALÍA, niño de 3 años; Ödem"),
            ["hepatomegalia niño de 3 años", "odem"]
        );
        assert_eq!(sentences("n\u{303}ino a\u{301}\u{323} soft\u{ad}hyphen"), ["ñino a softhyphen"]);
        assert_eq!(sentences("İstanbul ŒDÈME"), ["istanbul œdeme"]);
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(sentences("Temp. 38.5 ºC. Sin tos"), ["temp", "38 5 ºc", "sin tos"]);
        assert_eq!(
            sentences("Visto por Dr. Pérez, p. ej. hoy. Bien."),
            ["visto por dr perez p ej hoy", "bien"]
        );
        assert_eq!(sentences("No\ncefalea\nRefiere tos"), ["no cefalea", "refiere tos"]);
        assert_eq!(sentences("ALLERGIES:, None.,LUNGS: Clear."), ["allergies", "none", "lungs clear"]);
        assert_eq!(sentences("..!?\n\n"), [""; 0]);
    }

    #[test]
    fn headings_open_sections_and_empty_lines_close_them() {
        let sections = |text: &str| {
            let reading = Reading::of(text);
            let of = |token: &Token| (reading.word(token).to_owned(), token.section);
            reading.tokens().iter().map(of).collect::<Vec<_>>()
        };
        let of = |text: &str, word: &str| {
            sections(text).into_iter().find(|(found, _)| found == word).map(|(_, section)| section).unwrap()
        };
        let note = "Antecedentes familiares: padre con diabetes. Tío con asma.\n\nRefiere tos.\nPLAN: descartar anemia.\nEXAMEN: hepatomegalia";
        assert_eq!(of(note, "antecedentes"), Section::Heading);
        assert_eq!(of(note, "diabetes"), Section::Family);
        assert_eq!(of(note, "asma"), Section::Family);
        assert_eq!(of(note, "tos"), Section::Patient);
        assert_eq!(of(note, "anemia"), Section::Plan);
        assert_eq!(of(note, "hepatomegalia"), Section::Patient);
        assert_eq!(of("FAMILY HISTORY:\n\nMother had gout.", "gout"), Section::Family);
        assert_eq!(of("Fiebre: no", "fiebre"), Section::Patient, "a colon alone is no heading");
    }

    #[test]
    fn a_pattern_is_found_as_whole_words_only() {
        let reading = Reading::of("Hepatomegalia leve. Soplo; mitral");
        let found = |phrase: &str| reading.search_text().find(&Reading::pattern(phrase));
        assert!(found("hepatomegalia LEVE").is_some() && found("leve").is_some());
        assert!(found("hepato").is_none() && found("leve soplo").is_none());
        let place = found("leve").unwrap();
        assert_eq!(reading.tokens_in(place..place + " leve ".len()), 1..2);
        assert_eq!(Reading::pattern("¡!"), "");
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_every_word_is_whole(text in proptest::collection::vec(any::<char>(), 0..300)) {
            let text: String = text.into_iter().collect();
            let reading = Reading::of(&text);
            let mut sentence = 0;
            for (index, token) in reading.tokens().iter().enumerate() {
                let around = token.range.start - 1..token.range.end + 1;
                let word = &reading.search_text()[around.clone()];
                prop_assert!(word.starts_with(' ') && word.ends_with(' '));
                prop_assert_eq!(reading.tokens_in(around), index..index + 1);
                prop_assert!(token.sentence == sentence || token.sentence == sentence + 1 || index == 0);
                sentence = token.sentence;
            }
            // Reading what was read changes nothing.
            prop_assert_eq!(Reading::of(reading.search_text()).tokens().len(), reading.tokens().len());
        }
    }
}
