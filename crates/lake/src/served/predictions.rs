//! Answers on their way from a prediction log into the table.

use super::columns::PredictionColumns;
use super::{Published, Served, Writer, Writing};
use crate::data_file::DataFiles;
use crate::predictions::Mark;
use crate::schema::{Column, prediction_columns};
use crate::table::{Exchanged, Table};
use crate::{Lake, LakeError};

/// The place before all others: nothing was taken in.
const NOWHERE: i64 = -1;
/// Rows gathered before they go to the writer.
const CHUNK_ROWS: usize = 1 << 14;

/// What the answers are in terms of: the columns that a study gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PredictionLayout {
    /// Names of the inputs, each a 32-bit integer column, as in `cases`.
    pub inputs: Vec<String>,
    /// Codes of the severities, each with a column of its probability, `p_<code>`.
    pub severities: Vec<String>,
}

/// One answer.
#[derive(Clone, Copy)]
pub struct PredictionRow<'a> {
    /// As the log names it.
    pub prediction_id: &'a str,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub created_at: i64,
    pub model_version: &'a str,
    pub dataset_version: u64,
    /// Pseudonym, where one was given.
    pub patient_id: Option<&'a str>,
    /// What was shown; `None` where nobody knows the study any more.
    pub severity: Option<&'a str>,
    pub rarity: Option<&'a str>,
    pub probability_orphan: f64,
    pub threshold: f64,
    pub abstained: bool,
    /// In the order of the [`PredictionLayout`].
    pub probabilities: &'a [Option<f64>],
    /// In the order of the [`PredictionLayout`].
    pub inputs: &'a [Option<i32>],
}

impl std::fmt::Debug for PredictionRow<'_> {
    /// Leaves the patient's data out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PredictionRow").field("prediction_id", &self.prediction_id).finish_non_exhaustive()
    }
}

/// A publication of answers under way. Dropped without [`PredictionPublication::commit`], it leaves nothing.
pub struct PredictionPublication {
    writing: Writing,
    feed: String,
    after: Option<Mark>,
    all_columns: Vec<Column>,
    columns: PredictionColumns,
    files: DataFiles,
    rows: u64,
    /// Until the end, nobody else changes the table.
    writer: Writer,
}

impl std::fmt::Debug for PredictionPublication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PredictionPublication").field("feed", &self.feed).finish_non_exhaustive()
    }
}

impl Lake {
    /// The last answer of a feed that the table of predictions has.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn published_up_to(&self, feed: &str) -> Result<Option<Mark>, LakeError> {
        reached(&self.served_table(Served::Predictions), feed)
    }

    /// Begins to take in answers of `feed`, a name that one prediction log has for ever. What the log holds must be read after
    /// this, so that an answer that was erased meanwhile does not come back.
    ///
    /// # Errors
    /// [`LakeError::Busy`], [`LakeError::ReservedColumn`] and the like.
    pub fn publish_predictions(
        &self,
        feed: &str,
        layout: &PredictionLayout,
    ) -> Result<PredictionPublication, LakeError> {
        let all_columns = prediction_columns(&layout.inputs, &layout.severities)?;
        let writer = self.served_writer()?;
        let writing = writer.swept_table(Served::Predictions)?;
        let after = reached(&writing.table, feed)?;
        Ok(PredictionPublication {
            feed: feed.to_owned(),
            after,
            columns: PredictionColumns::new(&all_columns, layout.severities.len(), layout.inputs.len()),
            files: writing.write_files(&all_columns)?,
            all_columns,
            writing,
            rows: 0,
            writer,
        })
    }
}

/// The last answer of a feed that a table has taken in.
fn reached(table: &Table, feed: &str) -> Result<Option<Mark>, LakeError> {
    let taken_in = if table.exists()? { table.taken_in(feed)? } else { None };
    Ok(taken_in.map(|(place, print)| Mark { place, print }).filter(|mark| mark.place != NOWHERE))
}

impl PredictionPublication {
    /// The last answer that was taken in; `None`: none was.
    pub fn after(&self) -> Option<Mark> {
        self.after
    }

    /// Answers of this publication so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds one answer.
    ///
    /// # Errors
    /// The writer's.
    pub fn push(&mut self, row: &PredictionRow<'_>) -> Result<(), LakeError> {
        self.columns.push(row);
        self.rows += 1;
        if self.columns.len() == CHUNK_ROWS {
            let chunk = self.columns.take()?;
            self.files.write(chunk)?;
        }
        Ok(())
    }

    /// Makes the answers part of the table, which has then taken in its feed up to `reached`; `None`: it will begin anew. Where
    /// there are many small files, it also puts them together.
    ///
    /// # Errors
    /// On any error but [`LakeError::Unsure`] the table is unchanged; repeating the publication is right in any case.
    pub fn commit(mut self, reached: Option<Mark>) -> Result<Published, LakeError> {
        if self.columns.len() > 0 {
            let chunk = self.columns.take()?;
            self.files.write(chunk)?;
        }
        let files = self.files.finish()?;
        if !files.is_empty() || self.after != reached {
            let table = &self.writing.table;
            table.create(&self.all_columns)?;
            table.add_columns(&self.all_columns)?;
            let Mark { place, print } = reached.unwrap_or(Mark { place: NOWHERE, print: None });
            table.exchange(&[], &files, Exchanged::UpTo { feed: &self.feed, place, print })?;
            self.writer.put_together_if_many(&self.writing)?;
        }
        Ok(Published { rows: self.rows, corrected: 0 })
    }
}
