//! The program's side: start a training process, hand it a job, follow it, and survive its death.

use std::ffi::OsString;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use super::job::{Fit, Job};
use super::wire::{self, Kind, Message};
use crate::ffi::engines_folder;
use crate::{Error, Result};

/// How far a training job is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Position of the job in the list given to [`Trainer::fit_all`].
    pub job: usize,
    /// Rounds done, of at most [`Progress::rounds`] (early stopping may end before).
    pub round: usize,
    pub rounds: usize,
    /// Mean log loss of the held-out cases, where there are any.
    pub held_out_loss: Option<f64>,
    /// Whether the job has ended.
    pub done: bool,
}

/// Starts training processes.
#[derive(Debug, Clone)]
pub struct Trainer {
    program: PathBuf,
    arguments: Vec<OsString>,
    parallel: usize,
}

impl Trainer {
    /// `program arguments…` must call [`super::worker_main`] on its standard input and output.
    /// At most `parallel` processes run at a time; that changes no result.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        parallel: usize,
    ) -> Self {
        Trainer {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            parallel: parallel.max(1),
        }
    }

    /// Fits one model.
    ///
    /// # Errors
    /// As [`Trainer::fit_all`].
    pub fn fit(&self, job: &Job, progress: &mut dyn FnMut(Progress)) -> Result<Fit> {
        let mut fits = self.fit_all(std::slice::from_ref(job), progress)?;
        fits.pop().ok_or_else(|| Error::Protocol("no model was answered".into()))
    }

    /// Fits each job in a process of its own and answers in the jobs' order.
    ///
    /// # Errors
    /// The first failure: a malformed job, a missing library, a training process that cannot be
    /// started, fails, or dies (its exit status or signal is named). The others are ended.
    pub fn fit_all(&self, jobs: &[Job], progress: &mut dyn FnMut(Progress)) -> Result<Vec<Fit>> {
        jobs.iter().try_for_each(Job::check)?;
        engines_folder()?;
        let mut fits: Vec<Option<Fit>> = Vec::new();
        fits.resize_with(jobs.len(), || None);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let stop = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..self.parallel.min(jobs.len()) {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                scope.spawn(move || {
                    loop {
                        let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some(job) = jobs.get(i) else { return };
                        let tell = |event| {
                            !stop.load(std::sync::atomic::Ordering::Relaxed) && sender.send(event).is_ok()
                        };
                        let fitted = self.run(i, job, &mut |progress| tell(Event::Progress(progress)));
                        if !tell(Event::Done(i, fitted)) {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for event in receiver {
                match event {
                    Event::Progress(step) => progress(step),
                    Event::Done(i, fitted) => match fitted {
                        Ok(fit) => {
                            progress(Progress {
                                job: i,
                                round: fit.rounds,
                                rounds: fit.rounds,
                                held_out_loss: fit.held_out_loss.get(fit.rounds.saturating_sub(1)).copied(),
                                done: true,
                            });
                            if let Some(place) = fits.get_mut(i) {
                                *place = Some(fit);
                            }
                        }
                        Err(error) => {
                            stop.store(true, std::sync::atomic::Ordering::Relaxed);
                            next.store(jobs.len(), std::sync::atomic::Ordering::Relaxed);
                            return Err(error);
                        }
                    },
                }
            }
            fits.into_iter()
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Error::Protocol("a model is missing".into()))
        })
    }

    /// One job in one process; `tell` answers whether anybody still listens.
    fn run(&self, index: usize, job: &Job, tell: &mut dyn FnMut(Progress) -> bool) -> Result<Fit> {
        let threads = job.parameters.threads.to_string();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Waiting OpenMP threads must not spin: on a shared machine that costs many times the work.
        command.env("OMP_NUM_THREADS", threads).env("OMP_WAIT_POLICY", "passive");
        let mut child =
            Running(command.spawn().map_err(|error| self.died(format!("cannot be started: {error}"), ""))?);
        let (stdin, stdout, stderr) = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(self.died("has no standard streams".into(), ""));
        };
        thread::scope(|scope| {
            let message = Message::job(job)?;
            // A process that dies before it has read its job breaks the pipe; its death is the news.
            scope.spawn(move || wire::write(&mut stdin, &message).and_then(|()| stdin.flush()));
            let errors = scope.spawn(move || tail(stderr));
            let answer = follow(BufReader::new(stdout), index, job, tell);
            if answer.is_err() {
                // It may still be waiting for us; its status no longer matters.
                let _ = child.0.kill();
            }
            let status =
                child.0.wait().map_err(|error| self.died(format!("cannot be awaited: {error}"), ""))?;
            let stderr = errors.join().unwrap_or_default();
            match answer {
                Ok(Answer::Fit(fit)) if status.success() => Ok(fit),
                Ok(Answer::Failure(reason)) => Err(self.died(format!("failed: {reason}"), "")),
                Ok(_) => Err(self.died(ended(status), &stderr)),
                Err(error) => Err(error),
            }
        })
    }

    fn died(&self, how: String, stderr: &str) -> Error {
        Error::Worker { program: self.program.display().to_string(), how, stderr: stderr.to_owned() }
    }
}

enum Event {
    Progress(Progress),
    Done(usize, Result<Fit>),
}

enum Answer {
    Fit(Fit),
    Failure(String),
    Nothing,
}

/// A process that is not left behind, whatever ends its parent's interest in it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn follow(
    mut output: impl Read,
    index: usize,
    job: &Job,
    tell: &mut dyn FnMut(Progress) -> bool,
) -> Result<Answer> {
    while let Some(message) = wire::read(&mut output)? {
        match message.kind {
            Kind::Progress => {
                let round = message.to_round()?;
                let listened = tell(Progress {
                    job: index,
                    round: round.done,
                    rounds: job.parameters.rounds,
                    held_out_loss: round.loss,
                    done: false,
                });
                if !listened {
                    return Err(Error::Invalid("the training was called off".into()));
                }
            }
            Kind::Fit => return message.into_fit().map(Answer::Fit),
            Kind::Failure => return message.to_failure().map(Answer::Failure),
            Kind::Job => return Err(Error::Protocol("it is a job".into())),
        }
    }
    Ok(Answer::Nothing)
}

/// The last lines that the process wrote to its standard error.
fn tail(mut stderr: impl Read) -> String {
    let mut text = Vec::new();
    let _ = stderr.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ")
}

fn ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was ended by signal {signal} before it answered");
    }
    match status.code() {
        Some(code) => format!("ended with status {code} before it answered"),
        None => "ended before it answered".to_owned(),
    }
}
