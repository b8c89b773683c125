//! Cuts a stream into lines of bounded length, with a look ahead for records that span several.

use std::io::{self, Read};

/// The longest record that is read; a longer one is refused, not kept.
pub(crate) const RECORD_LIMIT: usize = 1 << 20;
const CHUNK: usize = 1 << 17;

/// A window over the stream: the unread part of what has been fetched.
pub(crate) struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    finished: bool,
    /// Number of the line at `start`, from 1.
    line: u64,
}

/// What lies at the window's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A line of this many bytes, without its end, and this many with it.
    Line {
        length: usize,
        whole: usize,
    },
    /// More bytes than a record may have, without a line end among them.
    TooLong,
    End,
}

impl Lines {
    pub(crate) fn new(source: Box<dyn Read + Send>) -> Self {
        Lines { source, buffer: Vec::new(), start: 0, end: 0, finished: false, line: 1 }
    }

    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// What has been fetched and not yet taken.
    pub(crate) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the window reaches the end of the stream.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// Fetches more; `false` when there is no more or the window is as large as it may be.
    pub(crate) fn extend(&mut self) -> io::Result<bool> {
        if self.finished || self.end - self.start > RECORD_LIMIT {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = (self.end * 2).clamp(CHUNK, RECORD_LIMIT + CHUNK);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.finished = true;
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

    /// Finds the line at the window's start.
    pub(crate) fn peek(&mut self) -> io::Result<Next> {
        let mut searched = 0;
        loop {
            let window = self.window();
            if let Some(found) = memchr::memchr(b'\n', &window[searched..]) {
                let length = searched + found;
                return Ok(match length > RECORD_LIMIT {
                    true => Next::TooLong,
                    false => Next::Line { length: without_return(&window[..length]), whole: length + 1 },
                });
            }
            searched = window.len();
            if searched > RECORD_LIMIT {
                return Ok(Next::TooLong);
            }
            if !self.extend()? && self.finished {
                let rest = self.window();
                return Ok(match rest.len() {
                    0 => Next::End,
                    whole => Next::Line { length: without_return(rest), whole },
                });
            }
        }
    }

    /// Moves on by `bytes` that hold `lines` line ends.
    pub(crate) fn take(&mut self, bytes: usize, lines: u64) {
        self.start = (self.start + bytes).min(self.end);
        self.line += lines;
    }

    /// The first `length` of the last `whole` bytes that were moved past.
    pub(crate) fn taken(&self, whole: usize, length: usize) -> &[u8] {
        let from = self.start.saturating_sub(whole);
        &self.buffer[from..from + length]
    }

    /// Moves on past the next line end, however far it is.
    pub(crate) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            match memchr::memchr(b'\n', self.window()) {
                Some(found) => {
                    self.take(found + 1, 1);
                    return Ok(());
                }
                None => {
                    self.take(self.window().len(), 0);
                    if !self.extend()? {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn without_return(line: &[u8]) -> usize {
    line.len() - usize::from(line.last() == Some(&b'\r'))
}
