//! Messages between the program and its training process: a header in JSON and arrays of numbers as
//! they lie in memory, little-endian, each with its length in front.
//!
//! `"HB"`, kind (1 byte), header length (u32), number of arrays (u32), header, then per array its
//! length in bytes (u64) and its bytes.

use std::io::{ErrorKind, Read, Write};

use clinical::study::Parameters;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::distributed::Shard;
use super::job::{Fit, Job, Target};
use crate::{Error, Matrix, Result};

const MAGIC: [u8; 2] = *b"HB";
/// No header or array is larger; a length beyond it is garbage, not a request for memory.
const LARGEST_HEADER: usize = 1 << 20;
const LARGEST_ARRAY: u64 = 1 << 36;
const MOST_ARRAYS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Job = 1,
    Progress = 2,
    Fit = 3,
    Failure = 4,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    header: Vec<u8>,
    arrays: Vec<Vec<u8>>,
}

/// Rounds done and the latest held-out loss.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Round {
    pub(super) done: usize,
    pub(super) loss: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct JobHeader {
    first_row: usize,
    x: [usize; 2],
    score: Option<[usize; 2]>,
    classes: usize,
    held_out: bool,
    counts: bool,
    class_weights: bool,
    start: bool,
    parameters: Parameters,
    seed: u64,
    threads: usize,
}

#[derive(Serialize, Deserialize)]
struct FitHeader {
    engine: String,
    rounds: usize,
    margins: [usize; 2],
}

pub(super) fn write(out: &mut impl Write, message: &Message) -> std::io::Result<()> {
    let mut start = Vec::with_capacity(message.header.len() + 11);
    start.extend(MAGIC);
    start.push(message.kind as u8);
    start.extend((message.header.len() as u32).to_le_bytes());
    start.extend((message.arrays.len() as u32).to_le_bytes());
    start.extend(&message.header);
    out.write_all(&start)?;
    for array in &message.arrays {
        out.write_all(&(array.len() as u64).to_le_bytes())?;
        out.write_all(array)?;
    }
    out.flush()
}

/// The next message; none where the stream ends before a whole one, as that of a killed process may at
/// any byte: how the sender ended says why.
///
/// # Errors
/// When the stream cannot be read, or what comes is no message.
pub(super) fn read(input: &mut impl Read) -> Result<Option<Message>> {
    match whole(input) {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(protocol(error)),
    }
}

fn whole(input: &mut impl Read) -> std::io::Result<Message> {
    let mut magic = [0u8; 2];
    input.read_exact(&mut magic)?;
    // Told at once: who writes something else may not end.
    if magic != MAGIC {
        return Err(garbage("it does not begin as a message does"));
    }
    let mut start = [0u8; 9];
    input.read_exact(&mut start)?;
    let [kind, h0, h1, h2, h3, a0, a1, a2, a3] = start;
    let kind = match kind {
        1 => Kind::Job,
        2 => Kind::Progress,
        3 => Kind::Fit,
        4 => Kind::Failure,
        other => return Err(garbage(&format!("kind {other} is unknown"))),
    };
    let header = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
    let arrays = u32::from_le_bytes([a0, a1, a2, a3]) as usize;
    if header > LARGEST_HEADER || arrays > MOST_ARRAYS {
        return Err(garbage("its header is too large"));
    }
    let header = bytes(input, header as u64)?;
    let arrays = (0..arrays).map(|_| array(input)).collect::<std::io::Result<_>>()?;
    Ok(Message { kind, header, arrays })
}

fn array(input: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0u8; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_ARRAY {
        return Err(garbage("one of its arrays is too large"));
    }
    bytes(input, length)
}

/// Grows with what arrives, not with what was announced.
fn bytes(input: &mut impl Read, length: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(1 << 24) as usize);
    input.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn garbage(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

fn protocol(error: impl ToString) -> Error {
    Error::Protocol(error.to_string())
}

impl Message {
    fn new(kind: Kind, header: &impl Serialize, arrays: Vec<Vec<u8>>) -> Result<Self> {
        Ok(Message { kind, header: serde_json::to_vec(header).map_err(protocol)?, arrays })
    }

    fn header<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.header).map_err(protocol)
    }

    pub(super) fn progress(round: Round) -> Result<Self> {
        Message::new(Kind::Progress, &round, Vec::new())
    }

    pub(super) fn failure(error: &Error) -> Result<Self> {
        Message::new(Kind::Failure, &error.to_string(), Vec::new())
    }

    pub(super) fn to_round(&self) -> Result<Round> {
        self.header()
    }

    pub(super) fn to_failure(&self) -> Result<String> {
        self.header()
    }

    pub(super) fn job(job: &Job) -> Result<Self> {
        Message::part(job, 0)
    }

    pub(super) fn shard(shard: &Shard) -> Result<Self> {
        Message::part(&shard.job, shard.first_row)
    }

    fn part(job: &Job, first_row: usize) -> Result<Self> {
        let mut arrays = vec![f32_bytes(job.x.as_slice())];
        arrays.extend(job.score.as_ref().map(|score| f32_bytes(score.as_slice())));
        let (held_out, counts) = match &job.target {
            Target::Counts { train, held_out } => {
                arrays.push(f64_bytes(train.as_slice()));
                arrays.extend(held_out.as_ref().map(|counts| f64_bytes(counts.as_slice())));
                (held_out.is_some(), true)
            }
            Target::Labels { labels, weights, .. } => {
                arrays.push(labels.iter().flat_map(|label| label.to_le_bytes()).collect());
                arrays.push(f32_bytes(weights));
                (false, false)
            }
        };
        arrays.extend(job.class_weights.as_ref().map(|weights| f64_bytes(weights)));
        arrays.extend(job.start.clone());
        let shape = |matrix: &Matrix<f32>| [matrix.rows(), matrix.columns()];
        let header = JobHeader {
            first_row,
            x: shape(&job.x),
            score: job.score.as_ref().map(shape),
            classes: job.classes(),
            held_out,
            counts,
            class_weights: job.class_weights.is_some(),
            start: job.start.is_some(),
            parameters: job.parameters.clone(),
            seed: job.seed,
            threads: job.threads,
        };
        Message::new(Kind::Job, &header, arrays)
    }

    pub(super) fn into_shard(self) -> Result<Shard> {
        let header: JobHeader = self.header()?;
        let mut arrays = self.arrays.into_iter();
        let mut next = || arrays.next().ok_or_else(|| Error::Protocol("an array is missing".into()));
        let [rows, columns] = header.x;
        let x = Matrix::from_vec(rows, columns, f32_numbers(&next()?))?;
        let score = header
            .score
            .map(|[rows, columns]| Matrix::from_vec(rows, columns, f32_numbers(&next()?)))
            .transpose()?;
        let target = if header.counts {
            let train = Matrix::from_vec(rows, header.classes, f64_numbers(&next()?))?;
            let held_out = header
                .held_out
                .then(|| Matrix::from_vec(rows, header.classes, f64_numbers(&next()?)))
                .transpose()?;
            Target::Counts { train, held_out }
        } else {
            let labels =
                next()?.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            Target::Labels { labels, weights: f32_numbers(&next()?), classes: header.classes }
        };
        let class_weights =
            header.class_weights.then(&mut next).transpose()?.map(|bytes| f64_numbers(&bytes));
        let start = header.start.then(&mut next).transpose()?;
        let JobHeader { first_row, parameters, seed, threads, .. } = header;
        let job = Job { x, target, score, parameters, class_weights, start, seed, threads };
        Ok(Shard { job, first_row })
    }

    pub(super) fn fit(fit: Fit) -> Result<Self> {
        let margins = [fit.margins.rows(), fit.margins.columns()];
        let header = FitHeader { engine: fit.engine, rounds: fit.rounds, margins };
        let arrays = vec![fit.model, f32_bytes(fit.margins.as_slice()), f64_bytes(&fit.held_out_loss)];
        Message::new(Kind::Fit, &header, arrays)
    }

    pub(super) fn into_fit(self) -> Result<Fit> {
        let header: FitHeader = self.header()?;
        let [model, margins, losses]: [Vec<u8>; 3] =
            self.arrays.try_into().map_err(|_| Error::Protocol("an array is missing".into()))?;
        let [rows, columns] = header.margins;
        Ok(Fit {
            model,
            engine: header.engine,
            rounds: header.rounds,
            margins: Matrix::from_vec(rows, columns, f32_numbers(&margins))?,
            held_out_loss: f64_numbers(&losses),
        })
    }
}

fn f32_bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn f64_bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn f32_numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn f64_numbers(bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks_exact(8)
        .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cut_off_anywhere_is_an_end_and_a_broken_one_is_an_error() {
        let x = Matrix::from_vec(2, 1, vec![0.5, 1.5]).unwrap();
        let train = Matrix::from_vec(2, 2, vec![1.0, 0.0, 0.0, 1.0]).unwrap();
        let job = Job::new(x, Target::Counts { train, held_out: None }, Parameters::default());
        let mut sent = Vec::new();
        write(&mut sent, &Message::job(&job).unwrap()).unwrap();
        for length in 0..sent.len() {
            assert!(read(&mut &sent[..length]).unwrap().is_none(), "after {length} bytes");
        }
        let arrived = read(&mut sent.as_slice()).unwrap().unwrap().into_shard().unwrap();
        assert_eq!(arrived.job.x, job.x);
        for byte in 0..3 {
            let mut broken = sent.clone();
            broken[byte] ^= 0x80;
            assert!(read(&mut broken.as_slice()).is_err(), "byte {byte}");
        }
    }
}
