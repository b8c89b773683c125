//! Where the rows of a dataset version lie, for engines that read Parquet themselves.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use object_store::ObjectStore;
use url::Url;
use uuid::Uuid;

use crate::quarantine::refused_by;
use crate::schema::{arrow_schema, quarantine_columns};
use crate::table::Table;
use crate::versions::VersionSet;
use crate::{Lake, LakeError};

/// The Parquet files that together hold the rows of one table at a dataset version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFiles {
    /// The table's columns at that version; a file may lack some, whose values are then null.
    pub schema: SchemaRef,
    /// Files all of whose rows belong to the version.
    pub whole: Vec<Url>,
    /// Files that hold other versions' rows too.
    pub mixed: Vec<Url>,
    /// Which rows of `mixed` belong.
    pub belonging: Belonging,
}

/// Which rows of a file belong to a dataset version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// Those whose [`columns::DATASET_VERSION`](crate::columns::DATASET_VERSION) is one of these.
    Versions(VersionSet),
    /// Those whose [`columns::INGEST_ID`](crate::columns::INGEST_ID) is one of these.
    Ingests(Vec<Uuid>),
}

/// A bucket that holds the lake, for engines that read it themselves.
#[derive(Clone)]
pub struct Bucket {
    /// Scheme and bucket; the files' URLs begin with it.
    pub url: Url,
    pub store: Arc<dyn ObjectStore>,
}

impl std::fmt::Debug for Bucket {
    /// Only the URL: a store's own text may hold its credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bucket").field(&self.url.as_str()).finish()
    }
}

impl Lake {
    /// The bucket that the lake lies in; none for a local folder.
    pub fn bucket(&self) -> Option<Bucket> {
        self.storage().bucket()
    }

    /// The files of `cases` at a dataset version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn case_files(&self, version: u64) -> Result<TableFiles, LakeError> {
        let (selection, history) = (self.rows(version)?, self.history()?);
        let columns = history.columns(&history.ancestry(version)?)?;
        let table = self.cases();
        let urls = |whole: bool| {
            let files = selection.files().iter().filter(|file| file.whole == whole);
            files.map(|file| url(&table, file.name())).collect::<Result<_, _>>()
        };
        Ok(TableFiles {
            schema: arrow_schema(&columns),
            whole: urls(true)?,
            mixed: urls(false)?,
            belonging: Belonging::Versions(selection.versions().clone()),
        })
    }

    /// The files of `quarantine` with the refused rows that belong to a dataset version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub fn refused_files(&self, version: u64) -> Result<TableFiles, LakeError> {
        let history = self.history()?;
        let mut ingests: Vec<Uuid> = refused_by(&history, &history.ancestry(version)?).into_iter().collect();
        ingests.sort();
        let (table, files) = (self.quarantine_table(), self.quarantine_files(&history)?);
        Ok(TableFiles {
            schema: arrow_schema(&quarantine_columns()),
            whole: Vec::new(),
            mixed: files.iter().map(|file| url(&table, &file.name)).collect::<Result<_, _>>()?,
            belonging: Belonging::Ingests(ingests),
        })
    }
}

fn url(table: &Table, name: &str) -> Result<Url, LakeError> {
    table.folder.url(name)
}
