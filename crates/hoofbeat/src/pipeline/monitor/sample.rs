//! What monitoring compares: patients counted by input value and by possible patient.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clinical::study::Accepts;
use clinical::{Cell, Patient, Rarity, Study};
use lake::predictions::PredictionReader;
use lake::{CellMap, DatasetVersion, Lake, NO_CELL, ValueColumn, columns};
use prepare::Set;
use serde::{Deserialize, Serialize};
use serve::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::pipeline::cohort::Cells;
// Reviewed cases are chosen: they say nothing of who comes and how often the model is right.
use crate::pipeline::collect::SOURCE as REVIEW_SOURCE;
use crate::pipeline::publish::answers_between;

/// Patients counted by every input's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sample {
    pub patients: u64,
    /// Per input of the study: patients by value, from the smallest accepted one up.
    pub inputs: Vec<Vec<u64>>,
}

impl Sample {
    pub(super) fn empty(study: &Study) -> Sample {
        let inputs = value_columns(study).into_iter().map(|column| vec![0; column.len]).collect();
        Sample { patients: 0, inputs }
    }

    fn add(&mut self, study: &Study, patient: &Patient) {
        self.patients += 1;
        for ((counts, input), &value) in self.inputs.iter_mut().zip(study.inputs()).zip(patient.values()) {
            let min = input.range().map_or(0, |(min, _)| min);
            if let Some(count) = usize::try_from(value - min).ok().and_then(|at| counts.get_mut(at)) {
                *count += 1;
            }
        }
    }

    fn merge(&mut self, other: &Sample) {
        self.patients += other.patients;
        for (counts, others) in self.inputs.iter_mut().zip(&other.inputs) {
            counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
        }
    }
}

/// Every input of the study as a column of counted values.
fn value_columns(study: &Study) -> Vec<ValueColumn> {
    let column = |input: &clinical::Input| {
        let (min, len) = match &input.accepts {
            Accepts::Number { min, max, .. } => (*min, (max - min) as usize + 1),
            Accepts::Code(codes) => (0, codes.len()),
        };
        ValueColumn { name: input.name.clone(), min, len }
    };
    study.inputs().iter().map(column).collect()
}

/// Samples by source, of a dataset version's training set (`after`: none) or of what came after an earlier version.
pub(super) fn by_source(
    lake: &Lake,
    study: &Study,
    after: Option<u64>,
    version: u64,
) -> Result<BTreeMap<String, Sample>> {
    let is_training =
        |slot: Option<u8>| slot.is_some_and(|slot| Set::of_slot(&study.split, slot) == Set::Train);
    let wanted = value_columns(study);
    let counted = lake.value_counts(after, version, &wanted, |slot| after.is_some() || is_training(slot))?;
    let sample = |counted: lake::ValueCounts| Sample { patients: counted.rows, inputs: counted.counts };
    Ok(counted.into_iter().map(|(source, counted)| (source, sample(counted))).collect())
}

/// All rows of a dataset version.
pub(super) fn of_version(lake: &Lake, study: &Study, version: u64) -> Result<Sample> {
    let counted = lake.value_counts(None, version, &value_columns(study), |_| true)?;
    let sources = counted.into_iter();
    let sources = sources.map(|(source, of)| (source, Sample { patients: of.rows, inputs: of.counts }));
    Ok(everybody(study, &sources.collect()))
}

/// The sum over sources.
pub(super) fn everybody(study: &Study, sources: &BTreeMap<String, Sample>) -> Sample {
    sources.values().fold(Sample::empty(study), |mut all, sample| {
        all.merge(sample);
        all
    })
}

/// A confirmed case: possible patient, severity, whether orphan, and the disease.
pub(super) type Confirmed = (Cell, usize, bool, Option<String>);

/// What came into the lake, but from reviews: possible patients, and what was confirmed of them.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    pub patients: BTreeMap<Cell, u64>,
    pub confirmed: BTreeMap<Confirmed, u64>,
    /// Rows that fit no possible patient of the study.
    pub outside: u64,
}

/// The rows that `version` has and `after` has not.
pub(super) fn arrived(lake: &Lake, study: &Study, after: u64, version: u64) -> Result<Arrived> {
    let cells = Cells::new(study)?;
    let mut wanted: Vec<&str> = cells.columns().iter().map(String::as_str).collect();
    wanted.extend([columns::SOURCE, columns::SEVERITY, columns::RARITY, columns::DISEASE_CODE]);
    let mut arrived = Arrived::default();
    for chunk in lake.scan_cases_since(after, version, &wanted)? {
        let chunk = chunk?;
        let inputs = cells.columns().iter().map(|name| chunk.ints(name)).collect::<Result<Vec<_>, _>>()?;
        let (sources, severities) = (chunk.texts(columns::SOURCE)?, chunk.texts(columns::SEVERITY)?);
        let (rarities, codes) = (chunk.texts(columns::RARITY)?, chunk.texts(columns::DISEASE_CODE)?);
        for row in (0..chunk.rows()).filter(|&row| sources[row].as_deref() != Some(REVIEW_SOURCE)) {
            let Some(cell) = cell_of_row(&cells, &inputs, row) else {
                arrived.outside += 1;
                continue;
            };
            *arrived.patients.entry(cell).or_default() += 1;
            if let Some(severity) = severities[row].as_deref().and_then(|code| study.severity_from_code(code))
            {
                let orphan = rarities[row].as_deref() == Some(Rarity::Orphan.code());
                let key = (cell, severity.index(), orphan, codes[row].clone());
                *arrived.confirmed.entry(key).or_default() += 1;
            }
        }
    }
    Ok(arrived)
}

fn cell_of_row(cells: &Cells, inputs: &[Vec<Option<i32>>], row: usize) -> Option<Cell> {
    let values: Option<Vec<i32>> = inputs.iter().map(|column| column[row]).collect();
    let values = values?;
    let columns: Vec<&[i32]> = values.iter().map(std::slice::from_ref).collect();
    let mut cell = [NO_CELL];
    cells.cells(&columns, &mut cell);
    (cell[0] != NO_CELL).then_some(cell[0] as Cell)
}

/// What was answered, of a stretch of the prediction log.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub sample: Sample,
    pub patients: BTreeMap<Cell, u64>,
    /// Answers by models of another study.
    pub other_study: u64,
    pub first: Option<OffsetDateTime>,
}

/// The answers from `from` until before `to`.
pub(super) fn served(
    log: &PredictionReader,
    study: &Study,
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Result<Served> {
    let mut served = Served { sample: Sample::empty(study), ..Served::default() };
    for record in answers_between(log, from, Some(to))? {
        let (id, bytes) = record?;
        let logged = Record::from_bytes(&bytes).with_context(|| format!("prediction {id} cannot be read"))?;
        let at = OffsetDateTime::parse(&logged.at, &Rfc3339)
            .with_context(|| format!("prediction {id} has no readable time"))?;
        if at < from || at >= to {
            continue;
        }
        if !accepts(study, &logged.values) {
            served.other_study += 1;
            continue;
        }
        served.first = served.first.or(Some(at));
        served.sample.add(study, &logged.values);
        *served.patients.entry(study.cell(&logged.values)).or_default() += 1;
    }
    Ok(served)
}

/// Whether logged values are values of this study: the log keeps the answers of earlier ones, too.
fn accepts(study: &Study, patient: &Patient) -> bool {
    let columns = value_columns(study);
    columns.len() == patient.values().len()
        && columns.iter().zip(patient.values()).all(|(column, &value)| {
            usize::try_from(i64::from(value) - i64::from(column.min)).is_ok_and(|at| at < column.len)
        })
}

/// The ingests of a window as dataset versions: the last one before it and the newest one in it. `since` is the version
/// that the model knows: what it learned from is no news.
pub(super) fn window_versions(
    versions: &[DatasetVersion],
    since: u64,
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Option<(u64, u64)> {
    let newest = versions.iter().rfind(|version| version.created_at < to)?.version;
    let before = versions.iter().rfind(|version| version.created_at < from);
    let after = before.map_or(0, |version| version.version).max(since);
    (after < newest).then_some((after, newest))
}
