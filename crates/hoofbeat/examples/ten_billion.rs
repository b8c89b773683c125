//! The measured side of `docs/ten-billion-rows.md`: how fast one core counts stored rows to cells, how large what it counted
//! is, how fast the statement does it that a cluster runs, and what it costs to add as many partial cohorts as ten billion rows would make.
//!
//! ```text
//! ten_billion DATA-DIR ROWS
//! ```
//!
//! Counts every dataset version with one thread; then takes the newest as one partial cohort and adds it to itself until
//! the sum stands for ROWS rows, as the last stage of a distributed count does with what its tasks send.

use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clinical::Study;
use hoofbeat::pipeline::cohort::Cells;
use hoofbeat::pipeline::engine::{self, SqlCells};
use lake::{CellMap, Cohort, CohortQuery, Lake};
use query::{CohortPlan, Dataset, Engine, Limits};
use serde_json::json;

/// Bytes of a count on its way: cell, outcome, group, rows.
const COUNT_BYTES: usize = 4 + 4 + 1 + 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, rows] = &arguments[..] else { bail!("usage: ten_billion DATA-DIR ROWS") };
    let (lake, wanted) = (Lake::open(Path::new(data)), rows.parse::<u64>()?);
    let mut partial = Cohort::default();
    let mut versions = Vec::new();
    for dataset in lake.versions()? {
        let started = Instant::now();
        partial = count(&lake, dataset.version)?;
        let seconds = started.elapsed().as_secs_f64();
        let started = Instant::now();
        ensure!(count_in_sql(&lake, dataset.version)? == partial, "the two counts differ");
        let in_sql = started.elapsed().as_secs_f64();
        let bytes = bytes(&lake, dataset.version)?;
        versions.push(json!({
            "rows": partial.rows,
            "bytes_per_row": bytes as f64 / partial.rows as f64,
            "rows_per_core_second": partial.rows as f64 / seconds,
            "rows_per_core_second_in_sql": partial.rows as f64 / in_sql,
            "counts": partial.counts.len(),
            "shuffled_bytes": partial.counts.len() * COUNT_BYTES,
        }));
    }
    let parts = wanted.div_ceil(partial.rows.max(1));
    let started = Instant::now();
    let sum = (1..parts).try_fold(partial.clone(), |sum, _| sum.add(&partial))?;
    let seconds = started.elapsed().as_secs_f64();
    let answer = json!({
        "versions": versions,
        "partial_cohorts": parts,
        "rows": sum.rows,
        "counts": sum.counts.len(),
        "seconds": seconds,
        "seconds_per_partial": seconds / parts as f64,
    });
    Ok(writeln!(stdout(), "{answer:#}")?)
}

/// As training groups them: a slot stands for its set and fold.
fn count(lake: &Lake, version: u64) -> Result<Cohort> {
    let study = Study::default_study();
    let slot_group = hoofbeat::pipeline::cohort::representative_slots(study);
    Ok(lake
        .cohort(version, &CohortQuery { cells: &Cells::new(study)?, slot_group, margins: &[], threads: 1 })?)
}

/// The same by the statement that a cluster runs, with one thread.
fn count_in_sql(lake: &Lake, version: u64) -> Result<Cohort> {
    let study = Study::default_study();
    let cells = Cells::new(study)?;
    let slot_group = hoofbeat::pipeline::cohort::representative_slots(study);
    let plan = CohortPlan { cell: cells.sql(), cells: cells.len(), slot_group };
    let dataset = Dataset::pin(lake, version, &engine::inputs(study))?;
    let limits = Limits { memory_mib: 2048, threads: 1, time: None, spill: std::env::temp_dir() };
    engine::block_on(async { Ok(Engine::Local(limits).cohort(&dataset, &plan).await?) })
}

/// Bytes of the files.
fn bytes(lake: &Lake, version: u64) -> Result<u64> {
    Ok(lake.rows(version)?.files().iter().map(lake::SelectedFile::bytes).sum())
}
