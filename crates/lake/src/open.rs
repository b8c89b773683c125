//! The lake: where its tables are, its history, its lock.

use std::path::{Path, PathBuf};

use arrow::array::Array;

use crate::index::CaseIndex;
use crate::lock::Lock;
use crate::record::{DatasetVersion, Finished, IngestRecord, RECORD_KEY, dataset_versions};
use crate::schema::columns;
use crate::table::{DataFile, Table, ingest_of};
use crate::{LakeError, scan};

/// The tables under `<data-dir>/lake/`. Cheap to clone; holds no open file.
#[derive(Debug, Clone)]
pub struct Lake {
    root: PathBuf,
}

impl Lake {
    /// The lake of a data directory. Touches nothing: the tables are made by the first ingest.
    pub fn open(data_dir: &Path) -> Lake {
        Lake { root: data_dir.join("lake") }
    }

    /// Dataset versions, oldest first.
    pub fn versions(&self) -> Result<Vec<DatasetVersion>, LakeError> {
        Ok(dataset_versions(&self.finished()?))
    }

    /// One dataset version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn version(&self, version: u64) -> Result<DatasetVersion, LakeError> {
        let mut versions = self.versions()?;
        let newest = versions.last().map_or(0, |last| last.version);
        match versions.iter().position(|known| known.version == version) {
            Some(at) => Ok(versions.swap_remove(at)),
            None => Err(LakeError::NoSuchVersion { version, newest }),
        }
    }

    /// The newest dataset version, where there is one.
    pub fn newest(&self) -> Result<Option<DatasetVersion>, LakeError> {
        Ok(self.versions()?.pop())
    }

    /// Finished ingests, oldest first, including those that added no case.
    pub fn ingests(&self) -> Result<Vec<IngestRecord>, LakeError> {
        Ok(self.finished()?.into_iter().map(|finished| finished.record.ingest).collect())
    }

    pub(crate) fn cases(&self) -> Table {
        Table { name: "cases", dir: self.root.join("cases") }
    }

    pub(crate) fn quarantine_table(&self) -> Table {
        Table { name: "quarantine", dir: self.root.join("quarantine") }
    }

    pub(crate) fn finished(&self) -> Result<Vec<Finished>, LakeError> {
        let table = self.cases();
        let mut finished = Vec::new();
        for commit in table.commits(RECORD_KEY)? {
            let Some(record) = commit.record else { continue };
            let record = serde_json::from_value(record).map_err(|source| LakeError::BadRecord {
                table: table.name,
                commit: commit.version,
                source,
            })?;
            finished.push(Finished { table_version: commit.version, record });
        }
        Ok(finished)
    }

    /// Takes the ingest lock.
    pub(crate) fn lock(&self) -> Result<Lock, LakeError> {
        std::fs::create_dir_all(&self.root).map_err(LakeError::io(&self.root))?;
        let lock = self.root.join("LOCK");
        Lock::take(&lock).map_err(LakeError::io(&lock))?.ok_or(LakeError::Busy { lock })
    }

    /// Quarantine files, named by their table, of ingests that no commit of `cases` names.
    pub(crate) fn orphaned_quarantine(&self, finished: &[Finished]) -> Result<Vec<DataFile>, LakeError> {
        let table = self.quarantine_table();
        if !table.exists() {
            return Ok(Vec::new());
        }
        let mut files = table.snapshot(None)?.files;
        files.retain(|file| ingest_of(&file.name).is_some_and(|ingest| !is_finished(finished, ingest)));
        Ok(files)
    }

    /// Removes what killed ingests left. Needs the lock.
    pub(crate) fn sweep(&self, finished: &[Finished]) -> Result<(), LakeError> {
        self.quarantine_table().remove(&self.orphaned_quarantine(finished)?)?;
        for path in self.leftover_paths(finished)? {
            std::fs::remove_file(&path).map_err(LakeError::io(&path))?;
            tracing::info!(path = %path.display(), "deleted what an unfinished ingest left");
        }
        Ok(())
    }

    /// Files of unfinished ingests in the tables' folders.
    pub(crate) fn leftover_paths(&self, finished: &[Finished]) -> Result<Vec<PathBuf>, LakeError> {
        let mut paths = Vec::new();
        for table in [self.cases(), self.quarantine_table()] {
            paths.extend(table.leftovers(|ingest| is_finished(finished, ingest))?);
        }
        Ok(paths)
    }

    /// Keys of all stored cases, and the slots of their patients.
    pub(crate) fn load_index(&self) -> Result<CaseIndex, LakeError> {
        let mut index = CaseIndex::default();
        let table = self.cases();
        if !table.exists() {
            return Ok(index);
        }
        let snapshot = table.snapshot(None)?;
        index.reserve(snapshot.files.iter().map(|file| file.rows as usize).sum());
        let wanted = [columns::CASE_KEY, columns::PATIENT_KEY, columns::SLOT];
        for batch in scan::batches(&table, &snapshot.files, &wanted)? {
            let batch = batch?;
            let cases = scan::longs(&batch, columns::CASE_KEY)?;
            let patients = scan::longs(&batch, columns::PATIENT_KEY)?;
            let slots = scan::bytes(&batch, columns::SLOT)?;
            for (row, &case) in cases.values().iter().enumerate() {
                index.insert_case(case.cast_unsigned());
                if slots.is_valid(row) {
                    index.insert_patient(
                        patients.value(row).cast_unsigned(),
                        slots.value(row).cast_unsigned(),
                    );
                }
            }
        }
        Ok(index)
    }
}

fn is_finished(finished: &[Finished], ingest: &str) -> bool {
    finished.iter().any(|one| one.record.ingest.ingest_id.to_string() == ingest)
}
