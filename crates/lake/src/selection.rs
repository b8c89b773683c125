//! Which rows of the case table a reader wants: those of some dataset versions.
//!
//! Most files hold rows of wanted versions only and are read as they are. The others are told by their footers, row
//! group by row group; only a row group that holds both is read with one more column and filtered.

use std::sync::Arc;

use arrow::array::{BooleanArray, Int32Array, RecordBatch};
use arrow::compute::filter_record_batch;

use crate::lineage::History;
use crate::scan::{self, OpenFile};
use crate::schema::{Column, columns as names};
use crate::storage::FileBatches;
use crate::table::{DataFile, Table};
use crate::versions::VersionSet;
use crate::{Lake, LakeError};

/// Rows of the case table, chosen by the dataset versions that brought them. Cheap to keep; reads nothing by itself.
#[derive(Debug, Clone)]
pub struct Selection {
    table: Table,
    files: Vec<SelectedFile>,
    versions: VersionSet,
    columns: Vec<Column>,
    rows: u64,
    outcomes: u64,
    removals: u64,
}

/// A data file that holds rows of a selection.
#[derive(Debug, Clone)]
pub struct SelectedFile {
    file: DataFile,
    /// Whether all of its rows are selected. Otherwise those whose [`columns::DATASET_VERSION`](crate::columns::DATASET_VERSION)
    /// is one of [`Selection::versions`].
    pub whole: bool,
}

impl SelectedFile {
    /// Its name, relative to the case table's folder.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    pub fn bytes(&self) -> u64 {
        self.file.bytes
    }

    /// Rows in it, selected or not.
    pub fn rows(&self) -> u64 {
        self.file.rows
    }
}

impl Selection {
    pub fn files(&self) -> &[SelectedFile] {
        &self.files
    }

    /// The versions whose rows are selected.
    pub fn versions(&self) -> &VersionSet {
        &self.versions
    }

    /// Names of the columns that these versions have, the lake's own first.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// How many rows are selected, as the commits count them.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Changes when rows were taken out of versions that exist (erasure, retention). What was counted under another
    /// number of removals must be counted anew.
    pub fn removals(&self) -> u64 {
        self.removals
    }

    /// Different outcomes to expect.
    pub(crate) fn outcomes(&self) -> u64 {
        self.outcomes
    }

    pub(crate) fn of(
        table: Table,
        files: Vec<DataFile>,
        history: &History,
        versions: VersionSet,
    ) -> Result<Selection, LakeError> {
        let mut selected = Vec::new();
        for file in files {
            // Another writer's file belongs to no version.
            let Some(of_file) = history.versions_of_file(&file.name) else { continue };
            if versions.meets(of_file.first, of_file.last) {
                let whole = versions.covers(of_file.first, of_file.last);
                selected.push(SelectedFile { file, whole });
            }
        }
        let (rows, outcomes) = history.counted(&versions);
        let removals = history.removals();
        Ok(Selection { table, files: selected, columns: Vec::new(), versions, rows, outcomes, removals })
    }

    /// Fails when the versions have no column of this name.
    pub(crate) fn expect_column(&self, name: &str) -> Result<(), LakeError> {
        if self.columns().any(|known| known == name) {
            return Ok(());
        }
        Err(LakeError::NoSuchColumn { column: name.to_owned() })
    }

    /// The row groups of one of its files that hold selected rows.
    pub(crate) fn open(&self, selected: &SelectedFile) -> Result<Vec<RowGroup>, LakeError> {
        let file = OpenFile::open(&self.table, &selected.file)?;
        Ok(self.row_groups(selected, Arc::new(file)).collect())
    }

    /// The row groups of all of its files that hold selected rows.
    pub(crate) fn open_all(&self) -> Result<Vec<RowGroup>, LakeError> {
        let opened = OpenFile::open_all(&self.table, self.files.iter().map(|selected| &selected.file))?;
        let files = self.files.iter().zip(opened);
        Ok(files.flat_map(|(selected, file)| self.row_groups(selected, Arc::new(file))).collect())
    }

    fn row_groups(&self, selected: &SelectedFile, file: Arc<OpenFile>) -> impl Iterator<Item = RowGroup> {
        let versions = (!selected.whole).then(|| Arc::new(self.versions.clone()));
        (0..file.row_groups()).filter_map(move |group| {
            let wanted = match (&versions, file.int_range(group, names::DATASET_VERSION)) {
                (None, _) => None,
                (Some(versions), Some((first, last))) => {
                    let (first, last) = (u64::from(first.unsigned_abs()), u64::from(last.unsigned_abs()));
                    if !versions.meets(first, last) {
                        return None;
                    }
                    (!versions.covers(first, last)).then(|| Arc::clone(versions))
                }
                (Some(versions), None) => Some(Arc::clone(versions)),
            };
            Some(RowGroup { file: Arc::clone(&file), group, wanted })
        })
    }
}

/// A row group with selected rows: the unit that is handed to a thread.
#[derive(Debug, Clone)]
pub(crate) struct RowGroup {
    file: Arc<OpenFile>,
    group: usize,
    /// Where some of its rows are not selected.
    wanted: Option<Arc<VersionSet>>,
}

impl RowGroup {
    /// Its selected rows. Columns that the file lacks are left out.
    pub(crate) fn read(&self, columns: &[impl AsRef<str>]) -> Result<Batches, LakeError> {
        let mut asked: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
        let mut surplus = false;
        if self.wanted.is_some() && !asked.contains(&names::DATASET_VERSION) {
            asked.push(names::DATASET_VERSION);
            surplus = true;
        }
        let reader = self.file.read(Some(self.group), &asked)?;
        Ok(Batches { reader, wanted: self.wanted.clone(), surplus })
    }
}

/// Batches of a row group's selected rows.
pub(crate) struct Batches {
    reader: FileBatches,
    wanted: Option<Arc<VersionSet>>,
    /// Whether the version was read for the filter only.
    surplus: bool,
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let Some(wanted) = &self.wanted else { return Some(Ok(batch)) };
        Some(filtered(batch, wanted, self.surplus))
    }
}

fn filtered(batch: RecordBatch, wanted: &VersionSet, surplus: bool) -> Result<RecordBatch, LakeError> {
    let versions = scan::ints(&batch, names::DATASET_VERSION)?;
    let mut kept = filter_record_batch(&batch, &belonging(&versions, wanted))?;
    if surplus && let Ok(at) = kept.schema().index_of(names::DATASET_VERSION) {
        kept.remove_column(at);
    }
    Ok(kept)
}

/// Which rows are of the wanted versions. Neighbours mostly agree, so a row costs a comparison.
pub(crate) fn belonging(versions: &Int32Array, wanted: &VersionSet) -> BooleanArray {
    let mut last = (None, false);
    let belongs = versions.iter().map(|version| {
        if version != last.0 {
            last = (version, version.is_some_and(|v| wanted.contains(u64::from(v.unsigned_abs()))));
        }
        Some(last.1)
    });
    belongs.collect()
}

impl Lake {
    /// The rows of a dataset version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn rows(&self, version: u64) -> Result<Selection, LakeError> {
        let history = self.history()?;
        let lineage = history.ancestry(version)?;
        self.select(&history, lineage.clone(), &lineage)
    }

    /// The rows that `version` has and `after` has not (0: the rows of `version`). Where `after` is no ancestor of
    /// `version`, it may have rows that `version` has not: see [`Lake::is_ancestor`].
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn rows_between(&self, after: u64, version: u64) -> Result<Selection, LakeError> {
        let history = self.history()?;
        let lineage = history.ancestry(version)?;
        let before = if after == 0 { VersionSet::default() } else { history.ancestry(after)? };
        self.select(&history, lineage.without(&before), &lineage)
    }

    /// Whether `version` has all rows of `ancestor`.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn is_ancestor(&self, ancestor: u64, version: u64) -> Result<bool, LakeError> {
        let history = self.history()?;
        Ok(history.ancestry(ancestor)?.is_within(&history.ancestry(version)?))
    }

    fn select(
        &self,
        history: &History,
        versions: VersionSet,
        lineage: &VersionSet,
    ) -> Result<Selection, LakeError> {
        let table = self.cases();
        let files = table.snapshot(None)?.files;
        let selection = Selection::of(table, files, history, versions)?;
        Ok(Selection { columns: history.columns(lineage)?, ..selection })
    }
}
