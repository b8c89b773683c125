//! Cuts a stream into JSON documents: lines of NDJSON, one document, or the entries of a FHIR Bundle of any size.
//!
//! Only braces, brackets and strings are looked at; what a piece holds is for a JSON parser to say. A broken
//! line costs itself and nothing else.

use std::io::{self, Read};

use clinical::{Issue, IssueCode};

use crate::{
    built::Place as Where,
    case_file::{Broken, Problem},
};

const CHUNK: usize = 1 << 17;
/// The longest document that is read; a longer one is refused.
const RESOURCE_LIMIT: usize = 1 << 22;

/// One file, opened.
pub(crate) struct Part {
    pub(crate) name: String,
    /// Its name says that each line is a document.
    pub(crate) by_line: bool,
    pub(crate) reader: Box<dyn Read + Send>,
}

/// Whether the beginning of a JSON text has this key somewhere. A text inside a JSON string has its quotes
/// escaped, so what is found is a key.
pub(crate) fn has_key(first: &[u8], key: &str) -> bool {
    let key = format!("\"{key}\"");
    memchr::memmem::find_iter(first, key.as_bytes())
        .any(|at| first[at + key.len()..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':'))
}

/// One document, or an entry of a Bundle.
pub(crate) struct Piece<'s> {
    /// The line it begins on, from 1.
    pub(crate) line: u64,
    /// Which piece of the file.
    pub(crate) index: u64,
    /// An entry of a Bundle, which holds the resource.
    pub(crate) entry: bool,
    pub(crate) fault: Option<Fault>,
    /// At most [`RESOURCE_LIMIT`]; of a longer one its beginning.
    pub(crate) bytes: &'s [u8],
}

impl<'s> Piece<'s> {
    /// Its text, or the refused row that it is.
    pub(crate) fn text(&self) -> Result<&'s str, Broken> {
        let problem = match (self.fault, std::str::from_utf8(self.bytes)) {
            (None, Ok(text)) => return Ok(text),
            (None, Err(_)) => Problem::NotUtf8,
            (Some(Fault::Broken), _) if self.bytes.contains(&0) => Problem::Nul,
            (Some(Fault::Broken), _) => Problem::NotAnObject,
            (Some(Fault::TooLong), _) => {
                let limit = RESOURCE_LIMIT >> 20;
                let issue = Issue::new("row", IssueCode::OutOfRange).expecting(
                    format!("como mucho {limit} MiB por recurso"),
                    format!("at most {limit} MiB a resource"),
                );
                return Err(Broken::new(vec![issue], self.bytes));
            }
        };
        Err(problem.with(self.bytes))
    }

    /// Where it stands, in this file of those that are read together.
    pub(crate) fn place(&self, file: usize) -> Where {
        Where { file: u32::try_from(file).unwrap_or(u32::MAX), line: self.line, index: self.index }
    }
}

/// Why a piece cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No JSON object, or it ends in the middle.
    Broken,
    TooLong,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between documents.
    Outside,
    /// In something that is no object, up to the line's end.
    Junk,
    /// In an object, at this depth of braces and brackets.
    Object,
    /// Between the entries of a Bundle.
    Entries,
    /// In an entry.
    Entry,
}

/// The state of one stream.
pub(crate) struct Splitter {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    finished: bool,
    line: u64,
    index: u64,
    /// A line's end ends everything that is open.
    by_line: bool,
    place: Place,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The last string at depth 1 was `"entry"`, and a colon may have followed.
    entry_key: bool,
    /// The document has entries: what else it holds is passed over.
    bundle: bool,
    item: Vec<u8>,
    item_line: u64,
    too_long: bool,
}

impl Splitter {
    /// `by_line` where the file's name says that each line is a resource; else its first line tells.
    pub(crate) fn open(source: Box<dyn Read + Send>, by_line: bool) -> io::Result<Splitter> {
        let mut splitter = Splitter {
            source,
            buffer: vec![0; CHUNK],
            at: 0,
            end: 0,
            finished: false,
            line: 1,
            index: 0,
            by_line: true,
            place: Place::Outside,
            depth: 0,
            in_string: false,
            escaped: false,
            entry_key: false,
            bundle: false,
            item: Vec::new(),
            item_line: 1,
            too_long: false,
        };
        while splitter.end < CHUNK && splitter.fill()? {}
        if splitter.buffer[..splitter.end].starts_with(b"\xef\xbb\xbf") {
            splitter.at = 3;
        }
        splitter.by_line = by_line || first_line_is_whole(&splitter.buffer[splitter.at..splitter.end]);
        Ok(splitter)
    }

    /// Fetches more behind what there is; `false` at the end or where the buffer is full.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.finished |= self.end < self.buffer.len();
                    return Ok(false);
                }
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        loop {
            if self.at == self.end {
                (self.at, self.end) = (0, 0);
                if self.finished || !self.fill()? {
                    return Ok(self.at_end());
                }
            }
            let byte = self.buffer[self.at];
            self.at += 1;
            if let Some(fault) = self.step(byte) {
                return Ok(Some(self.piece(fault)));
            }
        }
    }

    /// What is open when the stream ends is broken.
    fn at_end(&mut self) -> Option<Piece<'_>> {
        let open = self.place != Place::Outside;
        self.forget();
        open.then(|| self.piece(Some(Fault::Broken)))
    }

    /// Gives up what is open; between entries the last one was whole and is not part of it.
    fn forget(&mut self) {
        if self.place == Place::Entries || (self.bundle && self.place == Place::Object) {
            self.item.clear();
            self.item_line = self.line;
            self.too_long = false;
        }
        self.place = Place::Outside;
        self.entry_key = false;
        self.bundle = false;
    }

    fn piece(&mut self, fault: Option<Fault>) -> Piece<'_> {
        self.index += 1;
        let fault = if self.too_long { Some(Fault::TooLong) } else { fault };
        Piece { line: self.item_line, index: self.index, entry: self.entry_key, fault, bytes: &self.item }
    }

    /// Takes one byte; `Some` where a piece ends with it: whole, or with its fault.
    #[expect(clippy::option_option, reason = "no piece yet, a whole piece, a faulty piece")]
    fn step(&mut self, byte: u8) -> Option<Option<Fault>> {
        if byte == b'\n' {
            self.line += 1;
            if let Some(broken) = self.line_end() {
                return Some(broken);
            }
        }
        match self.place {
            Place::Outside => {
                self.begin(byte);
                None
            }
            Place::Junk => {
                self.keep(byte);
                None
            }
            Place::Entries => {
                match byte {
                    b'{' => {
                        self.start(byte);
                        self.place = Place::Entry;
                    }
                    b']' => {
                        self.depth = 1;
                        self.entry_key = false;
                        self.place = Place::Object;
                    }
                    _ => {}
                }
                None
            }
            Place::Object | Place::Entry => self.inside(byte),
        }
    }

    #[expect(clippy::option_option, reason = "as above")]
    fn line_end(&mut self) -> Option<Option<Fault>> {
        let open = self.by_line && self.place != Place::Outside;
        let junk = self.place == Place::Junk;
        if !(open || junk) {
            return None;
        }
        self.forget();
        Some(Some(Fault::Broken))
    }

    fn begin(&mut self, byte: u8) {
        match byte {
            b'{' => {
                self.start(byte);
                self.place = Place::Object;
                self.depth = 1;
                self.bundle = false;
            }
            // An array of resources is no FHIR, but what is meant is clear.
            b'[' | b']' | b',' if !self.by_line => {}
            _ if byte.is_ascii_whitespace() => {}
            _ => {
                self.start(byte);
                self.place = Place::Junk;
            }
        }
    }

    fn start(&mut self, byte: u8) {
        self.item.clear();
        self.item.push(byte);
        self.item_line = self.line;
        self.too_long = false;
        self.in_string = false;
        self.escaped = false;
        self.entry_key = false;
        if self.place == Place::Entries {
            self.depth = 1;
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.bundle && self.place == Place::Object {
            return;
        }
        if self.item.len() < RESOURCE_LIMIT {
            self.item.push(byte);
        } else {
            self.too_long = true;
        }
    }

    #[expect(clippy::option_option, reason = "as above")]
    fn inside(&mut self, byte: u8) -> Option<Option<Fault>> {
        self.keep(byte);
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    let top = self.place == Place::Object && self.depth == 1 && !self.bundle;
                    self.entry_key = top && self.item.ends_with(b"\"entry\"");
                }
                _ => {}
            }
            return None;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' if self.entry_key => {
                self.bundle = true;
                self.entry_key = false;
                self.place = Place::Entries;
            }
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return self.close();
                }
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => return None,
            _ => {}
        }
        self.entry_key = false;
        None
    }

    #[expect(clippy::option_option, reason = "as above")]
    fn close(&mut self) -> Option<Option<Fault>> {
        let (place, bundle) = (self.place, self.bundle);
        self.entry_key = place == Place::Entry;
        match (place, bundle) {
            (Place::Entry, _) => {
                self.place = Place::Entries;
                Some(None)
            }
            (_, true) => {
                self.place = Place::Outside;
                self.item.clear();
                self.bundle = false;
                None
            }
            _ => {
                self.place = Place::Outside;
                Some(None)
            }
        }
    }
}

/// Whether the first line that holds anything is a whole object.
fn first_line_is_whole(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let Some(line) = text.split(|&byte| byte == b'\n').next().filter(|line| line.len() < text.len()) else {
        return false;
    };
    let (mut depth, mut in_string, mut escaped) = (0i64, false, false);
    for &byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    depth == 0 && !in_string && line.starts_with(b"{")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, by_line: bool) -> Vec<(u64, bool, Option<Fault>, String)> {
        let mut splitter =
            Splitter::open(Box::new(io::Cursor::new(text.as_bytes().to_vec())), by_line).unwrap();
        let mut all = Vec::new();
        while let Some(piece) = splitter.next_piece().unwrap() {
            let text = String::from_utf8_lossy(piece.bytes).trim().to_owned();
            all.push((piece.line, piece.entry, piece.fault, text));
        }
        all
    }

    #[test]
    fn lines_are_resources_and_a_broken_one_costs_itself() {
        let found = pieces(
            "\u{feff}{\"a\":\"}\\\"\"}\n\n{\"b\": [1, {\n{\"c\":{}}\nx y\n{\"d\":1}{\"e\":2}\n{\"f\"",
            false,
        );
        let texts: Vec<_> =
            found.iter().map(|(line, _, fault, text)| (*line, *fault, text.as_str())).collect();
        assert_eq!(
            texts,
            [
                (1, None, "{\"a\":\"}\\\"\"}"),
                (3, Some(Fault::Broken), "{\"b\": [1, {"),
                (4, None, "{\"c\":{}}"),
                (5, Some(Fault::Broken), "x y"),
                (6, None, "{\"d\":1}"),
                (6, None, "{\"e\":2}"),
                (7, Some(Fault::Broken), "{\"f\""),
            ]
        );
    }

    #[test]
    fn a_bundle_is_its_entries_however_it_is_laid_out() {
        let bundle = "{\n \"resourceType\": \"Bundle\", \"note\": \"entry\",\n \"meta\": {\"entry\": [1]},\n \"entry\" : [\n  \
                      {\"resource\": {\"x\": [\"]\"]}},\n  {\"fullUrl\": \"u\"}\n ],\n \"total\": 2\n}\n{\"after\": 1}\n";
        for text in [bundle.to_owned(), bundle.replace('\n', " ") + "\n"] {
            let found = pieces(&text, false);
            let texts: Vec<_> =
                found.iter().map(|(_, entry, fault, text)| (*entry, *fault, text.as_str())).collect();
            assert_eq!(
                texts,
                [
                    (true, None, "{\"resource\": {\"x\": [\"]\"]}}"),
                    (true, None, "{\"fullUrl\": \"u\"}"),
                    (false, None, "{\"after\": 1}"),
                ]
            );
        }
        let cut = &bundle[..bundle.find("\"u\"").unwrap()];
        let found = pieces(cut, false);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].2, Some(Fault::Broken));
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_next_is_read() {
        let long = format!("{{\"a\":\"{}\"}}\n{{\"b\":1}}\n", "x".repeat(RESOURCE_LIMIT));
        let found = pieces(&long, true);
        assert_eq!((found[0].2, found[0].3.len()), (Some(Fault::TooLong), RESOURCE_LIMIT));
        assert_eq!((found[1].0, found[1].2, found[1].3.as_str()), (2, None, "{\"b\":1}"));
    }
}
