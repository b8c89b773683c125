//! The lake: where its tables are, its history, its lock.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};

use crate::index::CaseIndex;
use crate::lineage::History;
use crate::record::{CommitRecord, DatasetVersion, Finished, IngestRecord, RECORD_KEY};
use crate::schema::columns;
use crate::selection::belonging;
use crate::storage::{Right, Storage, WriterLock};
use crate::table::{DataFile, Log, Pin, Table, ingest_of};
use crate::{LakeError, scan};

/// The tables in one [`Storage`]. Cheap to clone; holds no open file.
#[derive(Debug, Clone)]
pub struct Lake {
    storage: Storage,
    /// Where this is a [writer](Lake::writer).
    writing: Option<Arc<Writing>>,
}

/// The right to write, and the versions that it was taken on.
#[derive(Debug)]
struct Writing {
    lock: Arc<WriterLock>,
    cases: Arc<Pin>,
    quarantine: Arc<Pin>,
}

impl Lake {
    /// The lake in `<data-dir>/lake`. Touches nothing: the tables are made by the first ingest.
    pub fn open(data_dir: &Path) -> Lake {
        Lake::at(Storage::local(&data_dir.join("lake")))
    }

    /// The lake in a storage.
    pub fn at(storage: Storage) -> Lake {
        Lake { storage, writing: None }
    }

    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Dataset versions, oldest first.
    pub fn versions(&self) -> Result<Vec<DatasetVersion>, LakeError> {
        Ok(self.history()?.versions())
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

    /// The newest dataset version, where there is one: the one that the next ingest adds to.
    pub fn newest(&self) -> Result<Option<DatasetVersion>, LakeError> {
        Ok(self.versions()?.pop())
    }

    /// Finished ingests, oldest first, including those that added no case.
    pub fn ingests(&self) -> Result<Vec<IngestRecord>, LakeError> {
        Ok(self.history()?.ingests().cloned().collect())
    }

    pub(crate) fn cases(&self) -> Table {
        let table = Table::new("cases", self.storage.folder("cases"), Log::Whole);
        match &self.writing {
            Some(writing) => table.pinned(&writing.cases),
            None => table,
        }
    }

    pub(crate) fn quarantine_table(&self) -> Table {
        let table = Table::new("quarantine", self.storage.folder("quarantine"), Log::Whole);
        match &self.writing {
            Some(writing) => table.pinned(&writing.quarantine),
            None => table,
        }
    }

    /// What the commits of `cases` say.
    pub(crate) fn history(&self) -> Result<History, LakeError> {
        let table = self.cases();
        let mut finished = Vec::new();
        for commit in table.commits(RECORD_KEY)? {
            let Some(record) = commit.record else { continue };
            let record = CommitRecord::from_json(record).map_err(|source| LakeError::BadRecord {
                table: table.name,
                commit: commit.version,
                source,
            })?;
            finished.push(Finished { table_version: commit.version, record });
        }
        Ok(History::new(finished))
    }

    /// This lake with the right to write, which nobody else has while the value (or a clone) lives. Its commits follow the
    /// versions of now and each other, so whatever they rest on must be read through it.
    ///
    /// # Errors
    /// [`LakeError::Busy`] while somebody else writes.
    pub(crate) fn writer(&self) -> Result<Lake, LakeError> {
        let lock = Arc::new(self.storage.lock(Right::Cases)?);
        let reader = Lake::at(self.storage.clone());
        let (cases, quarantine) = (reader.cases(), reader.quarantine_table());
        if lock.took_over() {
            tracing::warn!(storage = %self.storage.place(), "took the lease over from a writer that stopped to renew it");
            cases.fence()?;
            quarantine.fence()?;
        }
        let (cases, quarantine) = (Arc::new(cases.pin(&lock)?), Arc::new(quarantine.pin(&lock)?));
        let writing = Writing { lock, cases, quarantine };
        Ok(Lake { writing: Some(Arc::new(writing)), ..reader })
    }

    /// Quarantine files, named by their table, that are not in force: no commit of `cases` names their writer, or one
    /// replaced them.
    pub(crate) fn void_quarantine(&self, history: &History) -> Result<Vec<DataFile>, LakeError> {
        let table = self.quarantine_table();
        if !table.exists()? {
            return Ok(Vec::new());
        }
        let replaced = history.replaced_quarantine();
        let mut files = table.snapshot(None)?.files;
        files.retain(|file| {
            replaced.contains(file.name.as_str())
                || ingest_of(&file.name).is_some_and(|id| !history.is_finished(id))
        });
        Ok(files)
    }

    /// Quarantine files in force.
    pub(crate) fn quarantine_files(&self, history: &History) -> Result<Vec<DataFile>, LakeError> {
        let table = self.quarantine_table();
        if !table.exists()? {
            return Ok(Vec::new());
        }
        let void = self.void_quarantine(history)?;
        let mut files = table.snapshot(None)?.files;
        files.retain(|file| !void.contains(file));
        Ok(files)
    }

    /// Removes what killed writers left. Of a [writer](Lake::writer) only.
    pub(crate) fn sweep(&self, history: &History) -> Result<(), LakeError> {
        self.quarantine_table().remove(&self.void_quarantine(history)?)?;
        let leftovers = self.leftover_files(history)?;
        // What was there while nobody else could write is nobody else's.
        if let Some(writing) = self.writing.as_ref().filter(|_| !leftovers.is_empty()) {
            writing.lock.confirm()?;
        }
        for (table, name) in leftovers {
            table.folder.delete(&name)?;
            tracing::info!(
                file = table.folder.place(&name),
                "deleted what an unfinished change of the lake left"
            );
        }
        Ok(())
    }

    /// Files in the tables' folders that must not be there, by their names in these: of unfinished writers, and
    /// replaced ones that were to be deleted.
    pub(crate) fn leftover_files(&self, history: &History) -> Result<Vec<(Table, String)>, LakeError> {
        let (purged, replaced) = (history.purged_cases(), history.replaced_quarantine());
        let mut files = Vec::new();
        for (table, gone) in [(self.cases(), purged), (self.quarantine_table(), replaced)] {
            let names = table.leftovers(|file, id| history.is_finished(id) && !gone.contains(file))?;
            files.extend(names.into_iter().map(|name| (table.clone(), name)));
        }
        Ok(files)
    }

    /// Keys of the newest version's cases, and the slots of all patients that were ever stored: a patient
    /// keeps its slot, also when the version that brought it was left by going back.
    pub(crate) fn load_index(&self, history: &History) -> Result<CaseIndex, LakeError> {
        let table = self.cases();
        if !table.exists()? {
            return Ok(CaseIndex::default());
        }
        let head = history.head_ancestry();
        let (rows, _) = history.counted(&head);
        let mut index = CaseIndex::with_room(rows);
        for file in table.snapshot(None)?.files {
            let versions = history.versions_of_file(&file.name);
            let counts = |first, last| head.covers(first, last);
            let whole = versions.is_some_and(|versions| counts(versions.first, versions.last));
            let none = versions.is_none_or(|versions| !head.meets(versions.first, versions.last));
            let mut wanted = vec![columns::CASE_KEY, columns::PATIENT_KEY, columns::SLOT];
            wanted.extend((!whole && !none).then_some(columns::DATASET_VERSION));
            for batch in scan::batches(&table, &[file], &wanted)? {
                let batch = batch?;
                let known = match (whole, none) {
                    (true, _) => None,
                    (_, true) => Some(BooleanArray::from(vec![false; batch.num_rows()])),
                    _ => Some(belonging(&scan::ints(&batch, columns::DATASET_VERSION)?, &head)),
                };
                index_batch(&mut index, &batch, known.as_ref())?;
            }
        }
        Ok(index)
    }
}

/// Takes a batch's patients, and its cases where `known` says so.
fn index_batch(
    index: &mut CaseIndex,
    batch: &RecordBatch,
    known: Option<&BooleanArray>,
) -> Result<(), LakeError> {
    let cases = scan::longs(batch, columns::CASE_KEY)?;
    let patients = scan::longs(batch, columns::PATIENT_KEY)?;
    let slots = scan::bytes(batch, columns::SLOT)?;
    for (row, &case) in cases.values().iter().enumerate() {
        if known.is_none_or(|known| known.value(row)) {
            index.insert_case(case.cast_unsigned());
        }
        if slots.is_valid(row) {
            index.insert_patient(patients.value(row).cast_unsigned(), slots.value(row).cast_unsigned());
        }
    }
    Ok(())
}
