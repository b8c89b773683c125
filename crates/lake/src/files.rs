//! Where the rows of a dataset version lie, for engines that read Parquet themselves.

use std::collections::HashSet;

use arrow::datatypes::SchemaRef;
use url::Url;

use crate::schema::{Column, Schema, arrow_schema, case_columns, quarantine_columns};
use crate::table::{DataFile, Table, ingest_of};
use crate::{DatasetVersion, Lake, LakeError};

/// The Parquet files that together hold exactly the rows of one table at a dataset version.
#[derive(Debug, Clone)]
pub struct TableFiles {
    /// The table's columns at that version; a file may lack some, whose values are then null.
    pub schema: SchemaRef,
    pub files: Vec<Url>,
}

impl Lake {
    /// The files of `cases` at a dataset version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn case_files(&self, version: u64) -> Result<TableFiles, LakeError> {
        let versions = self.versions()?;
        let dataset = self.version(version)?;
        let (table, study) = (self.cases(), inputs_up_to(&versions, version));
        let snapshot = table.snapshot(Some(dataset.table_version))?;
        let mut columns = case_columns(&study)?;
        columns.retain(|column| snapshot.columns.contains(&column.name));
        table_files(&table, &columns, &snapshot.files)
    }

    /// The files of `quarantine` of the ingests up to a dataset version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn quarantine_files(&self, version: u64) -> Result<TableFiles, LakeError> {
        self.version(version)?;
        let known: HashSet<String> = self
            .ingests()?
            .into_iter()
            .filter(|ingest| ingest.dataset_version <= version)
            .map(|ingest| ingest.ingest_id.to_string())
            .collect();
        let table = self.quarantine_table();
        let mut files = if table.exists()? { table.snapshot(None)?.files } else { Vec::new() };
        files.retain(|file| ingest_of(&file.name).is_none_or(|ingest| known.contains(ingest)));
        table_files(&table, &quarantine_columns(), &files)
    }
}

/// Every input and the note that a study has had up to `version`, in the order in which they came.
fn inputs_up_to(versions: &[DatasetVersion], version: u64) -> Schema {
    let mut study = Schema { inputs: Vec::new(), note: None };
    for dataset in versions.iter().filter(|dataset| dataset.version <= version) {
        for input in &dataset.ingest.inputs {
            if !study.inputs.contains(input) {
                study.inputs.push(input.clone());
            }
        }
        study.note = dataset.ingest.note.clone().or(study.note);
    }
    study
}

fn table_files(table: &Table, columns: &[Column], files: &[DataFile]) -> Result<TableFiles, LakeError> {
    let urls = files.iter().map(|file| table.folder.file_url(&file.name));
    Ok(TableFiles { schema: arrow_schema(columns), files: urls.collect::<Result<_, _>>()? })
}
