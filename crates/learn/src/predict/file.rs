//! The table's file: `HBTABLE1`, number of features and of outputs (u32), levels per feature (u64),
//! then one zstd frame (with its checksum) of the entries as little-endian f64.

use std::io::{Read, Write};

use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"HBTABLE1";
const MOST_FEATURES: u32 = 64;
/// Digits of probabilities are noise to a compressor: level 1 makes the file 6 % smaller and takes five times as long,
/// also to read.
const LEVEL: i32 = -5;
/// Entries that are encoded or decoded at a time.
const RUN: usize = 1 << 12;

fn malformed(why: impl ToString) -> Error {
    Error::malformed("table", why)
}

pub(super) fn write(dims: &[usize], outputs: usize, values: &[f64]) -> Result<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((dims.len() as u32).to_le_bytes());
    bytes.extend((outputs as u32).to_le_bytes());
    dims.iter().for_each(|&dim| bytes.extend((dim as u64).to_le_bytes()));
    let mut encoder = zstd::Encoder::new(&mut bytes, LEVEL).map_err(malformed)?;
    encoder.include_checksum(true).map_err(malformed)?;
    let mut raw = [0; 8 * RUN];
    for run in values.chunks(RUN) {
        raw.as_chunks_mut().0.iter_mut().zip(run).for_each(|(raw, value)| *raw = value.to_le_bytes());
        let filled = raw.get(..8 * run.len()).unwrap_or_default();
        encoder.write_all(filled).map_err(malformed)?;
    }
    encoder.finish().map_err(malformed)?;
    Ok(bytes)
}

/// Levels per feature, and outputs.
pub(super) fn shape(bytes: &[u8]) -> Result<(Vec<usize>, usize)> {
    let number =
        |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
    if bytes.get(..8) != Some(MAGIC) {
        return Err(malformed("it is no predictor table of a known version"));
    }
    let (Some(features), Some(outputs)) = (number(8), number(12)) else {
        return Err(malformed("it is cut off"));
    };
    if features == 0 || features > MOST_FEATURES || outputs == 0 {
        return Err(malformed("its shape is out of range"));
    }
    let dims = bytes.get(16..header(features as usize)).ok_or_else(|| malformed("it is cut off"))?;
    let dims = dims
        .as_chunks()
        .0
        .iter()
        .map(|bytes| usize::try_from(u64::from_le_bytes(*bytes)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| malformed("its shape is out of range"))?;
    Ok((dims, outputs as usize))
}

fn header(features: usize) -> usize {
    16 + 8 * features
}

/// The `numbers` entries; any other amount is an error.
pub(super) fn values(bytes: &[u8], dims: &[usize], numbers: usize) -> Result<Vec<f64>> {
    let frame = bytes.get(header(dims.len())..).unwrap_or_default();
    let wrong = || malformed("it does not hold as many entries as its shape says");
    let mut decoder = zstd::Decoder::new(frame).map_err(malformed)?.single_frame();
    let mut values = Vec::with_capacity(numbers.min(1 << 25));
    let mut raw = vec![0; 8 * RUN];
    while values.len() < numbers {
        let run = raw.get_mut(..8 * RUN.min(numbers - values.len())).unwrap_or_default();
        decoder.read_exact(run).map_err(|_| wrong())?;
        values.extend(run.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)));
    }
    // The end of the frame, with its checksum, and nothing behind it.
    let mut more = [0u8; 1];
    if decoder.read(&mut more).map_err(malformed)? > 0 {
        return Err(wrong());
    }
    if decoder.finish().read(&mut more).map_err(malformed)? > 0 {
        return Err(malformed("something follows its entries"));
    }
    Ok(values)
}
