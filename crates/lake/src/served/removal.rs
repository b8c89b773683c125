//! Rows that must go: a person's, or those that were kept long enough.

use std::collections::HashSet;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use super::{Served, Spare, Writer};
use crate::outcome::key;
use crate::rewrite::Rewriting;
use crate::schema::{Kind, columns};
use crate::table::{DataFile, Exchanged};
use crate::{Lake, LakeError, scan};

/// What was taken out of the tables, or in a dry run would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ServedRemoval {
    /// Rows of `predictions` and `outcomes`.
    pub predictions: u64,
    pub outcomes: u64,
    pub files_rewritten: u64,
}

/// Which rows of a table go, and the columns that tell.
struct Gone<'a> {
    columns: &'a [&'a str],
    of: &'a dyn Fn(&RecordBatch) -> Result<BooleanArray, LakeError>,
}

impl Lake {
    /// Identifiers of the answers to these persons that were published.
    pub fn predictions_of(&self, patients: &HashSet<String>) -> Result<HashSet<String>, LakeError> {
        let keys = keys(patients);
        self.prediction_ids(&[columns::PATIENT_KEY, columns::PATIENT_ID], &|batch| {
            of_persons(batch, patients, &keys)
        })
    }

    /// Identifiers of the answers that were published and given before `limit` (microseconds since 1970-01-01T00:00:00Z).
    pub fn predictions_before(&self, limit: i64) -> Result<HashSet<String>, LakeError> {
        self.prediction_ids(&[columns::CREATED_AT], &|batch| given_before(batch, limit))
    }

    /// Identifiers of all answers that were published.
    pub fn published_predictions(&self) -> Result<HashSet<String>, LakeError> {
        self.prediction_ids(&[], &|batch| Ok(BooleanArray::from(vec![true; batch.num_rows()])))
    }

    fn prediction_ids(
        &self,
        needed: &[&str],
        wanted: &dyn Fn(&RecordBatch) -> Result<BooleanArray, LakeError>,
    ) -> Result<HashSet<String>, LakeError> {
        let (table, mut ids) = (self.served_table(Served::Predictions), HashSet::new());
        if !table.exists()? {
            return Ok(ids);
        }
        let read: Vec<&str> = needed.iter().chain(&[columns::PREDICTION_ID]).copied().collect();
        for batch in scan::batches(&table, &table.snapshot(None)?.files, &read)? {
            let batch = batch?;
            let wanted = wanted(&batch)?;
            if wanted.true_count() > 0 {
                let column = scan::column(&batch, columns::PREDICTION_ID, Kind::Text)?;
                let rows = column.as_string::<i32>().iter().zip(wanted.values());
                ids.extend(rows.filter(|(_, wanted)| *wanted).filter_map(|(id, _)| id).map(str::to_owned));
            }
        }
        Ok(ids)
    }

    /// Takes a person's rows out: answers by the person, outcomes by their predictions (`predictions` and those that are
    /// found). Outcomes go first: once the answers are gone, nothing here tells whose they are.
    pub(crate) fn erase_served(
        &self,
        patients: &HashSet<String>,
        predictions: &HashSet<String>,
        how: &Rewriting<'_>,
    ) -> Result<ServedRemoval, LakeError> {
        let writer = self.served_writer()?;
        let mut ids = self.predictions_of(patients)?;
        ids.extend(predictions.iter().cloned());
        let keys = keys(patients);
        let persons = |batch: &RecordBatch| of_persons(batch, patients, &keys);
        let about = |batch: &RecordBatch| of_predictions(batch, &ids);
        let outcomes = Gone { columns: &[columns::PREDICTION_ID], of: &about };
        let answers = Gone { columns: &[columns::PATIENT_KEY, columns::PATIENT_ID], of: &persons };
        writer.remove_both(&outcomes, &answers, how)
    }

    /// Takes answers given before `limit` (microseconds since 1970-01-01T00:00:00Z) out, and outcomes of these and of
    /// `predictions`.
    pub(crate) fn retain_served(
        &self,
        limit: i64,
        predictions: &HashSet<String>,
        how: &Rewriting<'_>,
    ) -> Result<ServedRemoval, LakeError> {
        let writer = self.served_writer()?;
        let mut ids = self.predictions_before(limit)?;
        ids.extend(predictions.iter().cloned());
        let old = |batch: &RecordBatch| given_before(batch, limit);
        let about = |batch: &RecordBatch| of_predictions(batch, &ids);
        let outcomes = Gone { columns: &[columns::PREDICTION_ID], of: &about };
        writer.remove_both(&outcomes, &Gone { columns: &[columns::CREATED_AT], of: &old }, how)
    }
}

fn keys(patients: &HashSet<String>) -> HashSet<i64> {
    patients.iter().map(|id| key(id).cast_signed()).collect()
}

fn of_persons(
    batch: &RecordBatch,
    patients: &HashSet<String>,
    keys: &HashSet<i64>,
) -> Result<BooleanArray, LakeError> {
    let patient_keys = scan::longs(batch, columns::PATIENT_KEY)?;
    if !patient_keys.iter().flatten().any(|key| keys.contains(&key)) {
        return Ok(BooleanArray::from(vec![false; batch.num_rows()]));
    }
    // The key is a hash: the text decides.
    let ids = scan::column(batch, columns::PATIENT_ID, Kind::Text)?;
    let ids = ids.as_string::<i32>().iter();
    Ok(ids.map(|id| Some(id.is_some_and(|id| patients.contains(id)))).collect())
}

fn given_before(batch: &RecordBatch, limit: i64) -> Result<BooleanArray, LakeError> {
    let times = scan::column(batch, columns::CREATED_AT, Kind::Instant)?;
    let times = times.as_primitive::<TimestampMicrosecondType>().iter();
    Ok(times.map(|at| Some(at.is_some_and(|at| at < limit))).collect())
}

fn of_predictions(batch: &RecordBatch, predictions: &HashSet<String>) -> Result<BooleanArray, LakeError> {
    let ids = scan::column(batch, columns::PREDICTION_ID, Kind::Text)?;
    let ids = ids.as_string::<i32>().iter();
    Ok(ids.map(|id| Some(id.is_some_and(|id| predictions.contains(id)))).collect())
}

impl Writer {
    fn remove_both(
        &self,
        outcomes: &Gone<'_>,
        answers: &Gone<'_>,
        how: &Rewriting<'_>,
    ) -> Result<ServedRemoval, LakeError> {
        let (outcomes, first) = self.remove(Served::Outcomes, outcomes, how)?;
        let (predictions, second) = self.remove(Served::Predictions, answers, how)?;
        Ok(ServedRemoval { predictions, outcomes, files_rewritten: first + second })
    }

    /// Answers the rows that go and the files they were in.
    fn remove(&self, what: Served, gone: &Gone<'_>, how: &Rewriting<'_>) -> Result<(u64, u64), LakeError> {
        if !self.lake.served_table(what).exists()? {
            return Ok((0, 0));
        }
        let writing = self.table(what)?;
        let (mut rows, mut hit) = (0, Vec::<DataFile>::new());
        for file in writing.files()? {
            let before = rows;
            for batch in scan::batches(&writing.table, std::slice::from_ref(&file), gone.columns)? {
                rows += (gone.of)(&batch?)?.true_count() as u64;
            }
            if rows > before {
                hit.push(file);
            }
        }
        let files = hit.len() as u64;
        if how.dry_run {
            return Ok((rows, files));
        }
        // Earlier files may hold the rows, too. They go first, so that a killed removal leaves none of them behind.
        self.sweep(&writing, Spare::None)?;
        if !hit.is_empty() {
            let columns = writing.columns()?;
            let mut out = writing.write_files(&columns)?;
            writing.copy(&hit, &columns, &|batch| Ok(Some((gone.of)(batch)?)), &mut out)?;
            writing.table.exchange(&hit, &out.finish()?, Exchanged::Fewer)?;
            writing.table.delete(hit.iter().map(|file| file.name.as_str()))?;
        }
        Ok((rows, files))
    }
}
