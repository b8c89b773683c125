//! The program's side: start a training process, hand it a job, follow it, and survive its death.

use std::ffi::OsString;
use std::io::{BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::job::{Fit, Job};
use super::wire::{self, Kind, Message};
use crate::ffi::require_library;
use crate::{Error, Result};

/// How far a training job is. The first step of a job has round 0 and comes before its process starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Position of the job in the list given to [`Trainer::fit_all`].
    pub job: usize,
    /// Rounds (or epochs) done, of at most [`Progress::rounds`] (early stopping may end before);
    /// when the job has ended, those that it kept.
    pub round: usize,
    pub rounds: usize,
    /// Mean log loss of the held-out cases, where there are any; when the job has ended, that of the
    /// round that it kept.
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

    /// Processes that may run at a time.
    pub fn parallel(&self) -> usize {
        self.parallel
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
        let fits = self.fit_until(jobs, &mut |step| {
            progress(step);
            ControlFlow::Continue(())
        })?;
        let fits: Option<Vec<Fit>> = fits.into_iter().collect();
        fits.ok_or_else(|| Error::Protocol("a model is missing".into()))
    }

    /// As [`Trainer::fit_all`], but `progress` may call a job off by breaking at one of its steps: its
    /// process is ended (at round 0: never started), it makes no further step, and its place in the
    /// answer is empty, however far the process has come meanwhile.
    ///
    /// # Errors
    /// As [`Trainer::fit_all`].
    pub fn fit_until(
        &self,
        jobs: &[Job],
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Vec<Option<Fit>>> {
        for job in jobs {
            job.check()?;
            require_library(job.parameters.learner())?;
        }
        let mut fits: Vec<Option<Fit>> = Vec::new();
        fits.resize_with(jobs.len(), || None);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            // The receiver is dropped on the first failure: then nobody listens and every process ends.
            let (sender, receiver) = mpsc::channel();
            for _ in 0..self.parallel.min(jobs.len()) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    let following = || {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        jobs.get(i).map(|job| (i, job))
                    };
                    while let Some((i, job)) = following() {
                        let mut tell = |step| tell(&sender, step);
                        let fitted = self.run(i, job, &mut tell);
                        if sender.send(Event::Done(i, fitted)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for event in receiver {
                match event {
                    Event::Step(step, answer) => {
                        // Who asked waits for the answer, so it is there to get it.
                        let _ = answer.send(progress(step));
                    }
                    Event::Done(i, fitted) => {
                        let Some(fit) = fitted? else { continue };
                        let kept = ended_step(i, &jobs[i], &fit);
                        if progress(kept).is_continue() {
                            fits[i] = Some(fit);
                        }
                    }
                }
            }
            Ok(fits)
        })
    }

    /// One job in one process; none when `tell` called it off.
    fn run(
        &self,
        index: usize,
        job: &Job,
        tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Fit>> {
        if tell(step(index, job, 0, None)).is_break() {
            return Ok(None);
        }
        let threads = job.threads.to_string();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Waiting OpenMP threads must not spin: on a shared machine that costs many times the work.
        command.env("OMP_NUM_THREADS", &threads).env("OMP_WAIT_POLICY", "passive");
        command.env("RAYON_NUM_THREADS", &threads);
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
            if matches!(answer, Err(_) | Ok(Answer::CalledOff)) {
                // It may still be waiting for us; its status no longer matters.
                let _ = child.0.kill();
            }
            let status =
                child.0.wait().map_err(|error| self.died(format!("cannot be awaited: {error}"), ""))?;
            let stderr = errors.join().unwrap_or_default();
            match answer {
                Ok(Answer::Fit(fit)) if status.success() => Ok(Some(fit)),
                Ok(Answer::CalledOff) => Ok(None),
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
    Step(Progress, mpsc::Sender<ControlFlow<()>>),
    Done(usize, Result<Option<Fit>>),
}

enum Answer {
    Fit(Fit),
    Failure(String),
    CalledOff,
    Nothing,
}

/// Passes a step on and waits for what is said to it; nobody there means break.
fn tell(events: &mpsc::Sender<Event>, step: Progress) -> ControlFlow<()> {
    let (sender, answer) = mpsc::channel();
    match events.send(Event::Step(step, sender)) {
        Ok(()) => answer.recv().unwrap_or(ControlFlow::Break(())),
        Err(_) => ControlFlow::Break(()),
    }
}

fn step(index: usize, job: &Job, round: usize, held_out_loss: Option<f64>) -> Progress {
    Progress { job: index, round, rounds: job.parameters.rounds(), held_out_loss, done: false }
}

/// The last step of a job: what it kept. `round` are the rounds that this training added.
fn ended_step(index: usize, job: &Job, fit: &Fit) -> Progress {
    let mut losses = fit.held_out_loss.iter().copied().enumerate();
    let best = losses.clone().map(|(_, loss)| loss).min_by(f64::total_cmp);
    let round = losses.find(|(_, loss)| Some(*loss) == best).map(|(round, _)| round + 1);
    Progress { done: true, ..step(index, job, round.unwrap_or_else(|| job.parameters.rounds()), best) }
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
    tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Answer> {
    while let Some(message) = wire::read(&mut output)? {
        match message.kind {
            Kind::Progress => {
                let round = message.to_round()?;
                if tell(step(index, job, round.done, round.loss)).is_break() {
                    return Ok(Answer::CalledOff);
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
