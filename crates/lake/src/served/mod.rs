//! What was answered and what became of it, as open tables: `predictions` and `outcomes`.
//!
//! The prediction log and the registry are where an answer and an outcome are acknowledged; a *publication* copies what they
//! have since the last one. The place that a feed was copied up to is in the commit that brings its rows (a transaction
//! identifier of the Delta protocol), so a publication that was killed is repeated without doubling or losing a row.
//!
//! These tables have no dataset versions. They change under a lock of their own, which is held for one publication, and a
//! change of one table is one commit of it. Files that are part of neither table go with the next change, but for those that
//! were put together: readers that began before are spared for a week, unless a person's rows were in them.

mod columns;
mod compact;
mod outcomes;
mod predictions;
mod removal;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use uuid::Uuid;

use crate::data_file::DataFiles;
use crate::files::{Belonging, TableFiles};
use crate::schema::{Column, arrow_schema, outcome_columns, prediction_columns};
use crate::storage::{Right, WriterLock};
use crate::table::{DataFile, Log, Table, file_prefix};
use crate::versions::VersionSet;
use crate::{Lake, LakeError, scan};

pub use outcomes::{OutcomePublication, OutcomeRow};
pub use predictions::{PredictionLayout, PredictionPublication, PredictionRow};
pub use removal::ServedRemoval;

/// How long a change waits for another one to end: publications are short.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A table of what was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    Predictions,
    Outcomes,
}

impl Served {
    pub const ALL: [Served; 2] = [Served::Predictions, Served::Outcomes];

    pub fn name(self) -> &'static str {
        match self {
            Served::Predictions => "predictions",
            Served::Outcomes => "outcomes",
        }
    }

    /// The columns that the table has from the beginning.
    fn columns(self) -> Result<Vec<Column>, LakeError> {
        match self {
            Served::Predictions => prediction_columns(&[], &[]),
            Served::Outcomes => Ok(outcome_columns()),
        }
    }
}

/// What a publication did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// Rows that it brought.
    pub rows: u64,
    /// Rows of before that it corrected.
    pub corrected: u64,
}

/// The right to change both tables, while the value lives.
#[derive(Debug)]
struct Writer {
    lake: Lake,
    lock: Arc<WriterLock>,
}

/// One of the tables, in a writer's hands: its commits follow each other and nobody else's.
#[derive(Debug)]
struct Writing {
    what: Served,
    table: Table,
}

impl Lake {
    pub(crate) fn served_table(&self, what: Served) -> Table {
        Table::new(what.name(), self.storage().folder(what.name()), Log::Recent)
    }

    /// # Errors
    /// [`LakeError::Busy`] where somebody else goes on changing the tables.
    fn served_writer(&self) -> Result<Writer, LakeError> {
        let since = Instant::now();
        let lock = loop {
            match self.storage().lock(Right::Served) {
                Err(LakeError::Busy { .. }) if since.elapsed() < PATIENCE => std::thread::sleep(LOOK_EVERY),
                lock => break Arc::new(lock?),
            }
        };
        if lock.took_over() {
            for what in Served::ALL {
                self.served_table(what).fence()?;
            }
        }
        Ok(Writer { lake: self.clone(), lock })
    }

    /// The files of one of the tables as they are now, for engines that read Parquet themselves. No rows where nothing was
    /// published yet.
    pub fn served_files(&self, what: Served) -> Result<TableFiles, LakeError> {
        let table = self.served_table(what);
        let (mut columns, mut urls) = (what.columns()?, Vec::new());
        if table.exists()? {
            let snapshot = table.snapshot(None)?;
            columns = stored_columns(&columns, snapshot.columns);
            let files = snapshot.files.iter().map(|file| table.folder.url(&file.name));
            urls = files.collect::<Result<_, _>>()?;
        }
        Ok(TableFiles {
            schema: arrow_schema(&columns),
            whole: urls,
            mixed: Vec::new(),
            belonging: Belonging::Versions(VersionSet::default()),
        })
    }

    /// Rows of one of the tables.
    pub fn served_rows(&self, what: Served) -> Result<u64, LakeError> {
        let table = self.served_table(what);
        if !table.exists()? {
            return Ok(0);
        }
        Ok(table.snapshot(None)?.files.iter().map(|file| file.rows).sum())
    }

    /// Files in the tables' folders that an interrupted change left.
    pub(crate) fn served_leftovers(&self) -> Result<Vec<(Table, String)>, LakeError> {
        let mut found = Vec::new();
        for what in Served::ALL {
            let table = self.served_table(what);
            let names = leftovers(&table, Spare::Replaced)?;
            found.extend(names.into_iter().map(|name| (table.clone(), name)));
        }
        Ok(found)
    }
}

/// Which files that are no longer part of a table may stay on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spare {
    /// Those that were put together.
    Replaced,
    None,
}

fn leftovers(table: &Table, spare: Spare) -> Result<Vec<String>, LakeError> {
    let mut may_stay = HashSet::new();
    if table.exists()? {
        may_stay.extend(table.snapshot(None)?.files.into_iter().map(|file| file.name));
        if spare == Spare::Replaced {
            may_stay.extend(table.spared()?);
        }
    }
    table.leftovers(|file, _| may_stay.contains(file))
}

/// What a table has, with the kinds that `known` columns are written in.
fn stored_columns(known: &[Column], mut columns: Vec<Column>) -> Vec<Column> {
    for column in &mut columns {
        if let Some(known) = known.iter().find(|known| known.name == column.name) {
            column.kind = known.kind;
        }
    }
    columns
}

impl Writer {
    /// Takes a table in hand.
    fn table(&self, what: Served) -> Result<Writing, LakeError> {
        let table = self.lake.served_table(what);
        let pin = Arc::new(table.pin(&self.lock)?);
        Ok(Writing { what, table: table.pinned(&pin) })
    }

    /// The same, and removes what killed writers left.
    fn swept_table(&self, what: Served) -> Result<Writing, LakeError> {
        let writing = self.table(what)?;
        self.sweep(&writing, Spare::Replaced)?;
        Ok(writing)
    }

    fn sweep(&self, writing: &Writing, spare: Spare) -> Result<(), LakeError> {
        let names = leftovers(&writing.table, spare)?;
        // What was there while nobody else could write is nobody else's.
        if !names.is_empty() {
            self.lock.confirm()?;
        }
        writing.table.delete(names.iter().map(String::as_str))?;
        Ok(())
    }
}

impl Writing {
    fn files(&self) -> Result<Vec<DataFile>, LakeError> {
        if !self.table.exists()? {
            return Ok(Vec::new());
        }
        Ok(self.table.snapshot(None)?.files)
    }

    /// All columns that the table has.
    fn columns(&self) -> Result<Vec<Column>, LakeError> {
        Ok(stored_columns(&self.what.columns()?, self.table.snapshot(None)?.columns))
    }

    /// A writer of data files of a change of its own.
    fn write_files(&self, columns: &[Column]) -> Result<DataFiles, LakeError> {
        self.table.folder.create()?;
        let prefix = file_prefix(&Uuid::now_v7().to_string());
        DataFiles::start(&self.table.folder, prefix, columns, arrow_schema(columns))
    }

    /// Writes the rows of files, but those that `gone` marks, with the table's columns. Answers how many rows it left out.
    fn copy(
        &self,
        files: &[DataFile],
        columns: &[Column],
        gone: &dyn Fn(&RecordBatch) -> Result<Option<BooleanArray>, LakeError>,
        out: &mut DataFiles,
    ) -> Result<u64, LakeError> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut left_out = 0;
        for batch in scan::batches(&self.table, files, &names)? {
            let batch = batch?;
            let kept = match gone(&batch)? {
                Some(gone) => filter_record_batch(&batch, &not(&gone)?)?,
                None => batch.clone(),
            };
            left_out += (batch.num_rows() - kept.num_rows()) as u64;
            if kept.num_rows() > 0 {
                let stored = columns.iter().map(|column| scan::column(&kept, &column.name, column.kind));
                let stored = stored.collect::<Result<Vec<ArrayRef>, _>>()?;
                out.write(RecordBatch::try_new(arrow_schema(columns), stored)?)?;
            }
        }
        Ok(left_out)
    }
}
