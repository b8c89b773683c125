//! Texts between quotes.

use std::fmt;

/// Bytes that are looked at together: what a vector register holds everywhere.
const TOGETHER: usize = 16;

/// Appends the name of a field as a key. Names are written in code, and are of letters.
#[inline]
pub(super) fn name(out: &mut Vec<u8>, name: &'static str) {
    debug_assert!(split(name.as_bytes()).is_none(), "the field {name:?} would have to be escaped");
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a text between quotes, with the escapes that JSON asks for.
#[inline]
pub(crate) fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}

/// A text that comes in pieces, between quotes that somebody else writes.
pub(super) struct Pieces<'a>(pub(super) &'a mut Vec<u8>);

impl fmt::Write for Pieces<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        escape(self.0, piece);
        Ok(())
    }
}

/// Text of which nothing has to be escaped, in pieces.
pub(crate) struct Plain<'a>(pub(crate) &'a mut Vec<u8>);

impl fmt::Write for Plain<'_> {
    #[inline]
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        debug_assert!(split(piece.as_bytes()).is_none(), "{piece:?} would have to be escaped");
        self.0.extend_from_slice(piece.as_bytes());
        Ok(())
    }
}

#[inline]
fn escape(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some((plain, byte, after)) = split(rest) {
        out.extend_from_slice(plain);
        escaped(out, byte);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// What comes before the first byte that must be escaped, it, and what comes after.
#[inline]
fn split(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let from = match bytes.last_chunk() {
        None => 0,
        Some(last) => {
            let (chunks, _) = bytes.as_chunks();
            match chunks.iter().position(any_special) {
                Some(chunk) => TOGETHER * chunk,
                // The last bytes, some of them once more.
                None if any_special(last) => TOGETHER * chunks.len(),
                None => return None,
            }
        }
    };
    let at = from + bytes[from..].iter().position(|byte| is_special(*byte))?;
    Some((&bytes[..at], bytes[at], &bytes[at + 1..]))
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Without a branch in it, so that the compiler takes all bytes at once.
#[inline]
fn any_special(bytes: &[u8; TOGETHER]) -> bool {
    bytes.iter().fold(false, |any, &byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

#[cold]
fn escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 0xf)];
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
