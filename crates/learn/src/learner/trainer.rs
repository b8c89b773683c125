//! The program's side: start training processes, hand them jobs, follow them, and survive their death.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use clinical::study::Learner;

use super::bins::binned;
use super::distributed::{self, Distributed};
use super::job::{Fit, Job};
use super::process::{Output, Program, how_ended};
use super::role::Role;
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
    program: Program,
    parallel: usize,
    distributed: Option<Distributed>,
}

impl Trainer {
    /// `program arguments…` must call [`super::worker_main`] on its standard input and output, with the
    /// [`Role`] that further arguments name. At most `parallel` processes run at a time; that changes no
    /// result.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        parallel: usize,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        let program = Program { program: program.into(), arguments };
        Trainer { program, parallel: parallel.max(1), distributed: None }
    }

    /// Fits every XGBoost model by several processes, one model after the other; the other learners' as
    /// before. The rows need not fit into one process; the model is the same.
    pub fn distributed(self, plan: Distributed) -> Self {
        Trainer { parallel: 1, distributed: Some(plan), ..self }
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

    /// One job; none when `tell` called it off.
    fn run(
        &self,
        index: usize,
        job: &Job,
        tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Fit>> {
        if tell(step(index, job, 0, None)).is_break() {
            return Ok(None);
        }
        let job = &*binned(job);
        let tell = &mut |round, loss| tell(step(index, job, round, loss)).is_continue();
        match &self.distributed {
            Some(plan) if job.parameters.learner() == Learner::Xgboost => {
                distributed::fit(&self.program, plan, job, tell)
            }
            _ => self.alone(job, tell),
        }
    }

    fn alone(&self, job: &Job, tell: &mut dyn FnMut(usize, Option<f64>) -> bool) -> Result<Option<Fit>> {
        let arguments = Role::Alone.arguments();
        let (mut process, output) = self.program.start(&arguments, job.threads, Some(Message::job(job)?))?;
        let answer = follow(output, tell);
        if matches!(answer, Err(_) | Ok(Answer::CalledOff)) {
            // It may still be waiting for us; its status no longer matters.
            process.kill();
        }
        let (status, words) = process.ended()?;
        match answer? {
            Answer::Fit(fit) if status.success() => Ok(Some(fit)),
            Answer::CalledOff => Ok(None),
            Answer::Failure(reason) => Err(process.died(format!("failed: {reason}"), String::new())),
            Answer::Fit(_) | Answer::Nothing => Err(process.died(how_ended(status), words)),
        }
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

fn follow(mut output: Output, tell: &mut dyn FnMut(usize, Option<f64>) -> bool) -> Result<Answer> {
    while let Some(message) = wire::read(&mut output)? {
        match message.kind {
            Kind::Progress => {
                let round = message.to_round()?;
                if !tell(round.done, round.loss) {
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
