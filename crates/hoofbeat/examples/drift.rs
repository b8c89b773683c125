//! For `bench/run drift`: two Parquet files of patients, compared feature by feature.
//!
//! usage: drift REFERENCE WINDOW [ROUNDS]; one JSON line a round: seconds for reading and for the rest, and what was found.

use std::fs::File;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use evaluate::drift::{Limits, Pair, Question, Scale, compare};
use parquet::column::reader::ColumnReader;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::json;

/// Name, smallest value, number of values, and how they relate.
const FEATURES: [(&str, i32, usize, Scale); 6] = [
    ("age_years", 0, 121, Scale::Ordered),
    ("gender", 0, 2, Scale::Nominal),
    ("blood_type", 0, 4, Scale::Nominal),
    ("systolic_mmhg", 50, 231, Scale::Ordered),
    ("diastolic_mmhg", 30, 151, Scale::Ordered),
    ("exercise_days_per_month", 0, 32, Scale::Ordered),
];
/// Rows read at once.
const BATCH: usize = 1 << 16;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, window, rest @ ..] = arguments.as_slice() else { bail!("usage: drift REFERENCE WINDOW [ROUNDS]") };
    let rounds: u32 = rest.first().map_or(Ok(1), |rounds| rounds.parse())?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..rounds {
        let started = Instant::now();
        let (reference, window) = std::thread::scope(|scope| {
            let reference = scope.spawn(|| columns(reference));
            (reference.join(), columns(window))
        });
        let (reference, window) = (reference.map_err(|_| anyhow::anyhow!("a thread failed"))??, window?);
        let read = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let counted: Vec<(Vec<u64>, Vec<u64>)> = std::thread::scope(|scope| {
            let each = FEATURES.iter().zip(reference.iter().zip(&window));
            let each: Vec<_> = each
                .map(|((_, min, len, _), (a, b))| scope.spawn(move || (count(a, *min, *len), count(b, *min, *len))))
                .collect();
            each.into_iter().filter_map(|one| one.join().ok()).collect()
        });
        let questions = FEATURES.iter().zip(&counted);
        let questions: Vec<Question<'_>> = questions
            .map(|((.., scale), (a, b))| Ok(Question { pair: Pair::new(a, b)?, scale: *scale }))
            .collect::<Result<_>>()?;
        let changes = compare(&questions, &Limits::default(), threads)?;
        let judged = started.elapsed().as_secs_f64();
        let found: serde_json::Map<String, serde_json::Value> =
            FEATURES.iter().zip(&changes).map(|((name, ..), change)| ((*name).to_owned(), json!(change))).collect();
        println!("{}", json!({ "read_s": read, "judge_s": judged, "changes": found }));
    }
    Ok(())
}

fn columns(path: &str) -> Result<Vec<Vec<i32>>> {
    let reader = SerializedFileReader::new(File::open(path).with_context(|| path.to_owned())?)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let place = |name: &str| schema.columns().iter().position(|column| column.name() == name);
    let mut columns = Vec::new();
    for (name, ..) in FEATURES {
        let at = place(name).with_context(|| format!("{path} has no {name}"))?;
        let mut values = Vec::new();
        for group in 0..reader.num_row_groups() {
            let ColumnReader::Int32ColumnReader(mut column) = reader.get_row_group(group)?.get_column_reader(at)? else {
                bail!("{name} is no 32-bit integer");
            };
            while column.read_records(BATCH, None, None, &mut values)?.0 > 0 {}
        }
        columns.push(values);
    }
    Ok(columns)
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
