//! What one dataset version has and another has not.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::record::DatasetVersion;
use crate::schema::columns;
use crate::{Lake, LakeError, Outcome, Selection};

/// Rows before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    pub before: u64,
    pub after: u64,
}

/// Rows of one outcome before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutcomeChange {
    #[serde(flatten)]
    pub outcome: Outcome,
    #[serde(flatten)]
    pub rows: Change,
}

/// Two dataset versions beside each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub before: u64,
    pub after: u64,
    /// Whether the second has all rows of the first.
    pub builds_on: bool,
    pub rows: Change,
    /// Rows that only the second has, and that only the first has.
    pub added: u64,
    pub removed: u64,
    /// Patients of whom only the second has rows, and of whom only the first has.
    pub patients_added: u64,
    pub patients_removed: u64,
    /// All outcomes of either, ascending.
    pub outcomes: Vec<OutcomeChange>,
    /// All sources of either.
    pub sources: BTreeMap<String, Change>,
}

impl Lake {
    /// Compares two dataset versions. Reads one column of the rows in which they differ, and of all rows where there are any;
    /// keeps the patients of the rows in which they differ in memory.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn difference(&self, before: u64, after: u64) -> Result<Difference, LakeError> {
        let (first, second) = (self.version(before)?, self.version(after)?);
        let (added, removed) = (self.rows_between(before, after)?, self.rows_between(after, before)?);
        let (more, fewer) = (added.rows(), removed.rows());
        Ok(Difference {
            before,
            after,
            builds_on: self.is_ancestor(before, after)?,
            rows: Change { before: first.totals.rows, after: second.totals.rows },
            added: more,
            removed: fewer,
            patients_added: only_in(added, self.rows(before)?)?,
            patients_removed: only_in(removed, self.rows(after)?)?,
            outcomes: outcomes(&first, &second),
            sources: sources(&first, &second),
        })
    }
}

/// How many patients of some rows have none of the others.
fn only_in(rows: Selection, others: Selection) -> Result<u64, LakeError> {
    let mut patients = HashSet::new();
    for chunk in rows.scan(&[columns::PATIENT_KEY])? {
        patients.extend(chunk?.keys(columns::PATIENT_KEY)?.into_iter().flatten());
    }
    if !patients.is_empty() {
        for chunk in others.scan(&[columns::PATIENT_KEY])? {
            for patient in chunk?.keys(columns::PATIENT_KEY)?.into_iter().flatten() {
                patients.remove(&patient);
            }
        }
    }
    Ok(patients.len() as u64)
}

fn outcomes(before: &DatasetVersion, after: &DatasetVersion) -> Vec<OutcomeChange> {
    let mut all: BTreeMap<&Outcome, Change> = BTreeMap::new();
    for counted in &before.totals.outcomes {
        all.entry(&counted.outcome).or_default().before = counted.rows;
    }
    for counted in &after.totals.outcomes {
        all.entry(&counted.outcome).or_default().after = counted.rows;
    }
    all.into_iter().map(|(outcome, rows)| OutcomeChange { outcome: outcome.clone(), rows }).collect()
}

fn sources(before: &DatasetVersion, after: &DatasetVersion) -> BTreeMap<String, Change> {
    let mut all: BTreeMap<String, Change> = BTreeMap::new();
    for (source, &rows) in &before.totals.sources {
        all.entry(source.clone()).or_default().before = rows;
    }
    for (source, &rows) in &after.totals.sources {
        all.entry(source.clone()).or_default().after = rows;
    }
    all
}
