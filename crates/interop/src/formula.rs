//! Cells that a spreadsheet would compute.
//!
//! A text that begins like a formula (`=cmd|...`) is data here and is stored as it came. But people open a CSV file
//! in a spreadsheet, which may run it; so in CSV such a text is written with an apostrophe in front, by which
//! spreadsheets know a text (the OWASP page "CSV Injection" recommends it), and reading takes it off again: an
//! identifier that went out comes back as it was. Numbers such as `-12` stay as they are; NDJSON and Parquet have types.

use std::borrow::Cow;

use crate::cell::written_number;

/// Put in front.
const GUARD: char = '\'';

/// A sign alone is a code (of a rhesus factor, say).
fn begins_like_a_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.len() > 1 && written_number(text).is_none()
}

/// The text as it is written into CSV.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    // A text that has the guard itself gets a second one, so that reading gives it back.
    if begins_like_a_formula(text.trim_start_matches(GUARD)) {
        Cow::Owned(format!("{GUARD}{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text that was written into CSV so.
pub(crate) fn unguarded(text: &str) -> &str {
    // Every cell comes through here, and hardly one has the guard.
    if text.as_bytes().first() != Some(&(GUARD as u8)) {
        return text;
    }
    match text.strip_prefix(GUARD) {
        Some(bare) if begins_like_a_formula(bare.trim_start_matches(GUARD)) => bare,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_is_guarded_and_comes_back() {
        for (text, written) in [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("+1+1", "'+1+1"),
            ("-2+3", "'-2+3"),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
            ("-12", "-12"),
            ("-", "-"),
            ("+4.5e3", "+4.5e3"),
            ("p-1", "p-1"),
            ("'t Hooft", "'t Hooft"),
            ("", ""),
        ] {
            assert_eq!(guarded(text), written);
            assert_eq!(unguarded(&guarded(text)), text);
        }
        assert_eq!(unguarded("=1"), "=1", "a hospital's own file is not guarded");
    }
}
