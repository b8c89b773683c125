//! The measured side of `bench/cohort_train.py`: count a stored dataset version to cells, train one model on the counts.
//!
//! ```text
//! cohort_and_fit query DATA-DIR              only counts
//! cohort_and_fit fit DATA-DIR MODEL.ubj     counts, trains, writes XGBoost's own model file, prints what it found
//! ```
//!
//! The product's own parts do the work, with the settings of the comparison instead of the study's: one `multi:softprob` model of
//! the severities, 200 rounds of depth 6, in a training process of its own (this program again, as `learn-worker`).

use std::io::{Write, stdin, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clinical::{Rarity, Study};
use hoofbeat::pipeline::cohort::Cells;
use lake::{CohortQuery, Lake};
use learn::Matrix;
use learn::learner::{Fit, Job, Parameters, Role, Target, Trainer, Xgboost, worker_main};
use prepare::split::SLOTS;
use prepare::{Cohort, Preprocessor, Set, Stratum};
use serde_json::json;

const WORKER: &str = "learn-worker";
const THREADS: usize = 2;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let study = Study::default_study();
    match arguments[..] {
        [WORKER] => Ok(worker_main(&Role::Alone, stdin(), stdout())?),
        ["query", data] => tell(&count(study, Path::new(data))?),
        ["fit", data, model] => fit(study, Path::new(data), Path::new(model)),
        _ => bail!("usage: cohort_and_fit query DATA-DIR | fit DATA-DIR MODEL.ubj"),
    }
}

fn tell(counted: &lake::Cohort) -> Result<()> {
    let answer = json!({
        "rows": counted.rows, "counts": counted.counts.len(), "outside": counted.outside,
    });
    Ok(writeln!(stdout(), "{answer}")?)
}

/// The newest dataset version, with one group of slots per set: nothing finer is needed here.
fn count(study: &Study, data: &Path) -> Result<lake::Cohort> {
    let lake = Lake::open(data);
    let version = lake.newest()?.context("nothing is stored")?.version;
    let slot_group = std::array::from_fn(|slot| group(study, slot as u8));
    let cells = Cells::new(study)?;
    let query = CohortQuery { cells: &cells, slot_group, margins: &[], threads: THREADS };
    Ok(lake.cohort(version, &query)?)
}

/// Number of a slot's set.
fn group(study: &Study, slot: u8) -> u8 {
    Set::ALL.iter().zip(0..).find(|(set, _)| **set == Set::of_slot(&study.split, slot)).map_or(0, |(_, n)| n)
}

/// The counts in the terms of `prepare`: each group as the first slot of its set.
fn cohort(study: &Study, counted: &lake::Cohort) -> Result<Cohort> {
    let mut strata = Vec::with_capacity(counted.outcomes.len());
    for outcome in &counted.outcomes {
        let code = outcome.severity.as_deref().context("a row has no confirmed severity")?;
        let severity = study.severity_from_code(code).context("a severity is not the study's")?;
        let rarity = outcome.rarity.as_deref().and_then(Rarity::from_code);
        // The disease does not matter here: fewer strata, equal keys add up.
        strata.push(Stratum { severity, rarity, disease_code: None });
    }
    let first_slot = |set| (0..SLOTS).find(|&slot| group(study, slot) == set).unwrap_or_default();
    let slots: [u8; Set::ALL.len()] = std::array::from_fn(|set| first_slot(set as u8));
    Ok(Cohort::new(counted.counts.iter().map(|count| {
        let stratum = strata[count.outcome as usize].clone();
        (count.cell as usize, slots[usize::from(count.group)], stratum, count.rows)
    })))
}

fn fit(study: &Study, data: &Path, model: &Path) -> Result<()> {
    let cohort = cohort(study, &count(study, data)?)?;
    let preprocessor = Preprocessor::fit(study, &cohort);
    let (train, validation) = (by_cell(study, &cohort, Set::Train), by_cell(study, &cohort, Set::Validation));
    let encode = |cells: &[(usize, [f64; 4])]| {
        let mut rows = Vec::with_capacity(cells.len() * preprocessor.width());
        cells.iter().for_each(|(cell, _)| preprocessor.encode_into(&study.domain().levels(*cell), &mut rows));
        Matrix::from_vec(cells.len(), preprocessor.width(), rows)
    };
    let counts = train.iter().flat_map(|(_, counts)| *counts).collect();
    let target = Target::Counts { train: Matrix::from_vec(train.len(), 4, counts)?, held_out: None };
    let settings = Xgboost {
        rounds: 200,
        early_stopping: None,
        depth: 6,
        eta: 0.1,
        subsample: 1.0,
        columns: 1.0,
        bins: 256,
        min_child_weight: 1.0,
        lambda: 1.0,
    };
    let job = Job::new(encode(&train)?, target, Parameters::Xgboost(settings));
    let job = Job { score: Some(encode(&validation)?), threads: THREADS, ..job };
    let fitted = Trainer::new(std::env::current_exe()?, [WORKER], 1).fit(&job, &mut |_| ())?;
    std::fs::write(model, &fitted.model)?;
    let training_rows: f64 = train.iter().flat_map(|(_, counts)| counts).sum();
    let scales = preprocessor
        .scales()
        .iter()
        .map(|scale| (scale.feature.clone(), json!([scale.offset, scale.factor])));
    let answer = json!({
        "training_rows": training_rows,
        "training_cells": train.len(),
        "validation_log_loss": log_loss(&fitted, &validation),
        "scales": scales.collect::<serde_json::Map<_, _>>(),
    });
    Ok(writeln!(stdout(), "{answer}")?)
}

/// Cases of each severity by cell of one set, ascending by cell.
fn by_cell(study: &Study, cohort: &Cohort, set: Set) -> Vec<(usize, [f64; 4])> {
    let mut cells: Vec<(usize, [f64; 4])> = Vec::new();
    for count in cohort.of_set(study, set) {
        if cells.last().is_none_or(|(cell, _)| *cell != count.cell) {
            cells.push((count.cell, [0.0; 4]));
        }
        let severity = cohort.strata()[count.stratum].severity.index();
        if let Some((_, counts)) = cells.last_mut() {
            counts[severity] += count.count as f64;
        }
    }
    cells
}

/// Mean log loss of counted cases under the fitted margins.
fn log_loss(fitted: &Fit, cells: &[(usize, [f64; 4])]) -> f64 {
    let (mut loss, mut cases) = (0.0, 0.0);
    for (margins, (_, counts)) in fitted.margins.iter_rows().zip(cells) {
        let total: f64 = margins.iter().map(|&margin| f64::from(margin).exp()).sum();
        for (&margin, &count) in margins.iter().zip(counts) {
            loss += count * (total.ln() - f64::from(margin));
            cases += count;
        }
    }
    loss / cases
}
