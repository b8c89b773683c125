//! Notes: stored cases with a note -> what notes say beside the structured model, and what that adds on a set.
//!
//! A note's text goes from the lake into the reader and no further: nothing here keeps, logs or returns any of it.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use clinical::study::Accepts;
use clinical::{Cell, Note, Rarity, Raw, Study};
use lake::{CaseChunk, CellMap, Lake, LakeError, NO_CELL, columns};
use learn::crossfit::Fitted;
use learn::notes::{Labelled, NoteModel};
use prepare::{Folds, Set};
use serde::{Deserialize, Serialize};

use super::cohort::Cells;
use super::score::Scorer;

/// Notes that are learned from or measured on at most: an even sample of more.
const MOST: usize = 100_000;

/// A confirmed case with a note.
struct Stored {
    cell: Cell,
    slot: u8,
    /// Position of the severity.
    severity: usize,
    orphan: bool,
    note: Note,
}

/// Learns from the notes of the training set; `None` where the study asks for none. `weights` name the rows of
/// what `fitted` has scored.
pub fn fit(
    lake: &Lake,
    study: &Study,
    version: u64,
    fitted: &Fitted,
    weights: &[(Cell, f64)],
) -> Result<Option<NoteModel>> {
    let Some(field) = study.note() else { return Ok(None) };
    let folds = Folds::new(&study.split, study.training.folds);
    let rows: HashMap<Cell, usize> =
        weights.iter().enumerate().map(|(row, (cell, _))| (*cell, row)).collect();
    let cases = stored(lake, study, version, Set::Train)?;
    let expected = |case: &Stored| -> Option<(usize, Vec<f64>)> {
        let (row, fold) = (*rows.get(&case.cell)?, folds.of_slot(case.slot)?);
        let severities = fitted.unseen_without_alarm.get(fold)?.row(row);
        let shares = fitted.unseen_orphan_shares.get(fold)?.row(row);
        let pairs = severities.iter().zip(shares).flat_map(|(p, share)| [p * (1.0 - share), p * share]);
        Some((fold, pairs.collect()))
    };
    let expected: Vec<Option<(usize, Vec<f64>)>> = cases.iter().map(expected).collect();
    let labelled = cases.iter().zip(&expected).filter_map(|(case, expected)| {
        let (fold, prior) = expected.as_ref()?;
        let outcome = 2 * case.severity + usize::from(case.orphan);
        Some(Labelled { note: case.note.text(), fold: *fold, outcome, prior, weight: 1.0 })
    });
    let labelled: Vec<Labelled<'_>> = labelled.collect();
    Ok(Some(NoteModel::fit(field, 2 * study.severities().len(), &labelled)?))
}

/// What notes add on the cases that have one, each answered with and without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteFigures {
    pub notes: usize,
    /// Mean log loss of the severity.
    pub log_loss_without: f64,
    pub log_loss_with: f64,
    /// Standard error of the difference, case by case.
    pub standard_error: f64,
    /// Share of severities that are right.
    pub accuracy_without: f64,
    pub accuracy_with: f64,
    pub orphans: usize,
    pub orphans_alarmed_without: usize,
    pub orphans_alarmed_with: usize,
    pub alarms_without: usize,
    pub alarms_with: usize,
}

/// Answers every confirmed case of a set that has a note, with it and without it; `None` without such cases.
pub fn measure(lake: &Lake, scorer: &Scorer, version: u64, set: Set) -> Result<Option<NoteFigures>> {
    let study = scorer.study();
    if study.note().is_none() {
        return Ok(None);
    }
    let mut figures = NoteFigures {
        notes: 0,
        log_loss_without: 0.0,
        log_loss_with: 0.0,
        standard_error: 0.0,
        accuracy_without: 0.0,
        accuracy_with: 0.0,
        orphans: 0,
        orphans_alarmed_without: 0,
        orphans_alarmed_with: 0,
        alarms_without: 0,
        alarms_with: 0,
    };
    let mut squares = 0.0;
    for case in stored(lake, study, version, set)? {
        let levels = study.domain().levels(case.cell);
        let without = scorer.model().assess(&levels)?;
        let with = scorer.model().assess_noted(&levels, &case.note)?;
        let loss = |probabilities: &[f64]| {
            -probabilities.get(case.severity).copied().unwrap_or_default().max(f64::MIN_POSITIVE).ln()
        };
        let (a, b) = (loss(&without.before_alarm), loss(&with.before_alarm));
        figures.notes += 1;
        figures.log_loss_without += a;
        figures.log_loss_with += b;
        squares += (a - b).powi(2);
        figures.accuracy_without += f64::from(u8::from(without.decided.index() == case.severity));
        figures.accuracy_with += f64::from(u8::from(with.decided.index() == case.severity));
        figures.orphans += usize::from(case.orphan);
        figures.orphans_alarmed_without += usize::from(case.orphan && without.alarm);
        figures.orphans_alarmed_with += usize::from(case.orphan && with.alarm);
        figures.alarms_without += usize::from(without.alarm);
        figures.alarms_with += usize::from(with.alarm);
    }
    if figures.notes == 0 {
        return Ok(None);
    }
    let n = figures.notes as f64;
    for sum in [
        &mut figures.log_loss_without,
        &mut figures.log_loss_with,
        &mut figures.accuracy_without,
        &mut figures.accuracy_with,
    ] {
        *sum /= n;
    }
    let mean = figures.log_loss_without - figures.log_loss_with;
    figures.standard_error = ((squares / n - mean * mean).max(0.0) / (n - 1.0).max(1.0)).sqrt();
    Ok(Some(figures))
}

/// The confirmed cases of a set that have a note, at most [`MOST`]: where there are more, those whose key is lowest.
fn stored(lake: &Lake, study: &Study, version: u64, set: Set) -> Result<Vec<Stored>> {
    let Some(field) = study.note() else { return Ok(Vec::new()) };
    let cells = Cells::new(study)?;
    let mut wanted: Vec<&str> = study.inputs().iter().map(|input| input.name.as_str()).collect();
    wanted.extend([columns::SEVERITY, columns::RARITY, columns::SLOT, columns::CASE_KEY, &field.name]);
    let chunks = match lake.scan_cases(version, &wanted) {
        Ok(chunks) => chunks,
        // Stored before the study asked for notes.
        Err(LakeError::NoSuchColumn { column }) if column == field.name => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    // Keys are hashes, so the lowest are an even sample, and the same one whatever the order of rows.
    let mut kept: BTreeMap<u64, Stored> = BTreeMap::new();
    for chunk in chunks {
        let chunk = chunk?;
        let mut row = Rows::of(study, &cells, &chunk, &field.name)?;
        for at in 0..chunk.rows() {
            let Some((key, case)) = row.take(study, at, set) else { continue };
            kept.insert(key, case);
            if kept.len() > MOST {
                kept.pop_last();
            }
        }
    }
    Ok(kept.into_values().collect())
}

/// One chunk's columns.
struct Rows {
    cells: Vec<u32>,
    severities: Vec<Option<String>>,
    rarities: Vec<Option<String>>,
    slots: Vec<Option<i32>>,
    keys: Vec<Option<u64>>,
    notes: Vec<Option<String>>,
}

impl Rows {
    fn of(study: &Study, cells: &Cells, chunk: &CaseChunk, note: &str) -> Result<Rows> {
        let mut inputs = Vec::with_capacity(study.inputs().len());
        for input in study.inputs() {
            // A missing value is outside every range, so that its row has no cell.
            let below = match input.accepts {
                Accepts::Number { min, .. } => min.saturating_sub(1),
                Accepts::Code(_) => -1,
            };
            let values = chunk.ints(&input.name)?;
            inputs.push(values.into_iter().map(|value| value.unwrap_or(below)).collect::<Vec<i32>>());
        }
        let slices: Vec<&[i32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut found = vec![NO_CELL; chunk.rows()];
        cells.cells(&slices, &mut found);
        Ok(Rows {
            cells: found,
            severities: chunk.texts(columns::SEVERITY)?,
            rarities: chunk.texts(columns::RARITY)?,
            slots: chunk.ints(columns::SLOT)?,
            keys: chunk.keys(columns::CASE_KEY)?,
            notes: chunk.texts(note)?,
        })
    }

    /// A row's case with its key, where it is confirmed, of the set, and has a note that the study accepts.
    fn take(&mut self, study: &Study, at: usize, set: Set) -> Option<(u64, Stored)> {
        let text = self.notes.get_mut(at)?.take()?;
        let slot = u8::try_from((*self.slots.get(at)?)?).ok()?;
        let cell = *self.cells.get(at)?;
        if cell == NO_CELL || Set::of_slot(&study.split, slot) != set {
            return None;
        }
        let severity = study.severity_from_code(self.severities.get(at)?.as_deref()?)?.index();
        let orphan = self.rarities.get(at)?.as_deref().and_then(Rarity::from_code) == Some(Rarity::Orphan);
        let note = study.note()?.accept(Raw::Text(&text)).ok()??;
        Some(((*self.keys.get(at)?)?, Stored { cell: cell as usize, slot, severity, orphan, note }))
    }
}
