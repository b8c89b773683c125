//! CSV by RFC 4180, strictly: a quoted field is quoted as a whole, every row is as long as the
//! header. Written here rather than taken from a crate because lenient parsers accept stray quotes
//! in silence and let one that is never closed swallow the rest of the file; here it costs its own
//! line and reading goes on at the next.

use std::{io::Read, ops::Range};

use super::{
    format::stream_error,
    lines::{Lines, Next, RECORD_LIMIT},
    record::{Cells, Problem, Record, Records},
};
use crate::{FileError, Format, cell::Cell, formula};

/// A CSV file behind its header.
pub(crate) struct CsvRecords {
    lines: Lines,
    delimiter: u8,
    /// Header names; those that nobody asked for are dropped by [`CsvRecords::ignore`].
    ignored: Vec<String>,
    width: usize,
    /// Fields of the current row: ranges of its text, or of `unquoted` where it has quotes.
    fields: Vec<Range<usize>>,
    unquoted: String,
}

/// One row: its text, and its fields as ranges of `cells`.
pub(crate) struct CsvRecord<'r> {
    pub(crate) raw: &'r str,
    cells: &'r str,
    fields: &'r [Range<usize>],
}

impl CsvRecord<'_> {
    #[inline]
    pub(crate) fn get(&self, column: usize) -> Cell<'_> {
        match self.fields.get(column).and_then(|field| self.cells.get(field.clone())) {
            Some(text) => Cell::Written(formula::unguarded(text)),
            None => Cell::Missing,
        }
    }
}

impl CsvRecords {
    /// Reads the header and returns its names, in order, without surrounding spaces.
    pub(crate) fn open(
        reader: Box<dyn Read + Send>,
        delimiter: u8,
    ) -> Result<(Self, Vec<String>), FileError> {
        let mut records = CsvRecords {
            lines: Lines::new(reader),
            delimiter,
            ignored: Vec::new(),
            width: 0,
            fields: Vec::new(),
            unquoted: String::new(),
        };
        records.skip_mark().map_err(stream_error)?;
        let Some(frame) = records.frame().map_err(stream_error)? else {
            return Err(FileError::Empty);
        };
        match frame.problem {
            None => {}
            Some(Problem::TooLong) => {
                return Err(FileError::HeaderTooLong { format: Format::Csv, limit: RECORD_LIMIT });
            }
            Some(Problem::NotUtf8 | Problem::Nul) => return Err(FileError::HeaderNotText),
            Some(_) => {
                return Err(FileError::Damaged {
                    format: "CSV",
                    problem: "a quote in the header row does not open and close a whole name".to_owned(),
                });
            }
        }
        let header = records.names(&frame);
        if header.iter().any(|name| name.contains('\r')) {
            return Err(FileError::Damaged {
                format: "CSV",
                problem: "lines end in carriage returns alone; save the file with the usual line ends"
                    .to_owned(),
            });
        }
        records.width = header.len();
        Ok((records, header))
    }

    /// Remembers which columns nobody asked for.
    pub(crate) fn ignore(&mut self, names: Vec<String>) {
        self.ignored = names;
    }

    fn skip_mark(&mut self) -> std::io::Result<()> {
        while self.lines.window().len() < 3 && self.lines.extend()? {}
        if self.lines.window().starts_with(b"\xef\xbb\xbf") {
            self.lines.take(3, 0);
        }
        Ok(())
    }

    fn names(&mut self, frame: &Frame) -> Vec<String> {
        let raw = std::str::from_utf8(&self.lines.window()[..frame.length]).unwrap_or_default();
        let cells = if frame.quoted { self.unquoted.as_str() } else { raw };
        let names = self.fields.iter().map(|field| cells[field.clone()].trim().to_owned()).collect();
        self.lines.take(frame.whole, frame.lines);
        names
    }

    /// Finds the next row that is not blank and fills `fields`; `None` at the end of the file.
    fn frame(&mut self) -> std::io::Result<Option<Frame>> {
        loop {
            match self.lines.peek()? {
                Next::End => return Ok(None),
                Next::TooLong => return Ok(Some(Frame::broken(RECORD_LIMIT, Problem::TooLong))),
                Next::Line { length: 0, whole } => self.lines.take(whole, 1),
                Next::Line { length, whole } => {
                    let line = &self.lines.window()[..length];
                    if memchr::memchr(b'"', line).is_some() {
                        return self.quoted(length).map(Some);
                    }
                    let problem = text_problem(line);
                    self.fields.clear();
                    let mut from = 0;
                    for at in memchr::memchr_iter(self.delimiter, line) {
                        self.fields.push(from..at);
                        from = at + 1;
                    }
                    self.fields.push(from..length);
                    return Ok(Some(Frame { length, whole, lines: 1, quoted: false, problem }));
                }
            }
        }
    }

    /// What is wrong with a framed row.
    fn problem(&self, frame: &Frame) -> Option<Problem> {
        let ragged = self.fields.len() != self.width;
        match &frame.problem {
            Some(Problem::TooLong) => Some(Problem::TooLong),
            Some(Problem::Quote) => Some(Problem::Quote),
            _ if ragged && frame.lines > 1 => Some(Problem::Quote),
            Some(problem) => Some(problem.clone()),
            None => ragged.then_some(Problem::Ragged { expected: self.width }),
        }
    }

    /// A row with quotes, which may span lines. Where it is malformed, only its first line is lost.
    fn quoted(&mut self, first_line: usize) -> std::io::Result<Frame> {
        loop {
            match unquote(self.lines.window(), self.delimiter, self.lines.finished(), &mut self.fields) {
                Unquoted::Row { length, whole, lines, cells } => {
                    let problem = text_problem(&self.lines.window()[..length]);
                    // Only quotes were taken out of it, so it is UTF-8 where the row is.
                    self.unquoted = String::from_utf8(cells).unwrap_or_default();
                    return Ok(Frame { length, whole, lines, quoted: true, problem });
                }
                Unquoted::Malformed => return Ok(Frame::broken(first_line, Problem::Quote)),
                Unquoted::NeedsMore => {
                    if !self.lines.extend()? && !self.lines.finished() {
                        return Ok(Frame::broken(first_line, Problem::Quote));
                    }
                }
            }
        }
    }
}

impl Records for CsvRecords {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, FileError> {
        let Some(frame) = self.frame().map_err(stream_error)? else {
            return Ok(None);
        };
        let line = self.lines.line();
        if let Some(problem) = self.problem(&frame) {
            // A quote that swallowed lines until it met the next one costs its own line only.
            let first_line_only = matches!(problem, Problem::TooLong | Problem::Quote);
            let window = &self.lines.window()[..frame.length];
            let end = memchr::memchr(b'\n', window).filter(|_| first_line_only).unwrap_or(window.len());
            let broken = problem.with(window[..end].trim_ascii_end());
            match first_line_only {
                true => self.lines.skip_line().map_err(stream_error)?,
                false => self.lines.take(frame.whole, frame.lines),
            }
            return Ok(Some(Record::new(line, Err(broken))));
        }
        self.lines.take(frame.whole, frame.lines);
        let raw = std::str::from_utf8(self.lines.taken(frame.whole, frame.length)).unwrap_or_default();
        let cells = if frame.quoted { self.unquoted.as_str() } else { raw };
        Ok(Some(Record::new(line, Ok(Cells::Csv(CsvRecord { raw, cells, fields: &self.fields })))))
    }

    fn ignored(&self) -> Vec<String> {
        self.ignored.clone()
    }
}

/// Where a row lies in the window.
struct Frame {
    /// Bytes without the line end, with it, and the line ends among them.
    length: usize,
    whole: usize,
    lines: u64,
    quoted: bool,
    problem: Option<Problem>,
}

impl Frame {
    fn broken(length: usize, problem: Problem) -> Frame {
        Frame { length, whole: length, lines: 0, quoted: false, problem: Some(problem) }
    }
}

fn text_problem(row: &[u8]) -> Option<Problem> {
    if std::str::from_utf8(row).is_err() {
        return Some(Problem::NotUtf8);
    }
    memchr::memchr(0, row).map(|_| Problem::Nul)
}

enum Unquoted {
    Row {
        length: usize,
        whole: usize,
        lines: u64,
        cells: Vec<u8>,
    },
    Malformed,
    /// The row does not end in what has been fetched.
    NeedsMore,
}

/// Takes the quotes out of the row at the start of `bytes`.
fn unquote(bytes: &[u8], delimiter: u8, finished: bool, fields: &mut Vec<Range<usize>>) -> Unquoted {
    fields.clear();
    let mut cells = Vec::new();
    let (mut at, mut lines) = (0, 0);
    loop {
        let from = cells.len();
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let Some(quote) = memchr::memchr(b'"', &bytes[at..]) else {
                    // An open quote at the end of the file, or one that closes too far away.
                    let hopeless = finished || bytes.len() > RECORD_LIMIT;
                    return if hopeless { Unquoted::Malformed } else { Unquoted::NeedsMore };
                };
                let text = &bytes[at..at + quote];
                lines += memchr::memchr_iter(b'\n', text).count() as u64;
                cells.extend_from_slice(text);
                at += quote + 1;
                match bytes.get(at) {
                    Some(b'"') => {
                        cells.push(b'"');
                        at += 1;
                    }
                    None if !finished => return Unquoted::NeedsMore,
                    _ => break,
                }
            }
        } else {
            let rest = &bytes[at..];
            let stop = rest.iter().position(|&byte| byte == delimiter || byte == b'\n' || byte == b'"');
            match stop {
                None if !finished => return Unquoted::NeedsMore,
                Some(stop) if rest[stop] == b'"' => return Unquoted::Malformed,
                _ => {}
            }
            let mut length = stop.unwrap_or(rest.len());
            let ends = stop.is_none_or(|stop| rest[stop] == b'\n');
            if ends && rest[..length].last() == Some(&b'\r') {
                length -= 1;
            }
            cells.extend_from_slice(&rest[..length]);
            at += length;
        }
        fields.push(from..cells.len());
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(&byte), _) if byte == delimiter => at += 1,
            (Some(b'\n'), _) => return Unquoted::Row { length: at, whole: at + 1, lines: lines + 1, cells },
            (Some(b'\r'), Some(b'\n')) => {
                return Unquoted::Row { length: at, whole: at + 2, lines: lines + 1, cells };
            }
            (Some(b'\r'), None) if finished => {
                return Unquoted::Row { length: at, whole: at + 1, lines, cells };
            }
            (None, _) if finished => return Unquoted::Row { length: at, whole: at, lines, cells },
            (Some(b'\r'), None) | (None, _) => return Unquoted::NeedsMore,
            _ => return Unquoted::Malformed,
        }
    }
}
