//! Progress for people: bars on a terminal, plain lines in a log, nothing when asked to be quiet. Always
//! on standard error, so that standard output holds results only.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two plain lines of one task.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Bars,
    Lines,
    Quiet,
}

/// How progress is shown.
#[derive(Debug, Clone)]
pub struct Progress {
    mode: Mode,
}

/// One task under way; finished when dropped.
#[derive(Debug)]
pub struct Task {
    mode: Mode,
    name: String,
    started: Instant,
    total: Option<u64>,
    bar: ProgressBar,
    last_line: Mutex<Instant>,
}

impl Progress {
    pub fn new(quiet: bool) -> Progress {
        let mode = match (quiet, stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        Progress { mode }
    }

    /// One line about what happens next.
    pub fn say(&self, line: &str) {
        if self.mode != Mode::Quiet {
            // Nobody reads a closed standard error.
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// Begins a task of `total` units (rows, rounds), or of unknown length.
    pub fn task(&self, name: &str, total: Option<u64>) -> Task {
        let bar = match (self.mode, total) {
            (Mode::Bars, Some(total)) => ProgressBar::new(total),
            (Mode::Bars, None) => ProgressBar::new_spinner(),
            _ => ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()),
        };
        let style = match total {
            Some(_) => "{msg:<26} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta}",
            None => "{msg:<26} {spinner} {human_pos}  {per_sec}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        if self.mode == Mode::Lines {
            self.say(&format!("{name} ..."));
        }
        let now = Instant::now();
        Task { mode: self.mode, name: name.to_owned(), started: now, total, bar, last_line: Mutex::new(now) }
    }

    /// Begins to read a file whose rows nobody has counted: what is left is told by its bytes.
    pub fn reading(&self, name: &str) -> Task {
        let task = self.task(&format!("reading {name}"), None);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %  {eta}") {
            task.bar.set_style(style);
        }
        task.bar.set_length(PER_MILLE);
        task
    }
}

/// The length of a bar that shows a share.
const PER_MILLE: u64 = 1000;

impl Task {
    /// Units done so far.
    pub fn at(&self, done: u64) {
        self.bar.set_position(done);
        self.line(done);
    }

    /// Rows read so far and the share of the file that they were, where it is known.
    pub fn read(&self, rows: u64, share: Option<f64>) {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 { rows as f64 / seconds } else { 0.0 };
        let done = share.unwrap_or(0.0);
        self.bar.set_position((done * PER_MILLE as f64) as u64);
        self.bar.set_message(format!("{}: {rows} rows, {rate:.0}/s", self.name));
        let left = || match share {
            Some(share) if share > 0.0 => {
                format!(", {:.0} % read, {:.0} s left", 100.0 * share, seconds * (1.0 - share) / share)
            }
            _ => String::new(),
        };
        self.say_now_and_then(|| format!("{}: {rows} rows, {rate:.0}/s{}", self.name, left()));
    }

    /// Units done since the last call.
    pub fn advance(&self, more: u64) {
        self.bar.inc(more);
        self.line(self.bar.position());
    }

    /// A word about the current state, e.g. a loss.
    pub fn note(&self, note: &str) {
        self.bar.set_message(format!("{} {note}", self.name));
    }

    /// One line that stays, above the bar where there is one.
    pub fn say(&self, line: &str) {
        match self.mode {
            Mode::Bars => self.bar.println(line),
            Mode::Lines => {
                let _ = writeln!(stderr(), "{line}");
            }
            Mode::Quiet => {}
        }
    }

    fn line(&self, done: u64) {
        self.say_now_and_then(|| {
            let rate = done as f64 / self.started.elapsed().as_secs_f64();
            match self.total {
                Some(total) if rate > 0.0 => {
                    let left = total.saturating_sub(done) as f64 / rate;
                    // Of long units, such as trials, nobody counts how many a second takes.
                    let rate = if rate < 1.0 { String::new() } else { format!(" {rate:.0}/s,") };
                    format!("{}: {done} of {total},{rate} {left:.0} s left", self.name)
                }
                _ => format!("{}: {done}, {rate:.0}/s", self.name),
            }
        });
    }

    /// A plain line, where there are no bars and the last one is old enough.
    fn say_now_and_then(&self, line: impl FnOnce() -> String) {
        if self.mode != Mode::Lines {
            return;
        }
        let Ok(mut last) = self.last_line.lock() else { return };
        if last.elapsed() < LINE_EVERY {
            return;
        }
        *last = Instant::now();
        let _ = writeln!(stderr(), "{}", line());
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if self.mode != Mode::Quiet {
            let _ = writeln!(stderr(), "{}: {:.1} s", self.name, self.started.elapsed().as_secs_f64());
        }
    }
}
