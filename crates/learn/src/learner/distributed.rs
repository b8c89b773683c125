//! One model by several processes, each with a part of the rows.
//!
//! The processes speak with each other (XGBoost's collective); this one only starts them, follows them
//! and ends them. When one is lost all are ended, and nothing of the run remains: there are no files.

use std::io::BufRead;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::cases::BLOCK;
use super::job::{Fit, Job, Target};
use super::process::{Output, Process, Program, how_ended, signal};
use super::role::Role;
use super::wire::{self, Kind, Message};
use crate::{Error, Matrix, Result};

/// After a first failure, how long others are heard, so that the cause is named and not its echo.
const ECHO: Duration = Duration::from_secs(5);

/// How many processes train one model, and how they are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distributed {
    /// Processes that share the rows, at least 2.
    pub workers: usize,
    /// The address of this machine, as the processes reach it.
    pub host: String,
    /// The command that starts a process, in place of the trainer's own program, e.g.
    /// `ssh node-{rank} hoofbeat`: `{rank}` becomes the process's number, from 0.
    pub launch: Vec<String>,
}

/// One process's part of a job.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) job: Job,
    /// Position of its first row in the whole.
    pub(super) first_row: usize,
}

/// Divides the rows: consecutive blocks, about the same number of training rows for everybody.
///
/// # Errors
/// When there are fewer blocks of rows than processes.
fn shards(job: &Job, workers: usize) -> Result<Vec<Shard>> {
    let (counts, _) = job.counts();
    let rows = job.x.rows();
    let trains = |row: usize| usize::from(counts.row(row).iter().any(|count| *count > 0.0));
    let blocks: Vec<usize> = (0..rows).step_by(BLOCK).collect();
    let in_block = |&first: &usize| (first..(first + BLOCK).min(rows)).map(trains).sum::<usize>();
    let training: Vec<usize> = blocks.iter().map(in_block).collect();
    let total: usize = training.iter().sum();
    let (mut begins, mut seen) = (vec![0], 0);
    for (block, count) in blocks.iter().zip(&training) {
        // The next part begins where the parts so far have their share.
        if seen * workers >= total * begins.len() && begins.len() < workers && begins.last() != Some(block) {
            begins.push(*block);
        }
        seen += count;
    }
    if begins.len() < workers || total == 0 {
        let needed = workers * BLOCK;
        return Err(Error::Invalid(format!(
            "{workers} processes need about {needed} distinct patients in training, there are {total}"
        )));
    }
    let ends = begins.iter().skip(1).copied().chain([rows]);
    let scored = job.score.as_ref().map_or(0, Matrix::rows);
    let parts = begins.iter().zip(ends).enumerate();
    Ok(parts
        .map(|(rank, (&begin, end))| {
            let rows: Vec<usize> = (begin..end).collect();
            let score: Vec<usize> = (scored * rank / workers..scored * (rank + 1) / workers).collect();
            let target = match &job.target {
                Target::Counts { train, held_out } => Target::Counts {
                    train: train.select(&rows),
                    held_out: held_out.as_ref().map(|counts| counts.select(&rows)),
                },
                Target::Labels { labels, weights, classes } => Target::Labels {
                    labels: labels[begin..end].to_vec(),
                    weights: weights[begin..end].to_vec(),
                    classes: *classes,
                },
            };
            let score = job.score.as_ref().map(|whole| whole.select(&score));
            let part = Job { x: job.x.select(&rows), target, score, ..settings_of(job) };
            Shard { job: part, first_row: begin }
        })
        .collect())
}

/// The job without its rows.
fn settings_of(job: &Job) -> Job {
    Job {
        x: Matrix::default(),
        target: Target::Labels { labels: Vec::new(), weights: Vec::new(), classes: 0 },
        score: None,
        parameters: job.parameters.clone(),
        class_weights: job.class_weights.clone(),
        start: job.start.clone(),
        seed: job.seed,
        threads: job.threads,
    }
}

/// Fits a job in several processes; `tell` gets the rounds done and the held-out loss and may break;
/// then nothing is answered.
///
/// # Errors
/// When a process cannot be started, fails or dies: the first cause, with the process's number. All are
/// ended by then.
pub(super) fn fit(
    program: &Program,
    plan: &Distributed,
    job: &Job,
    tell: &mut dyn FnMut(usize, Option<f64>) -> bool,
) -> Result<Option<Fit>> {
    let shards = shards(job, plan.workers)?;
    let (events, received) = mpsc::channel();
    let (tracker, address) = start_tracker(program, plan, &events)?;
    let mut group = Group { tracker, members: Vec::new(), received, fits: Vec::new() };
    for (rank, shard) in shards.into_iter().enumerate() {
        let role = Role::Member { tracker: address.clone(), rank, of: plan.workers };
        let message = Message::shard(&shard)?;
        let (process, output) =
            launched(program, plan, rank).start(&role.arguments(), shard.job.threads, Some(message))?;
        group.members.push(process);
        group.fits.push(None);
        let events = events.clone();
        thread::spawn(move || read(rank, output, &events));
    }
    drop(events);
    group.follow(tell)
}

fn launched(program: &Program, plan: &Distributed, rank: usize) -> Program {
    let mut words = plan.launch.iter().map(|word| word.replace("{rank}", &rank.to_string()));
    match words.next() {
        Some(first) => Program {
            program: first.into(),
            arguments: words.map(Into::into).chain(program.arguments.iter().cloned()).collect(),
        },
        None => program.clone(),
    }
}

/// Starts the meeting point; answers where it is.
fn start_tracker(program: &Program, plan: &Distributed, events: &Sender<Event>) -> Result<(Process, String)> {
    let role = Role::Tracker { host: plan.host.clone(), workers: plan.workers };
    let (mut process, mut output) = program.start(&role.arguments(), 1, None)?;
    let mut line = String::new();
    let read = output.read_line(&mut line);
    if read.is_err() || line.trim().is_empty() {
        let (status, words) = process.ended()?;
        return Err(process.died(format!("is the meeting point and {}", how_ended(status)), words));
    }
    let events = events.clone();
    thread::spawn(move || {
        // It says nothing more until it ends.
        let _ = output.read_line(&mut String::new());
        let _ = events.send(Event::TrackerEnded);
    });
    Ok((process, line.trim().to_owned()))
}

enum Event {
    Message(usize, Message),
    /// The output of a process has ended, or cannot be read.
    Ended(usize, Result<()>),
    TrackerEnded,
}

fn read(rank: usize, mut output: Output, events: &Sender<Event>) {
    let ended = loop {
        match wire::read(&mut output) {
            Ok(Some(message)) => {
                if events.send(Event::Message(rank, message)).is_err() {
                    return;
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let _ = events.send(Event::Ended(rank, ended));
}

/// The processes of one job. Dropping it ends them.
struct Group {
    tracker: Process,
    members: Vec<Process>,
    received: Receiver<Event>,
    fits: Vec<Option<Fit>>,
}

/// Why a run failed, the likeliest cause first: processes that lost another one report that, too.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Signal(String),
    Failure(String),
    Status(String),
}

impl Group {
    fn follow(mut self, tell: &mut dyn FnMut(usize, Option<f64>) -> bool) -> Result<Option<Fit>> {
        while self.fits.iter().any(Option::is_none) {
            let Ok(event) = self.received.recv() else {
                return Err(Error::Protocol("no process is left".into()));
            };
            match event {
                Event::Message(rank, message) => match message.kind {
                    Kind::Progress => {
                        let round = message.to_round()?;
                        // All are in the same round.
                        if rank == 0 && !tell(round.done, round.loss) {
                            return Ok(None);
                        }
                    }
                    Kind::Fit => self.fits[rank] = Some(message.into_fit()?),
                    _ => return Err(self.cause(Event::Message(rank, message))),
                },
                Event::Ended(rank, Ok(())) if self.fits[rank].is_some() => {}
                // It ends well when everybody has left.
                Event::TrackerEnded if self.tracker.ended()?.0.success() => {}
                event => return Err(self.cause(event)),
            }
        }
        for (rank, member) in self.members.iter_mut().enumerate() {
            let (status, words) = member.ended()?;
            if !status.success() {
                return Err(member.died(format!("number {rank} {}", how_ended(status)), words));
            }
        }
        self.merged().map(Some)
    }

    /// Hears the others for a moment, then names what came first.
    fn cause(&mut self, first: Event) -> Error {
        let deadline = Instant::now() + ECHO;
        let mut troubles = Vec::new();
        let mut next = Some(first);
        while let Some(event) = next {
            let trouble = self.trouble(event);
            // Nobody's signal is another's echo.
            let certain = matches!(trouble, Some((Trouble::Signal(_), _)));
            troubles.extend(trouble);
            if certain {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            next = self.received.recv_timeout(left).ok();
        }
        troubles.sort();
        let of = self.members.len();
        match troubles.into_iter().next() {
            Some((trouble, rank)) => {
                let (Trouble::Signal(how) | Trouble::Failure(how) | Trouble::Status(how)) = trouble;
                let who =
                    rank.map_or("the meeting point".to_owned(), |rank| format!("number {rank} of {of}"));
                self.tracker
                    .died(format!("{who} {how}; the others were ended, nothing is kept"), String::new())
            }
            None => Error::Protocol("a process was lost".into()),
        }
    }

    /// What an event says of a failure, and whose: none is the tracker's.
    fn trouble(&mut self, event: Event) -> Option<(Trouble, Option<usize>)> {
        match event {
            Event::Message(rank, message) => {
                let reason = message.to_failure().ok().filter(|_| message.kind == Kind::Failure)?;
                Some((Trouble::Failure(format!("failed: {reason}")), Some(rank)))
            }
            Event::Ended(rank, Err(error)) => {
                self.members[rank].kill();
                Some((Trouble::Failure(format!("failed: {error}")), Some(rank)))
            }
            Event::Ended(rank, Ok(())) => Some((ended(&mut self.members[rank]), Some(rank))),
            Event::TrackerEnded => Some((ended(&mut self.tracker), None)),
        }
    }

    /// The model, which all have, with everybody's margins.
    fn merged(self) -> Result<Fit> {
        let mut fits = self.fits.into_iter().flatten();
        let mut whole = fits.next().ok_or_else(|| Error::Protocol("a model is missing".into()))?;
        let classes = whole.margins.columns();
        let mut margins = std::mem::take(&mut whole.margins).into_vec();
        for fit in fits {
            if fit.model != whole.model {
                return Err(Error::Protocol("the processes did not agree on one model".into()));
            }
            margins.extend(fit.margins.into_vec());
        }
        whole.margins = Matrix::from_vec(margins.len() / classes.max(1), classes, margins)?;
        Ok(whole)
    }
}

/// How a process whose output has ended came to its end.
fn ended(process: &mut Process) -> Trouble {
    match process.ended() {
        Ok((status, words)) => {
            let how = how_ended(status);
            let how = if words.is_empty() { how } else { format!("{how}: {words}") };
            if signal(status).is_some() { Trouble::Signal(how) } else { Trouble::Status(how) }
        }
        Err(error) => Trouble::Status(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clinical::study::Parameters;

    use super::*;

    fn job(rows: usize) -> Job {
        let x = Matrix::from_vec(rows, 1, (0..rows).map(|row| row as f32).collect()).unwrap();
        // Only the second half has training cases.
        let train = (0..rows).flat_map(|row| [f64::from(u8::from(row >= rows / 2)), 1.0]).collect();
        let mut train: Matrix<f64> = Matrix::from_vec(rows, 2, train).unwrap();
        (0..rows / 2).for_each(|row| train.row_mut(row).fill(0.0));
        let score = Matrix::from_vec(7, 1, (0..7).map(|row| row as f32).collect()).unwrap();
        let job = Job::new(x, Target::Counts { train, held_out: None }, Parameters::default());
        Job { score: Some(score), ..job }
    }

    #[test]
    fn parts_are_whole_blocks_that_cover_everything_with_equal_shares_of_training() {
        let whole = job(40 * BLOCK + 100);
        let shards = shards(&whole, 3).unwrap();
        let rows: Vec<f32> = shards.iter().flat_map(|shard| shard.job.x.as_slice().to_vec()).collect();
        assert_eq!(rows, whole.x.as_slice());
        let scored: Vec<f32> =
            shards.iter().flat_map(|shard| shard.job.score.clone().unwrap().into_vec()).collect();
        assert_eq!(scored, whole.score.unwrap().as_slice());
        for shard in &shards {
            assert_eq!((shard.first_row % BLOCK, shard.job.x.row(0)[0]), (0, shard.first_row as f32));
            let (counts, _) = shard.job.counts();
            let training = counts.iter_rows().filter(|row| row[1] > 0.0).count();
            assert!(training.abs_diff(20 * BLOCK / 3) <= 2 * BLOCK, "{training}");
        }
    }

    #[test]
    fn fewer_blocks_than_processes_are_refused() {
        assert!(shards(&job(3 * BLOCK), 4).unwrap_err().to_string().contains("4 processes need"));
        assert_eq!(shards(&job(8 * BLOCK), 4).unwrap().len(), 4);
    }
}
