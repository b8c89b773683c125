//! The training process's side: one job in, progress and one model out.

use std::io::{Read, Write};

use super::fit::fit;
use super::wire::{self, Kind, Message, Round};
use crate::ffi::{XgBoost, xgboost_library};
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
    let library = XgBoost::open(&xgboost_library()?)?;
    let mut send = |message: &Message| {
        wire::write(output, message)
            .map_err(|error| Error::Protocol(format!("the answer cannot be sent: {error}")))
    };
    let fitted = fit(&library, &job, |done, loss| send(&Message::progress(Round { done, loss })?))?;
    send(&Message::fit(fitted)?)
}
