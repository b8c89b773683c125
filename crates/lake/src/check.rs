//! Is the lake whole? For the operator's `doctor`.

use std::path::PathBuf;

use crate::record::{Finished, IngestRecord, dataset_versions};
use crate::scan::OpenFile;
use crate::schema::{Schema, case_columns};
use crate::table::{DataFile, Table};
use crate::{Lake, LakeError};

/// Something that an interrupted ingest left. Harmless: not read, and deleted by the next ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// A file that no table names.
    File(PathBuf),
    /// A file of `quarantine` whose ingest did not finish.
    Quarantine(String),
}

/// What [`Lake::check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeCheck {
    /// The newest dataset version (0: none yet).
    pub dataset_version: u64,
    /// Data files looked at, both tables.
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
        let finished = match self.finished() {
            Ok(finished) => finished,
            Err(error) => {
                check.problems.push(error.to_string());
                return Ok(check);
            }
        };
        check.check_numbers(&finished);
        check.check_table(&self.cases())?;
        let stored = check.rows;
        check.check_table(&self.quarantine_table())?;
        let counted = dataset_versions(&finished).last().map_or(0, |last| last.totals.rows);
        check.rows = stored;
        if stored != counted {
            check.problems.push(format!("cases holds {stored} rows, its history counts {counted}"));
        }
        if let Some(last) = finished.last() {
            check.check_columns(&self.cases(), &last.record.ingest)?;
        }
        check.leftovers.extend(self.leftover_paths(&finished)?.into_iter().map(Leftover::File));
        let orphans = self.orphaned_quarantine(&finished)?;
        check.leftovers.extend(orphans.into_iter().map(|file| Leftover::Quarantine(file.name)));
        Ok(check)
    }
}

impl LakeCheck {
    fn check_numbers(&mut self, finished: &[Finished]) {
        for Finished { table_version, record } in finished {
            let ingest = &record.ingest;
            let expected = self.dataset_version + u64::from(ingest.accepted > 0);
            if ingest.dataset_version != expected {
                let found = ingest.dataset_version;
                let problem =
                    format!("commit {table_version} of cases says dataset version {found}, not {expected}");
                self.problems.push(problem);
            }
            self.dataset_version = ingest.dataset_version;
        }
    }

    /// Adds the table's rows to `self.rows`.
    fn check_table(&mut self, table: &Table) -> Result<(), LakeError> {
        if !table.exists() {
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
                self.problems.push(format!("{}/{}: {problem}", table.name, file.name));
            }
        }
        Ok(())
    }

    fn check_columns(&mut self, table: &Table, ingest: &IngestRecord) -> Result<(), LakeError> {
        let known = table.snapshot(None)?.columns;
        let schema = Schema { inputs: ingest.inputs.clone(), note: ingest.note.clone() };
        for column in case_columns(&schema)? {
            if !known.contains(&column.name) {
                self.problems.push(format!("cases lacks the column {}", column.name));
            }
        }
        Ok(())
    }
}

fn file_problem(table: &Table, file: &DataFile) -> Option<String> {
    let found = match std::fs::metadata(table.dir.join(&file.name)) {
        Ok(metadata) => metadata.len(),
        Err(error) => return Some(error.to_string()),
    };
    if found != file.bytes {
        return Some(format!("has {found} bytes, not {}", file.bytes));
    }
    match OpenFile::open(table, file) {
        Err(error) => Some(error.to_string()),
        Ok(open) if open.rows() != file.rows => Some(format!("has {} rows, not {}", open.rows(), file.rows)),
        Ok(_) => None,
    }
}
