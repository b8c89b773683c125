//! Training processes: started with a job, read message by message, and never left behind.

use std::ffi::OsString;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use super::wire::{self, Message};
use crate::{Error, Result};

/// Lines of a process's standard error that are kept.
const LAST_WORDS: usize = 3;

/// A command that starts training processes.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// A running process. Dropping it ends it.
pub(super) struct Process {
    child: Child,
    stderr: Option<JoinHandle<String>>,
    program: String,
}

/// What a process answers.
pub(super) type Output = BufReader<ChildStdout>;

impl Program {
    /// Starts the command with `more` arguments and `threads` threads, and sends it `job`; without one
    /// its standard input stays open as long as this process lives.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        &self,
        more: &[String],
        threads: usize,
        job: Option<Message>,
    ) -> Result<(Process, Output)> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Waiting OpenMP threads must not spin: on a shared machine that costs many times the work.
        command.env("OMP_NUM_THREADS", threads.to_string()).env("OMP_WAIT_POLICY", "passive");
        command.env("RAYON_NUM_THREADS", threads.to_string());
        let program = self.program.display().to_string();
        let mut child = match command.spawn() {
            Ok(child) => Process { child, stderr: None, program },
            Err(error) => {
                return Err(Error::Worker {
                    program,
                    how: format!("cannot be started: {error}"),
                    stderr: String::new(),
                });
            }
        };
        let (stdout, stderr) = (child.child.stdout.take(), child.child.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(child.died("has no standard streams".into(), String::new()));
        };
        child.stderr = Some(thread::spawn(move || last_words(stderr)));
        if let Some(job) = job
            && let Some(mut stdin) = child.child.stdin.take()
        {
            // A process that dies before it has read its job breaks the pipe; its death is the news.
            thread::spawn(move || wire::write(&mut stdin, &job).and_then(|()| stdin.flush()));
        }
        Ok((child, BufReader::new(stdout)))
    }
}

impl Process {
    /// Ends it; a process that has ended already keeps its status.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for its end; answers its status and its last words.
    ///
    /// # Errors
    /// When the system cannot wait for it.
    pub(super) fn ended(&mut self) -> Result<(ExitStatus, String)> {
        let status = self.child.wait();
        let status =
            status.map_err(|error| self.died(format!("cannot be awaited: {error}"), String::new()))?;
        let words = self.stderr.take().and_then(|stderr| stderr.join().ok());
        Ok((status, words.unwrap_or_default()))
    }

    /// What to say of its end.
    pub(super) fn died(&self, how: String, stderr: String) -> Error {
        Error::Worker { program: self.program.clone(), how, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last_words(mut stderr: impl Read) -> String {
    let mut text = Vec::new();
    let _ = stderr.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(LAST_WORDS)..).unwrap_or_default().join("; ")
}

/// The signal that ended a process.
pub(super) fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    return None;
}

/// How a process ended, in words.
pub(super) fn how_ended(status: ExitStatus) -> String {
    match (signal(status), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal} before it answered"),
        (None, Some(code)) => format!("ended with status {code} before it answered"),
        (None, None) => "ended before it answered".to_owned(),
    }
}
