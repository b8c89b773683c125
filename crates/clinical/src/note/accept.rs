//! What a note may hold.

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class, is_nfc};

use super::{Note, NoteField};
use crate::{Issue, IssueCode, Raw};

/// Marks on one letter at most: the limit of the Stream-Safe Text Format (UAX #15, section 13), beyond
/// which no language goes and normalising is no longer linear.
const MARKS: usize = 30;

impl NoteField {
    /// Raw text -> an accepted note; `None` where there is none. A note is never cut short.
    ///
    /// # Errors
    /// Not a text, too long, a control character other than tab and line end, or more than thirty
    /// marks on one letter; the issue names the field and the limit and repeats nothing of the text.
    pub fn accept(&self, raw: Raw<'_>) -> Result<Option<Note>, Issue> {
        let text = match raw {
            Raw::Missing => return Ok(None),
            Raw::Text(text) | Raw::Written(text) => text.trim(),
            Raw::Integer(_) | Raw::Real(_) | Raw::Other => return Err(self.wrong("un texto", "text")),
        };
        if text.is_empty() {
            return Ok(None);
        }
        // A character has at most four bytes, a line end at most two: more need not be counted.
        if text.len() > 8 * self.max_chars {
            return Err(self.too_long());
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
            return Err(self.wrong("un texto sin caracteres de control", "text without control characters"));
        }
        self.check_marks(text)?;
        let lines = if text.contains('\r') {
            text.replace("\r\n", "\n").replace('\r', "\n")
        } else {
            text.to_owned()
        };
        if lines.chars().nth(self.max_chars).is_some() {
            return Err(self.too_long());
        }
        let note = if is_nfc(&lines) { lines } else { lines.nfc().collect() };
        // A few characters have a longer canonical form (U+0958 has two, U+0344 two marks); the limits hold for
        // it too.
        self.check_marks(&note)?;
        if note.chars().nth(self.max_chars).is_some() { Err(self.too_long()) } else { Ok(Some(Note(note))) }
    }

    fn check_marks(&self, text: &str) -> Result<(), Issue> {
        let mut marks = 0;
        for c in text.chars() {
            marks = if canonical_combining_class(c) == 0 { 0 } else { marks + 1 };
            if marks > MARKS {
                return Err(self.wrong(
                    format!("un texto con {MARKS} signos por letra como mucho"),
                    format!("text with at most {MARKS} marks on a letter"),
                ));
            }
        }
        Ok(())
    }

    fn wrong(&self, es: impl Into<String>, en: impl Into<String>) -> Issue {
        Issue::new(&self.name, IssueCode::WrongType).expecting(es, en)
    }

    fn too_long(&self) -> Issue {
        Issue::new(&self.name, IssueCode::OutOfRange).expecting(
            format!("como mucho {} caracteres", self.max_chars),
            format!("at most {} characters", self.max_chars),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Text;

    fn field(max_chars: usize) -> NoteField {
        NoteField {
            name: "note".to_owned(),
            label: Text::new("Nota", "Note"),
            hint: None,
            languages: vec![],
            max_chars,
            vocabularies: vec![],
            terms: vec![],
        }
    }

    fn accepted(text: &str) -> Result<Option<String>, String> {
        let accepted = field(20).accept(Raw::Text(text));
        accepted.map(|note| note.map(|note| note.0)).map_err(|issue| issue.reason())
    }

    #[test]
    fn texts_are_accepted_whole_or_refused_with_the_reason() {
        assert_eq!(accepted(" fiebre\r\ny tos\r"), Ok(Some("fiebre\ny tos".into())));
        assert_eq!(accepted("cora\u{301}zon"), Ok(Some("corázon".into())), "NFC");
        assert_eq!(accepted("\t \n"), Ok(None));
        assert_eq!(accepted(&"ñ".repeat(20)), Ok(Some("ñ".repeat(20))));
        assert_eq!(
            accepted(&"a\r\n".repeat(10)),
            Ok(Some("a\n".repeat(10).trim_end().into())),
            "a line end is one"
        );
        assert_eq!(accepted(&"ñ".repeat(21)), Err("note:out_of_range".into()));
        assert_eq!(accepted(&"\u{958}".repeat(20)), Err("note:out_of_range".into()), "longer in NFC");
        for bad in ["a\0b", "a\u{7}b", "a\u{9f}b"] {
            assert_eq!(accepted(bad), Err("note:wrong_type".into()), "{bad:?}");
        }
        let marks = |n| field(100).accept(Raw::Text(&format!("e{}", "\u{316}".repeat(n)))).is_ok();
        assert!(marks(30) && !marks(31));
        for raw in [Raw::Integer(1), Raw::Real(1.0), Raw::Other] {
            assert!(field(20).accept(raw).is_err());
        }
        assert_eq!(field(20).accept(Raw::Missing), Ok(None));
    }

    #[test]
    fn nothing_of_a_note_is_printed() {
        let note = field(100).accept(Raw::Text("zebrafish")).unwrap().unwrap();
        assert!(!format!("{note:?}").contains("zebra"));
        let issue = field(3).accept(Raw::Text("zebrafish")).unwrap_err();
        assert!(!format!("{issue:?}").contains("zebra"));
    }

    proptest! {
        #[test]
        fn an_accepted_note_is_accepted_again_unchanged(text in "\\PC{0,40}|[a-zñ\u{300}-\u{304}\r\n ]{0,40}") {
            if let Ok(Some(note)) = field(200).accept(Raw::Text(&text)) {
                prop_assert_eq!(field(200).accept(Raw::Text(note.text())), Ok(Some(note.clone())));
                prop_assert!(note.text().chars().count() <= 200 && !note.text().is_empty());
            }
        }

        #[test]
        fn any_text_gets_an_answer(text in proptest::collection::vec(any::<char>(), 0..200)) {
            let text: String = text.into_iter().collect();
            let _ = field(50).accept(Raw::Written(&text));
        }
    }
}
