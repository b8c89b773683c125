//! Disease by disease: who of the patients of each gets the answer that is right for it.

use clinical::Rarity;
use serde::{Deserialize, Serialize};

use crate::{
    cells::Cells,
    error::{Error, Result},
    figure::Figure,
    proportion::proportion,
};

/// With fewer patients than this a share proves nothing about a recall of 0.70 (9 of 9 is the least that does at 95 %).
pub(crate) const FEWEST_CASES: u64 = 9;

/// Patients of one disease.
#[derive(Debug, Clone)]
pub struct DiseaseCounts {
    pub code: String,
    pub rarity: Rarity,
    /// `(cell, severity, patients)`; cells as numbered by [`Cells::push`], severities by their position.
    pub patients: Vec<(usize, usize, u64)>,
}

/// How the patients of one disease fare.
///
/// The answer names a severity and a rarity, not a disease. What is right for an orphan disease is the alarm, for a
/// common one the patient's severity. So `recall` is the share of the disease's patients who get that answer, and
/// `precision` says how far the answer speaks for this disease: the share of the alarmed, or of the patients who are
/// shown one of its severities, who have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disease {
    pub code: String,
    pub rarity: Rarity,
    pub patients: u64,
    pub recall: Figure,
    pub precision: Figure,
    /// Share of the disease's patients who are alarmed: right for an orphan disease, a false alarm for a common one.
    pub alarmed: Figure,
}

/// The diseases in the given order. Below nine patients a share is undefined.
///
/// # Errors
/// Counts of a cell or severity that there is none of.
pub fn diseases(cells: &Cells, counts: &[DiseaseCounts]) -> Result<Vec<Disease>> {
    counts.iter().map(|disease| one(cells, disease)).collect()
}

fn one(cells: &Cells, disease: &DiseaseCounts) -> Result<Disease> {
    let classes = cells.classes().len();
    let (mut patients, mut alarmed, mut right_severity) = (0, 0, 0);
    let mut own_severity = vec![false; classes];
    for &(cell, severity, count) in &disease.patients {
        if cell >= cells.len() {
            return Err(Error::NoSuchCell { cell });
        }
        let Some(own) = own_severity.get_mut(severity) else {
            return Err(Error::NoSuchClass { cell, class: severity });
        };
        *own |= count > 0;
        patients += count;
        alarmed += if cells.alarm[cell] { count } else { 0 };
        right_severity += if usize::from(cells.decided[cell]) == severity { count } else { 0 };
    }
    let answered = |gets: &dyn Fn(usize) -> bool| -> u64 {
        let all = cells.counts.chunks(2 * classes).enumerate().filter(|(cell, _)| gets(*cell));
        all.map(|(_, counts)| counts.iter().sum::<u64>()).sum()
    };
    let (right, all, nobody) = match disease.rarity {
        Rarity::Orphan => (alarmed, answered(&|cell| cells.alarm[cell]), "no alarm"),
        Rarity::Common => {
            let shown = answered(&|cell| own_severity[usize::from(cells.decided[cell])]);
            (right_severity, shown, "no patient is shown its severity")
        }
    };
    let few = (patients < FEWEST_CASES)
        .then(|| Figure::undefined(format!("{patients} patients, {FEWEST_CASES} are needed")));
    let share = |hits, n, nobody: &str| few.clone().unwrap_or_else(|| proportion(hits, n, nobody));
    Ok(Disease {
        code: disease.code.clone(),
        rarity: disease.rarity,
        patients,
        recall: share(right, patients, "no patient"),
        precision: share(right, all, nobody),
        alarmed: share(alarmed, patients, "no patient"),
    })
}
