//! Reads one case file against the default study and says how fast: `cargo run --release -p interop
//! --example read_speed FILE`.
#![allow(clippy::print_stdout, reason = "an example's result goes to standard output")]

use std::{path::Path, time::Instant};

use clinical::Study;
use interop::{CaseFile, FileError, Reading, Row};

fn main() -> Result<(), FileError> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let reading =
        Reading { study: Study::default_study(), mapping: None, source: "measured", ingested_at: 0 };
    let start = Instant::now();
    let (mut accepted, mut refused) = (0u64, 0u64);
    for row in CaseFile::open(Path::new(&file), reading)? {
        match row? {
            Row::Accepted(_) => accepted += 1,
            Row::Refused { .. } | Row::Skipped { .. } => refused += 1,
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = (accepted + refused) as f64 / seconds;
    println!("{accepted} accepted, {refused} refused, {seconds:.2} s, {rate:.0} rows/s");
    Ok(())
}
