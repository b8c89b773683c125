//! Count: a pinned dataset version -> the cohort, by possible patient, split slot and outcome.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use clinical::study::Accepts;
use clinical::{Feature, Input, Kind, Rarity, Study};
use lake::{CellMap, Margin, MarginCounts, NO_CELL};
use prepare::split::{self, SLOTS};
use prepare::{Cohort, Folds, Histogram, Set, SplitReport, Stratum};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::deployment::Deployment;
use crate::pipeline::engine::{self, SqlCells};

/// A counted and verified dataset version.
#[derive(Debug)]
pub struct Counted {
    pub cohort: Cohort,
    pub split: SplitReport,
    /// Stored rows that are in no cell of the study's domain (stored under another study).
    pub outside: u64,
    /// Rows without a confirmed outcome: stored, not used for training.
    pub unconfirmed: u64,
}

/// Counts a dataset version and verifies its split.
pub fn count(deployment: &Deployment, study: &Study, version: u64) -> Result<Counted> {
    let counted = counted(deployment, study, version)?;
    let histograms = counted.margins.iter().map(|margin| histogram(study, margin)).collect::<Vec<_>>();
    let (cohort, outside, unconfirmed) = in_terms_of(study, &counted)?;
    let split = split::verify(study, &cohort, &histograms);
    Ok(Counted { cohort, split, outside, unconfirmed })
}

/// Counts a dataset version whose split was verified before: the cohort, the rows outside and the unconfirmed
/// ones, as [`Counted`] has them.
pub fn tally(deployment: &Deployment, study: &Study, version: u64) -> Result<(Cohort, u64, u64)> {
    in_terms_of(study, &counted(deployment, study, version)?)
}

/// A dataset version's counts in figures.
#[derive(Debug, Serialize)]
pub struct Census {
    pub dataset_version: u64,
    pub rows: u64,
    /// Rows in no cell of the study's domain.
    pub outside: u64,
    /// Different possible patients that were met.
    pub cells: usize,
    /// Groups: possible patient, set and fold, outcome.
    pub counts: usize,
    /// SHA-256 over the outcomes and the counts: the same for the same cohort, however it was counted.
    pub digest: String,
}

/// Counts a dataset version as training does. `anew` counts every row; else the kept cohort of an earlier version is
/// brought up to date.
pub fn census(deployment: &Deployment, version: u64, anew: bool) -> Result<Census> {
    if anew {
        deployment.cohorts().forget()?;
    }
    let counted = counted(deployment, &deployment.study, version)?;
    let mut text = format!("{:?}", counted.outcomes).into_bytes();
    let mut met = vec![false; counted.cells as usize];
    for count in &counted.counts {
        text.extend(count.outcome.to_le_bytes());
        text.extend(count.cell.to_le_bytes());
        text.push(count.group);
        text.extend(count.rows.to_le_bytes());
        met[count.cell as usize] = true;
    }
    let digest = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Census {
        dataset_version: version,
        rows: counted.rows,
        outside: counted.outside,
        cells: met.into_iter().filter(|&met| met).count(),
        counts: counted.counts.len(),
        digest,
    })
}

/// One pass over the rows that no kept cohort has yet.
fn counted(deployment: &Deployment, study: &Study, version: u64) -> Result<lake::Cohort> {
    let cells = Cells::new(study)?;
    let margins: Vec<Margin> = study.inputs().iter().filter_map(margin).collect();
    engine::cohort(deployment, version, &cells, representative_slots(study), &margins)
}

/// The values of a number, for the verification of the split; a code's are the cells' own.
fn margin(input: &Input) -> Option<Margin> {
    let Accepts::Number { min, max, .. } = input.accepts else { return None };
    Some(Margin { column: input.name.clone(), min, len: (max - min) as u32 + 1 })
}

fn in_terms_of(study: &Study, counted: &lake::Cohort) -> Result<(Cohort, u64, u64)> {
    let strata =
        counted.outcomes.iter().map(|outcome| stratum(study, outcome)).collect::<Result<Vec<_>>>()?;
    let mut unconfirmed = 0;
    let mut confirmed = Vec::with_capacity(counted.counts.len());
    for count in &counted.counts {
        match &strata[count.outcome as usize] {
            Some(stratum) => confirmed.push((count.cell as usize, count.group, stratum.clone(), count.rows)),
            None => unconfirmed += count.rows,
        }
    }
    Ok((Cohort::new(confirmed), counted.outside, unconfirmed))
}

/// Each slot's stand-in: the first slot of its set and cross-validation fold. Training needs no finer
/// division, and fewer keys count faster.
pub fn representative_slots(study: &Study) -> [u8; SLOTS as usize + 1] {
    let folds = Folds::new(&study.split, study.training.folds);
    let group = |slot: u8| (Set::of_slot(&study.split, slot), folds.of_slot(slot));
    std::array::from_fn(|slot| {
        let slot = slot as u8;
        if slot == lake::NO_SLOT {
            return slot;
        }
        (0..slot).find(|&earlier| group(earlier) == group(slot)).unwrap_or(slot)
    })
}

/// A stored outcome in the study's terms; `None` where nothing is confirmed.
fn stratum(study: &Study, outcome: &lake::Outcome) -> Result<Option<Stratum>> {
    let Some(code) = &outcome.severity else { return Ok(None) };
    let severity = study.severity_from_code(code).ok_or_else(|| {
        anyhow!(
            "the dataset holds the severity `{code}`, which the study `{}` does not declare",
            study.name()
        )
    })?;
    let rarity = outcome.rarity.as_deref().and_then(Rarity::from_code);
    Ok(Some(Stratum { severity, rarity, disease_code: outcome.disease_code.clone() }))
}

/// The values of a number by set, for the verification of the split.
fn histogram(study: &Study, margin: &MarginCounts) -> Histogram {
    let mut counts: BTreeMap<(i32, Set), u64> = BTreeMap::new();
    for (value, slot, rows) in margin.iter().filter(|(_, slot, _)| *slot < SLOTS) {
        *counts.entry((value, Set::of_slot(&study.split, slot))).or_default() += rows;
    }
    Histogram { input: margin.margin.column.clone(), counts }
}

/// The study's domain as a cell map over whole columns: per input one table of levels, so that a row
/// costs a look-up and an addition per input.
#[derive(Debug)]
pub struct Cells {
    columns: Vec<String>,
    len: u32,
    features: Vec<FeatureCells>,
}

#[derive(Debug)]
struct FeatureCells {
    stride: u32,
    /// Per input: smallest value, and the level of each value from there.
    inputs: Vec<(i32, Vec<u32>)>,
}

impl Cells {
    /// # Errors
    /// When the study has more possible patients than a cell number holds.
    pub fn new(study: &Study) -> Result<Cells> {
        let size =
            study.domain().size().and_then(|size| u32::try_from(size).ok()).filter(|&size| size < NO_CELL);
        let len = size.context(
            "the study has more than four billion possible patients: give some of its numbers categories",
        )?;
        let mut stride = len;
        let mut features = Vec::new();
        for feature in study.features() {
            stride /= feature.dim() as u32;
            let inputs = study.inputs_of(feature);
            let levels = (0..inputs.len()).map(|offset| level_table(study, feature, offset)).collect();
            features.push(FeatureCells { stride, inputs: levels });
        }
        Ok(Cells { columns: study.inputs().iter().map(|input| input.name.clone()).collect(), len, features })
    }
}

/// The level that each value of one input leads to by itself. A category is the gravest that any of its
/// inputs reaches, so the feature's level is the largest over its inputs.
fn level_table(study: &Study, feature: &Feature, offset: usize) -> (i32, Vec<u32>) {
    let inputs = study.inputs_of(feature);
    let (min, max) = match &inputs[offset].accepts {
        Accepts::Number { min, max, .. } => (*min, *max),
        Accepts::Code(codes) => (0, codes.len() as i32 - 1),
    };
    let level = |value: i32| match &feature.kind {
        Kind::Category(categories) => categories
            .iter()
            .rposition(|category| {
                category.at_least.iter().any(|&(input, limit)| input == offset && value >= limit)
            })
            .unwrap_or(0) as u32,
        Kind::Number { .. } | Kind::Code(_) => (value - min) as u32,
    };
    (min, (min..=max).map(level).collect())
}

impl CellMap for Cells {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn len(&self) -> u32 {
        self.len
    }

    fn cells(&self, columns: &[&[i32]], out: &mut [u32]) {
        out.fill(0);
        let mut level = vec![0u32; out.len()];
        let mut columns = columns.iter();
        for feature in &self.features {
            level.fill(0);
            for (min, table) in &feature.inputs {
                let Some(values) = columns.next() else { return };
                for (level, &value) in level.iter_mut().zip(values.iter()) {
                    let offset = value.wrapping_sub(*min) as u32 as usize;
                    *level = (*level).max(table.get(offset).copied().unwrap_or(NO_CELL));
                }
            }
            for (cell, &level) in out.iter_mut().zip(&level) {
                *cell = if level == NO_CELL || *cell == NO_CELL {
                    NO_CELL
                } else {
                    *cell + level * feature.stride
                };
            }
        }
    }
}

impl SqlCells for Cells {
    fn plan(&self) -> String {
        format!("{self:?}")
    }

    /// The same levels, as arithmetic: a feature's level times its stride, summed; null where an input is null or
    /// outside its range.
    fn sql(&self) -> String {
        let mut columns = self.columns.iter();
        let (mut inside, mut sum) = (Vec::new(), Vec::new());
        for feature in &self.features {
            let mut levels = Vec::new();
            for ((min, table), column) in feature.inputs.iter().zip(&mut columns) {
                inside.push(format!("\"{column}\" BETWEEN {min} AND {}", min + table.len() as i32 - 1));
                levels.push(level_sql(column, *min, table));
            }
            let level =
                if levels.len() == 1 { levels.concat() } else { format!("greatest({})", levels.join(", ")) };
            sum.push(format!("{level} * {}", feature.stride));
        }
        format!("CASE WHEN {} THEN {} END", inside.join(" AND "), sum.join(" + "))
    }
}

/// One input's level, from its table: a difference where the levels count up, else one case per run of equal levels.
fn level_sql(column: &str, min: i32, table: &[u32]) -> String {
    let value = format!("CAST(\"{column}\" AS BIGINT)");
    if table.iter().enumerate().all(|(at, &level)| at == level as usize) {
        return format!("({value} - ({min}))");
    }
    let mut sql = "CASE".to_owned();
    let runs: Vec<(usize, u32)> = (0..table.len())
        .filter(|&at| table.get(at + 1) != Some(&table[at]))
        .map(|at| (at, table[at]))
        .collect();
    for (last, level) in runs {
        sql += &format!(" WHEN {value} <= {} THEN {level}", min + last as i32);
    }
    sql + " END"
}

#[cfg(test)]
mod tests {
    use super::*;
    use clinical::Raw;

    #[test]
    fn whole_columns_give_the_cells_that_single_patients_have() {
        let study = Study::default_study();
        let cells = Cells::new(study).unwrap();
        let mut rows: Vec<Vec<i32>> = Vec::new();
        for (i, (s, d)) in [
            (50, 30),
            (119, 79),
            (120, 79),
            (125, 80),
            (139, 60),
            (140, 61),
            (180, 120),
            (181, 60),
            (150, 121),
        ]
        .into_iter()
        .enumerate()
        {
            rows.push(vec![(i * 13 % 121) as i32, (i % 2) as i32, (i % 4) as i32, s, d, (i * 4 % 32) as i32]);
        }
        let columns: Vec<Vec<i32>> = (0..6).map(|c| rows.iter().map(|row| row[c]).collect()).collect();
        let slices: Vec<&[i32]> = columns.iter().map(Vec::as_slice).collect();
        let mut out = vec![0; rows.len()];
        cells.cells(&slices, &mut out);
        for (row, cell) in rows.iter().zip(out) {
            let mut raws = study.inputs().iter().zip(row).map(|(input, &value)| match &input.accepts {
                Accepts::Code(codes) => Raw::Text(&codes[value as usize]),
                Accepts::Number { .. } => Raw::Integer(value.into()),
            });
            let patient = study.check(|_| raws.next().unwrap()).unwrap();
            assert_eq!(study.cell(&patient), cell as usize);
        }
        let mut outside = [0];
        cells.cells(&[&[121], &[0], &[0], &[120], &[80], &[3]], &mut outside);
        assert_eq!(outside, [NO_CELL]);
    }

    #[test]
    fn slots_stand_for_their_set_and_fold() {
        let slots = representative_slots(Study::default_study());
        assert_eq!(slots, [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9, 12, 12, 14, 14, 14, 17, 17, 17, 20]);
    }
}
