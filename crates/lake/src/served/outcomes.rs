//! What became of patients, on its way from the registry into the table: one row per prediction, the one in force.

use std::collections::BTreeMap;

use arrow::array::{AsArray, BooleanArray, RecordBatch};

use super::{Published, Served, Writer, Writing, columns};
use crate::schema::{Kind, columns as names, outcome_columns};
use crate::table::{DataFile, Exchanged};
use crate::{Lake, LakeError, scan};

/// The outcome of one prediction.
#[derive(Clone, Copy)]
pub struct OutcomeRow<'a> {
    /// Its number in the registry; a correction has a higher one.
    pub outcome_id: u64,
    pub prediction_id: &'a str,
    pub severity: &'a str,
    pub rarity: Option<&'a str>,
    pub disease_code: Option<&'a str>,
    /// Microseconds since 1970-01-01T00:00:00Z, as the next one.
    pub confirmed_at: i64,
    pub recorded_at: i64,
    /// `review`, or where a file of outcomes came from.
    pub source: &'a str,
    /// Who found it: no name, but a pseudonym.
    pub reviewer: &'a str,
}

impl std::fmt::Debug for OutcomeRow<'_> {
    /// Leaves the patient's data out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutcomeRow").field("outcome_id", &self.outcome_id).finish_non_exhaustive()
    }
}

/// A row that waits for the commit.
#[derive(Debug)]
struct Waiting {
    texts: [String; 4],
    rarity: Option<String>,
    disease_code: Option<String>,
    outcome_id: u64,
    confirmed_at: i64,
    recorded_at: i64,
}

impl Waiting {
    fn row(&self) -> OutcomeRow<'_> {
        let [prediction_id, severity, source, reviewer] = &self.texts;
        OutcomeRow {
            outcome_id: self.outcome_id,
            prediction_id,
            severity,
            rarity: self.rarity.as_deref(),
            disease_code: self.disease_code.as_deref(),
            confirmed_at: self.confirmed_at,
            recorded_at: self.recorded_at,
            source,
            reviewer,
        }
    }
}

/// A publication of outcomes under way. It keeps its rows in memory, so it should be ended after some ten thousand. Dropped
/// without [`OutcomePublication::commit`], it leaves nothing.
#[derive(Debug)]
pub struct OutcomePublication {
    writing: Writing,
    feed: String,
    after: Option<i64>,
    /// By prediction.
    rows: BTreeMap<String, Waiting>,
    writer: Writer,
}

impl Lake {
    /// Begins to take in outcomes of `feed`, a name that one registry has for ever. What it holds must be read after this, so
    /// that an outcome that was erased meanwhile does not come back.
    ///
    /// # Errors
    /// [`LakeError::Busy`] and the like.
    pub fn publish_outcomes(&self, feed: &str) -> Result<OutcomePublication, LakeError> {
        let writer = self.served_writer()?;
        let writing = writer.swept_table(Served::Outcomes)?;
        let taken_in = if writing.table.exists()? { writing.table.taken_in(feed)? } else { None };
        let after = taken_in.map(|(place, _)| place);
        Ok(OutcomePublication { writing, feed: feed.to_owned(), after, rows: BTreeMap::new(), writer })
    }
}

impl OutcomePublication {
    /// The number of the last outcome that was taken in.
    pub fn after(&self) -> Option<i64> {
        self.after
    }

    /// Adds one outcome, in place of an earlier one of its prediction.
    pub fn push(&mut self, row: &OutcomeRow<'_>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let waiting = Waiting {
            texts: [row.prediction_id, row.severity, row.source, row.reviewer].map(str::to_owned),
            rarity: owned(row.rarity),
            disease_code: owned(row.disease_code),
            outcome_id: row.outcome_id,
            confirmed_at: row.confirmed_at,
            recorded_at: row.recorded_at,
        };
        self.rows.insert(row.prediction_id.to_owned(), waiting);
    }

    /// Makes the outcomes part of the table, in place of earlier ones of their predictions, in one commit; the table has then
    /// taken in its feed up to `place`.
    ///
    /// # Errors
    /// On any error but [`LakeError::Unsure`] the table is unchanged; repeating the publication is right in any case.
    pub fn commit(self, place: i64) -> Result<Published, LakeError> {
        if self.rows.is_empty() && self.after == Some(place) {
            return Ok(Published::default());
        }
        let all = outcome_columns();
        let table = &self.writing.table;
        table.create(&all)?;
        let before = self.corrected()?;
        let mut out = self.writing.write_files(&all)?;
        let gone = |batch: &RecordBatch| Ok(Some(self.is_new(batch)?));
        let corrected = self.writing.copy(&before, &all, &gone, &mut out)?;
        let rows = self.rows.len() as u64;
        if rows > 0 {
            out.write(columns::outcomes(&all, self.rows.values().map(Waiting::row))?)?;
        }
        let files = out.finish()?;
        table.exchange(&before, &files, Exchanged::UpTo { feed: &self.feed, place, print: None })?;
        self.writer.put_together_if_many(&self.writing)?;
        Ok(Published { rows, corrected })
    }

    /// The files that hold earlier outcomes of these predictions.
    fn corrected(&self) -> Result<Vec<DataFile>, LakeError> {
        let mut found = Vec::new();
        for file in self.writing.files()? {
            let only = std::slice::from_ref(&file);
            let mut batches = scan::batches(&self.writing.table, only, &[names::PREDICTION_ID])?;
            let hit: Result<bool, LakeError> =
                batches.try_fold(false, |hit, batch| Ok(hit || self.is_new(&batch?)?.true_count() > 0));
            drop(batches);
            if hit? {
                found.push(file);
            }
        }
        Ok(found)
    }

    /// Which rows are of predictions that have a newer outcome here.
    fn is_new(&self, batch: &RecordBatch) -> Result<BooleanArray, LakeError> {
        let ids = scan::column(batch, names::PREDICTION_ID, Kind::Text)?;
        let ids = ids.as_string::<i32>().iter();
        Ok(ids.map(|id| Some(id.is_some_and(|id| self.rows.contains_key(id)))).collect())
    }
}
