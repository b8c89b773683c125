//! The training process's side: one job in, progress and one model out.

use std::io::{Read, Write};

use clinical::study::Parameters;

use super::job::{Fit, Job};
use super::wire::{self, Kind, Message, Round};
use super::{lightgbm, mlp, xgboost};
use crate::ffi::{LightGbm, XgBoost, lightgbm_library, xgboost_library};
use crate::{Error, Result};

/// Reads one job, trains it and writes the model: what the program's `learn-worker` command runs.
/// A failure is written to `output` too, so that the parent can name it.
///
/// # Errors
/// When the streams fail, the library is missing, or the training fails.
pub fn worker_main(mut input: impl Read, mut output: impl Write) -> Result<()> {
    let done = work(&mut input, &mut output);
    if let Err(error) = &done {
        // The parent may be gone; then there is nobody to tell.
        let _ = Message::failure(error).map(|message| wire::write(&mut output, &message));
    }
    done
}

fn work(input: &mut impl Read, output: &mut impl Write) -> Result<()> {
    let message = wire::read(input)?.ok_or_else(|| Error::Protocol("there is none".into()))?;
    if message.kind != Kind::Job {
        return Err(Error::Protocol("it is no job".into()));
    }
    let job = message.into_job()?;
    job.check()?;
    let mut send = |message: &Message| {
        wire::write(output, message)
            .map_err(|error| Error::Protocol(format!("the answer cannot be sent: {error}")))
    };
    let fitted = fit(&job, |done, loss| send(&Message::progress(Round { done, loss })?))?;
    send(&Message::fit(fitted)?)
}

/// Fits a checked job with its learner; `progress` gets the rounds done and the latest held-out loss.
fn fit(job: &Job, progress: impl FnMut(usize, Option<f64>) -> Result<()>) -> Result<Fit> {
    match &job.parameters {
        Parameters::Xgboost(settings) => {
            xgboost::fit(&XgBoost::open(&xgboost_library()?)?, settings, job, progress)
        }
        Parameters::Lightgbm(settings) => {
            lightgbm::fit(&LightGbm::open(&lightgbm_library()?)?, settings, job, progress)
        }
        Parameters::Mlp(settings) => mlp::fit(settings, job, progress),
    }
}
