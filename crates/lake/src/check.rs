//! Is the lake whole? For the operator's `doctor`.

use crate::lineage::History;
use crate::record::{Act, Finished};
use crate::scan::OpenFile;
use crate::schema::columns;
use crate::table::{DataFile, Table};
use crate::{Lake, LakeError, Served};

/// Something that an interrupted change of the lake left. Not read, and deleted by the next ingest or rewriting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// A file that no table names: its path or URL.
    File(String),
    /// A file of `quarantine` that is not in force.
    Quarantine(String),
}

/// What [`Lake::check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeCheck {
    /// The newest dataset version (0: none yet).
    pub dataset_version: u64,
    /// Data files looked at, of all tables.
    pub files: u64,
    /// Rows in `cases`.
    pub rows: u64,
    /// What is wrong, in words. Empty: all is well.
    pub problems: Vec<String>,
    pub leftovers: Vec<Leftover>,
}

impl Lake {
    /// Checks the commits, the numbering of dataset versions, the sums in their records, and that every data file
    /// is there with its size, its rows and its columns. Reads footers, not rows.
    ///
    /// # Errors
    /// Only what makes checking itself impossible; everything else is in [`LakeCheck::problems`].
    pub fn check(&self) -> Result<LakeCheck, LakeError> {
        let mut check = LakeCheck::default();
        let history = match self.history() {
            Ok(history) => history,
            Err(error) => {
                check.problems.push(error.to_string());
                return Ok(check);
            }
        };
        check.check_numbers(&history);
        check.check_table(&self.cases())?;
        let stored = check.rows;
        check.check_table(&self.quarantine_table())?;
        let (counted, _) = history.counted(&history.all());
        if stored != counted {
            check.problems.push(format!("cases holds {stored} rows, its history counts {counted}"));
        }
        if !history.finished().is_empty() {
            check.check_columns(&self.cases(), &history)?;
        }
        for what in Served::ALL {
            check.check_table(&self.served_table(what))?;
        }
        check.rows = stored;
        let files = self.leftover_files(&history)?.into_iter().chain(self.served_leftovers()?);
        check.leftovers.extend(files.map(|(table, name)| Leftover::File(table.folder.place(&name))));
        let void = self.void_quarantine(&history)?;
        check.leftovers.extend(void.into_iter().map(|file| Leftover::Quarantine(file.name)));
        Ok(check)
    }
}

impl LakeCheck {
    /// Versions are numbered 1, 2, 3 ... in the order of their commits, and each comes from an earlier one.
    fn check_numbers(&mut self, history: &History) {
        for Finished { table_version, record } in history.finished() {
            let (found, new, parent) = match &record.act {
                Act::Ingest(ingest) => (ingest.dataset_version, ingest.accepted > 0, ingest.parent),
                Act::Restore(restored) => (restored.dataset_version, true, Some(restored.parent)),
                Act::Rewrite(_) => continue,
            };
            let expected = self.dataset_version + u64::from(new);
            if found != expected {
                let problem =
                    format!("commit {table_version} of cases says dataset version {found}, not {expected}");
                self.problems.push(problem);
            }
            if new && parent.is_some_and(|parent| parent >= found) {
                let problem = format!("dataset version {found} says that it came from a later one");
                self.problems.push(problem);
            }
            self.dataset_version = found;
        }
    }

    /// Adds the table's rows to `self.rows`.
    fn check_table(&mut self, table: &Table) -> Result<(), LakeError> {
        if !table.exists()? {
            return Ok(());
        }
        let snapshot = match table.snapshot(None) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.problems.push(error.to_string());
                return Ok(());
            }
        };
        for file in &snapshot.files {
            self.files += 1;
            self.rows += file.rows;
            if let Some(problem) = file_problem(table, file) {
                self.problems.push(problem);
            }
        }
        Ok(())
    }

    fn check_columns(&mut self, table: &Table, history: &History) -> Result<(), LakeError> {
        let known = table.snapshot(None)?.columns;
        for column in history.columns(&history.all())? {
            // A lake that is older than lineages gets this one with its next ingest.
            let is_known = known.iter().any(|known| known.name == column.name);
            if !is_known && column.name != columns::DATASET_VERSION {
                self.problems.push(format!("cases lacks the column {}", column.name));
            }
        }
        Ok(())
    }
}

fn file_problem(table: &Table, file: &DataFile) -> Option<String> {
    match OpenFile::open(table, file) {
        Err(error) => Some(error.to_string()),
        Ok(open) if open.rows() != file.rows => {
            let (place, rows) = (table.folder.place(&file.name), open.rows());
            Some(format!("{place}: it has {rows} rows, not {}", file.rows))
        }
        Ok(_) => None,
    }
}
