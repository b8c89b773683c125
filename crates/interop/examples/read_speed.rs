//! Reads case files against the default study and says how fast and in how much memory: `cargo run --release -p interop
//! --example read_speed FILE... [--map MAP]`. Several files are one FHIR export.
#![allow(clippy::print_stdout, reason = "an example's result goes to standard output")]

use std::{path::PathBuf, time::Instant};

use clinical::Study;
use interop::{CaseFile, Mapping, Reading, Row};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut mapping = None;
    if let Some(at) = arguments.iter().position(|argument| argument == "--map") {
        let map = arguments.drain(at..).nth(1).ok_or("--map needs a file")?;
        mapping = Some(Mapping::parse(&std::fs::read_to_string(map)?)?);
    }
    let reading = Reading {
        study: Study::default_study(),
        mapping: mapping.as_ref(),
        source: "measured",
        ingested_at: 0,
    };
    let paths: Vec<PathBuf> = arguments.into_iter().map(PathBuf::from).collect();
    let bytes: u64 = paths.iter().filter_map(|path| path.metadata().ok()).map(|data| data.len()).sum();
    let start = Instant::now();
    let (mut accepted, mut refused) = (0u64, 0u64);
    let cases = match paths.as_slice() {
        [path] => CaseFile::open(path, reading)?,
        paths => CaseFile::open_export(paths, reading)?,
    };
    for row in cases {
        match row? {
            Row::Accepted(_) => accepted += 1,
            Row::Refused { .. } | Row::Skipped { .. } => refused += 1,
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let (rate, megabytes) = ((accepted + refused) as f64 / seconds, bytes as f64 / 1e6 / seconds);
    println!(
        "{accepted} accepted, {refused} refused, {seconds:.2} s, {rate:.0} rows/s, {megabytes:.0} MB/s, {}",
        peak()
    );
    Ok(())
}

/// The most memory that the process held, where the system tells.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!("peak {}", line.unwrap_or("unknown").trim())
}
