//! JSON as it is written: into the body of an answer, or into the record of one.

use std::io;

use serde::Serialize;

/// What most answers and records fit into, bytes.
const ROOM: usize = 2048;

/// A value as compact JSON.
///
/// # Errors
/// The value has no JSON form.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut written = Written { bytes: vec![0; ROOM], end: 0 };
    serde_json::to_writer(&mut written, value)?;
    written.bytes.truncate(written.end);
    Ok(written.bytes)
}

/// Bytes written one after the other. An answer comes in hundreds of pieces of a few bytes: with the room already there, a
/// piece is a copy whose length the compiler often knows, where a vector that grows would take each by a call.
struct Written {
    bytes: Vec<u8>,
    end: usize,
}

impl io::Write for Written {
    #[inline]
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.write_all(piece)?;
        Ok(piece.len())
    }

    #[inline]
    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        let end = self.end + piece.len();
        if end > self.bytes.len() {
            self.grow(end);
        }
        self.bytes[self.end..end].copy_from_slice(piece);
        self.end = end;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    #[cold]
    fn grow(&mut self, least: usize) {
        self.bytes.resize(least.max(2 * self.bytes.len()), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_length_is_what_serde_json_writes() {
        for length in [0, 1, ROOM - 3, ROOM - 2, ROOM - 1, 5 * ROOM] {
            let value = ("x".repeat(length), length, [0.1, -1e-9], "\"\n\u{e9}");
            assert_eq!(json(&value).unwrap(), serde_json::to_vec(&value).unwrap(), "{length}");
        }
    }
}
