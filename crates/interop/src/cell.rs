//! One value of a row as the file holds it, before it means anything.

use clinical::Raw;

/// A cell of any file format. Text files only have `Written`; typed files have the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Missing,
    /// Characters of a text file; only the field's kind tells whether a number is meant.
    Written(&'a str),
    Text(&'a str),
    Integer(i64),
    Real(f64),
    /// A date or time of a typed file, UTC microseconds since 1970.
    Instant(i64),
    /// Anything else (a boolean, a list, bytes).
    Other,
}

impl<'a> Cell<'a> {
    /// The value for the study's checks.
    pub(crate) fn raw(self) -> Raw<'a> {
        match self {
            Cell::Missing => Raw::Missing,
            Cell::Written(text) => Raw::Written(text),
            Cell::Text(text) => Raw::Text(text),
            Cell::Integer(number) => Raw::Integer(number),
            Cell::Real(number) => Raw::Real(number),
            Cell::Instant(_) | Cell::Other => Raw::Other,
        }
    }

    /// Its characters without surrounding spaces, where it is text.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Cell::Written(text) | Cell::Text(text) => Some(text.trim()),
            _ => None,
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        match self {
            Cell::Missing => true,
            Cell::Written(text) | Cell::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    /// Its number; a text of a typed file is not one, whatever is written in it.
    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Cell::Integer(number) => Some(number as f64),
            Cell::Real(number) => Some(number),
            Cell::Written(text) => written_number(text.trim()),
            _ => None,
        }
    }
}

/// A number in decimal digits; `inf`, `nan` and words are not numbers.
pub(crate) fn written_number(text: &str) -> Option<f64> {
    let decimal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+');
    if !text.bytes().all(decimal) {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}
