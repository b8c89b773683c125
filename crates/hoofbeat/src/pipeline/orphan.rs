//! Orphan: confirmed orphan cases that came after the champion's dataset version -> a challenger that knows them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clinical::{Cell, Rarity, Severity, Study};
use lake::{CellMap, DatasetVersion, Lake, NO_CELL, columns};
use learn::bundle::Bundle;
use learn::revision::{Edition, OrphanCase, Revision, Taken, TrainingCases};
use prepare::{Cohort, Set};
use serde::Serialize;

use super::cohort::Cells;
use super::train::few_shot;

/// A confirmed orphan case whose patient the model may learn from.
#[derive(Debug)]
struct Case {
    id: String,
    severity: Severity,
    disease_code: Option<String>,
    cell: Cell,
}

/// What became of the orphan cases that were new to the champion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Confirmed orphan cases since the champion's dataset version.
    pub found: u64,
    pub added: u64,
    /// Left out: their patients belong to the validation or the test set.
    pub held_out: u64,
    /// Left out: they lack a value that the champion's study asks for, or have one that it does not accept.
    pub outside: u64,
    /// Left out: the champion was trained without an orphan disease of their severity and needs a training for it.
    pub unclassed: u64,
    /// Added cases by disease code; those without one are under the empty code.
    pub diseases: BTreeMap<String, u64>,
}

/// A model on its way from the champion's bundle to a challenger's.
#[derive(Debug)]
pub struct Challenger<'a> {
    revision: Revision<'a>,
    pub tally: Tally,
}

impl<'a> Challenger<'a> {
    /// Adds to the champion what its dataset version lacks of `newest`'s confirmed orphan cases.
    pub fn of(champion: &'a Bundle, lake: &Lake, newest: &DatasetVersion) -> Result<Challenger<'a>> {
        let after = champion.manifest.dataset_version;
        let mut challenger = Challenger { revision: Revision::of(champion)?, tally: Tally::default() };
        if after < newest.version {
            for case in challenger.find(lake, after, newest.version)? {
                challenger.add(&case)?;
            }
        }
        Ok(challenger)
    }

    pub fn study(&self) -> &Study {
        self.revision.study()
    }

    fn add(&mut self, case: &Case) -> Result<()> {
        let Case { id, severity, disease_code, cell } = case;
        let disease_code = disease_code.as_deref();
        let taken = self.revision.add(&OrphanCase { id, severity: *severity, disease_code, cell: *cell })?;
        match taken {
            Taken::Added => {
                self.tally.added += 1;
                *self.tally.diseases.entry(disease_code.unwrap_or_default().to_owned()).or_default() += 1;
            }
            Taken::Unclassed => self.tally.unclassed += 1,
            Taken::Held => {}
        }
        Ok(())
    }

    /// The confirmed orphan cases between two dataset versions, but those that are left out and counted.
    fn find(&mut self, lake: &Lake, after: u64, version: u64) -> Result<Vec<Case>> {
        let study = self.revision.study();
        let cells = Cells::new(study)?;
        let mut wanted: Vec<&str> = cells.columns().iter().map(String::as_str).collect();
        let own =
            [columns::SEVERITY, columns::RARITY, columns::DISEASE_CODE, columns::SLOT, columns::CASE_KEY];
        wanted.extend(own);
        let mut cases = Vec::new();
        for chunk in lake.scan_cases_since(after, version, &wanted)? {
            let chunk = chunk?;
            let (severities, rarities) = (chunk.texts(columns::SEVERITY)?, chunk.texts(columns::RARITY)?);
            let (codes, slots) = (chunk.texts(columns::DISEASE_CODE)?, chunk.ints(columns::SLOT)?);
            let keys = chunk.keys(columns::CASE_KEY)?;
            let inputs = cells.columns().iter().map(|name| chunk.ints(name));
            let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
            let orphan = |row: &usize| rarities[*row].as_deref() == Some(Rarity::Orphan.code());
            for row in (0..chunk.rows()).filter(orphan) {
                let (Some(code), Some(slot), Some(key)) = (&severities[row], slots[row], keys[row]) else {
                    continue;
                };
                self.tally.found += 1;
                if u8::try_from(slot).map(|slot| Set::of_slot(&study.split, slot)) != Ok(Set::Train) {
                    self.tally.held_out += 1;
                    continue;
                }
                let (Some(severity), Some(cell)) =
                    (study.severity_from_code(code), cell(&cells, &inputs, row))
                else {
                    self.tally.outside += 1;
                    continue;
                };
                // The hash, not the identifier itself: a bundle may leave the house.
                let id = format!("{key:016x}");
                cases.push(Case { id, severity, disease_code: codes[row].clone(), cell });
            }
        }
        Ok(cases)
    }

    /// The challenger's bundle. `cohort`: the counted newest dataset version.
    pub fn finish(self, edition: Edition, cohort: &Cohort, threads: usize) -> Result<Bundle> {
        let training = training(self.revision.study(), cohort);
        let budget = few_shot(self.revision.study()).budget;
        self.revision
            .finish(edition, &training, &budget, threads)
            .context("the challenger cannot be made from the champion's bundle")
    }
}

/// The possible patient of a row; none where a value is missing or outside the study.
fn cell(cells: &Cells, inputs: &[Vec<Option<i32>>], row: usize) -> Option<Cell> {
    let values = inputs.iter().map(|column| column.get(row).copied().flatten());
    let values = values.collect::<Option<Vec<i32>>>()?;
    let columns: Vec<&[i32]> = values.iter().map(std::slice::from_ref).collect();
    let mut cell = [NO_CELL];
    cells.cells(&columns, &mut cell);
    (cell[0] != NO_CELL).then_some(cell[0] as Cell)
}

/// Training cases by possible patient, ascending.
fn training(study: &Study, cohort: &Cohort) -> Vec<TrainingCases> {
    let mut training: Vec<TrainingCases> = Vec::new();
    for count in cohort.of_set(study, Set::Train) {
        let cases = count.count as f64;
        let orphans = if cohort.strata()[count.stratum].is_orphan() { cases } else { 0.0 };
        match training.last_mut().filter(|last| last.cell == count.cell) {
            Some(last) => {
                last.cases += cases;
                last.orphans += orphans;
            }
            None => training.push(TrainingCases { cell: count.cell, cases, orphans }),
        }
    }
    training
}
