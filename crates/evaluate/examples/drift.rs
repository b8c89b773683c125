//! For `bench/run drift`: two folders of columns (32-bit little-endian integers, one file a feature), compared feature by feature.
//!
//! usage: drift REFERENCE WINDOW [ROUNDS]; one JSON line a round: seconds from columns in memory to the verdict, and what was found.

#![expect(clippy::print_stdout, reason = "an example that prints its measurements")]

use std::{error::Error, path::Path, thread, time::Instant};

use evaluate::drift::{Limits, Pair, Question, Scale, compare};
use serde_json::{Map, Value, json};

/// Name, smallest value, number of values, and how they relate.
const FEATURES: [(&str, i32, usize, Scale); 6] = [
    ("age_years", 0, 121, Scale::Ordered),
    ("gender", 0, 2, Scale::Nominal),
    ("blood_type", 0, 4, Scale::Nominal),
    ("systolic_mmhg", 50, 231, Scale::Ordered),
    ("diastolic_mmhg", 30, 151, Scale::Ordered),
    ("exercise_days_per_month", 0, 32, Scale::Ordered),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, window, rest @ ..] = arguments.as_slice() else {
        return Err("usage: drift REFERENCE WINDOW [ROUNDS]".into());
    };
    let rounds: u32 = rest.first().map_or(Ok(1), |rounds| rounds.parse())?;
    let (reference, window) = (columns(Path::new(reference))?, columns(Path::new(window))?);
    for _ in 0..rounds {
        let started = Instant::now();
        let found = drift(&reference, &window)?;
        let seconds = started.elapsed().as_secs_f64();
        println!("{}", json!({ "seconds": seconds, "found": found }));
    }
    Ok(())
}

fn drift(reference: &[Vec<i32>], window: &[Vec<i32>]) -> Result<Map<String, Value>, Box<dyn Error>> {
    let counted: Vec<[Vec<u64>; 2]> = thread::scope(|scope| {
        let each = FEATURES.iter().zip(reference.iter().zip(window)).map(|((_, min, len, _), (a, b))| {
            scope.spawn(move || [count(a, *min, *len), count(b, *min, *len)])
        });
        let each: Vec<_> = each.collect();
        each.into_iter().filter_map(|one| one.join().ok()).collect()
    });
    let mut questions = Vec::new();
    for ((.., scale), [a, b]) in FEATURES.iter().zip(&counted) {
        questions.push(Question { pair: Pair::new(a, b)?, scale: *scale });
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let changes = compare(&questions, &Limits::default(), threads)?;
    Ok(FEATURES.iter().zip(changes).map(|((name, ..), change)| ((*name).to_owned(), json!(change))).collect())
}

fn columns(folder: &Path) -> Result<Vec<Vec<i32>>, Box<dyn Error>> {
    let column = |(name, ..): &(&str, i32, usize, Scale)| -> Result<Vec<i32>, Box<dyn Error>> {
        let bytes = std::fs::read(folder.join(name))?;
        Ok(bytes
            .chunks_exact(4)
            .map(|four| i32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect())
    };
    FEATURES.iter().map(column).collect()
}

fn count(values: &[i32], min: i32, len: usize) -> Vec<u64> {
    // Four tallies in turn, so that a run of equal values does not wait for itself.
    let mut tallies = [vec![0u32; len], vec![0u32; len], vec![0u32; len], vec![0u32; len]];
    for four in values.chunks(4) {
        for (tally, &value) in tallies.iter_mut().zip(four) {
            if let Some(count) = tally.get_mut(value.wrapping_sub(min) as u32 as usize) {
                *count += 1;
            }
        }
    }
    (0..len).map(|at| tallies.iter().map(|tally| u64::from(tally[at])).sum()).collect()
}
