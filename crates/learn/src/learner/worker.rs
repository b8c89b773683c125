//! The training process's side: one job in, progress and one model out.

use std::io::{Read, Write};
use std::thread;

use clinical::study::Parameters;

use super::distributed::Shard;
use super::job::Fit;
use super::role::Role;
use super::wire::{self, Kind, Message, Round};
use super::xgboost::Company;
use super::{lightgbm, mlp, xgboost};
use crate::ffi::{Collective, LightGbm, Tracker, XgBoost, lightgbm_library, xgboost_library};
use crate::{Error, Result};

/// Reads one job (or a part of one), trains it and writes the model: what the program's `learn-worker`
/// command runs. A failure is written to `output` too, so that the parent can name it.
///
/// # Errors
/// When the streams fail, the library is missing, or the training fails.
pub fn worker_main(role: &Role, input: impl Read + Send + 'static, mut output: impl Write) -> Result<()> {
    let done = match role {
        Role::Alone => work(input, &mut output, None),
        Role::Member { tracker, rank, of } => work(input, &mut output, Some((tracker, *rank, *of))),
        Role::Tracker { host, workers } => return meet(host, *workers, input, output),
    };
    if let Err(error) = &done {
        // The parent may be gone; then there is nobody to tell.
        let _ = Message::failure(error).map(|message| wire::write(&mut output, &message));
    }
    done
}

fn work(mut input: impl Read, output: &mut impl Write, place: Option<(&String, usize, usize)>) -> Result<()> {
    let message =
        wire::read(&mut input)?.ok_or_else(|| Error::Protocol("there is none, or not a whole one".into()))?;
    if message.kind != Kind::Job {
        return Err(Error::Protocol("it is no job".into()));
    }
    let shard = message.into_shard()?;
    let mut send = |message: &Message| {
        wire::write(output, message)
            .map_err(|error| Error::Protocol(format!("the answer cannot be sent: {error}")))
    };
    let progress = |done, loss| send(&Message::progress(Round { done, loss })?);
    let fitted = match place {
        Some((tracker, rank, of)) => fit_part(&shard, tracker, rank, of, progress)?,
        None => fit(&shard, progress)?,
    };
    send(&Message::fit(fitted)?)
}

/// Fits a whole job with its learner; `progress` gets the rounds done and the latest held-out loss.
fn fit(shard: &Shard, progress: impl FnMut(usize, Option<f64>) -> Result<()>) -> Result<Fit> {
    let job = &shard.job;
    job.check()?;
    match &job.parameters {
        Parameters::Xgboost(settings) => {
            let library = XgBoost::open(&xgboost_library()?)?;
            xgboost::fit(&Company { library: &library, collective: None }, settings, shard, progress)
        }
        Parameters::Lightgbm(settings) => {
            lightgbm::fit(&LightGbm::open(&lightgbm_library()?)?, settings, job, progress)
        }
        Parameters::Mlp(settings) => mlp::fit(settings, job, progress),
    }
}

/// Fits a part of a job that was checked as a whole, together with the other parts' processes.
fn fit_part(
    shard: &Shard,
    tracker: &str,
    rank: usize,
    of: usize,
    progress: impl FnMut(usize, Option<f64>) -> Result<()>,
) -> Result<Fit> {
    let Parameters::Xgboost(settings) = &shard.job.parameters else {
        return Err(Error::Invalid("only xgboost trains in several processes".into()));
    };
    let address = tracker.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = address.ok_or_else(|| Error::Invalid(format!("{tracker} is no HOST:PORT")))?;
    let library = XgBoost::open(&xgboost_library()?)?;
    let collective = Collective::join(&library, host, port, rank, of)?;
    let fitted = xgboost::fit(
        &Company { library: &library, collective: Some(&collective) },
        settings,
        shard,
        progress,
    );
    if fitted.is_err() {
        // Leaving in order needs the others, who may be gone; this process ends anyway.
        std::mem::forget(collective);
    }
    fitted
}

/// The place where the processes of one job meet, until all have left.
fn meet(
    host: &str,
    workers: usize,
    mut input: impl Read + Send + 'static,
    mut output: impl Write,
) -> Result<()> {
    let library = XgBoost::open(&xgboost_library()?)?;
    let tracker = Tracker::start(&library, workers, host)?;
    let address = format!("{host}:{}\n", tracker.port()?);
    output
        .write_all(address.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|error| Error::Protocol(error.to_string()))?;
    thread::spawn(move || {
        // Who started this is gone when its end of the pipe is: nobody would come any more.
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        std::process::exit(1);
    });
    tracker.wait()
}
