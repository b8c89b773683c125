//! Few large files instead of many small ones.

use uuid::Uuid;

use super::cases::CaseWriter;
use super::{Exchange, Rewriting};
use crate::data_file::FILE_ROWS;
use crate::lineage::History;
use crate::record::{FileVersions, QuarantineChange};
use crate::table::DataFile;
use crate::{Lake, LakeError, Purpose, scan};

/// A file with fewer rows is put together with others.
const SMALL: u64 = FILE_ROWS / 2;

/// What a compaction did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Files of `cases` before and after (in a dry run, the most that there would be).
    pub files_before: u64,
    pub files_after: u64,
    /// Files put together, and the rows in them.
    pub files_rewritten: u64,
    pub rows_rewritten: u64,
    /// Replaced files deleted from the disk, and the bytes in them.
    pub deleted: u64,
    pub deleted_bytes: u64,
    pub dry_run: bool,
}

impl Lake {
    /// Puts small files of `cases` together, rows of the newest version's lineage before those that were left by going
    /// back, each in the order of the versions that brought them. Every dataset version keeps its rows. `vacuum` also
    /// deletes replaced files, these and earlier ones; other readers then cannot go back in the table's own history.
    ///
    /// # Errors
    /// [`LakeError::Busy`] and the like. On any error every version is as it was.
    pub fn compact(&self, vacuum: bool, how: &Rewriting<'_>) -> Result<Compacted, LakeError> {
        if !self.cases().exists()? {
            return Ok(Compacted { dry_run: how.dry_run, ..Compacted::default() });
        }
        let lake = self.writer()?;
        let (table, history) = (lake.cases(), lake.history()?);
        if !how.dry_run {
            lake.sweep(&history)?;
        }
        let files = table.snapshot(None)?.files;
        let chosen = choose(&files, &history);
        let mut done = Compacted {
            files_before: files.len() as u64,
            files_after: files.len() as u64,
            files_rewritten: chosen.len() as u64,
            rows_rewritten: chosen.iter().map(|(file, _)| file.rows).sum(),
            dry_run: how.dry_run,
            ..Compacted::default()
        };
        if !chosen.is_empty() {
            let kept = done.files_before - done.files_rewritten;
            done.files_after = kept + done.rows_rewritten.div_ceil(FILE_ROWS);
        }
        let mut replaced = history.replaced_cases();
        replaced.extend(chosen.iter().map(|(file, _)| file.name.clone()));
        if vacuum {
            let sizes = replaced.iter().filter_map(|name| table.folder.size(name).transpose());
            let sizes = sizes.collect::<Result<Vec<u64>, LakeError>>()?;
            (done.deleted, done.deleted_bytes) = (sizes.len() as u64, sizes.iter().sum());
        }
        if how.dry_run {
            return Ok(done);
        }
        if !chosen.is_empty() {
            let new = lake.put_together(&history, chosen, vacuum, how)?;
            done.files_after = done.files_before - done.files_rewritten + new;
        }
        if vacuum {
            table.delete(replaced.iter().map(String::as_str))?;
        }
        Ok(done)
    }

    /// Answers the number of new files.
    fn put_together(
        &self,
        history: &History,
        chosen: Vec<(DataFile, FileVersions)>,
        purge: bool,
        how: &Rewriting<'_>,
    ) -> Result<u64, LakeError> {
        let (id, table) = (Uuid::now_v7(), self.cases());
        let mut writer = CaseWriter::start(self, history, id)?;
        let names = writer.columns();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut read, all) = (0, chosen.iter().map(|(file, _)| file.rows).sum());
        for (file, versions) in &chosen {
            for batch in scan::batches(&table, std::slice::from_ref(file), &names)? {
                let batch = batch?;
                writer.write(&batch, *versions, None)?;
                read += batch.num_rows() as u64;
                (how.progress)(read, all);
            }
        }
        let new = writer.finish()?;
        let files = new.len() as u64;
        let exchange = Exchange {
            id,
            purpose: Purpose::Compact,
            purge,
            old: chosen.into_iter().map(|(file, _)| file).collect(),
            new,
            removed: Vec::new(),
            refused: Vec::new(),
            quarantine: QuarantineChange::default(),
        };
        self.exchange(history, exchange, how.now)?;
        Ok(files)
    }
}

/// The files to put together, in the order in which their rows are written; none where that would change nothing.
fn choose(files: &[DataFile], history: &History) -> Vec<(DataFile, FileVersions)> {
    let head = history.head_ancestry();
    let old = history.files_without_version();
    // Another writer's file is left alone.
    let known = files.iter().filter_map(|file| Some((file, history.versions_of_file(&file.name)?)));
    let mut chosen: Vec<_> =
        known.filter(|(file, _)| file.rows < SMALL || old(&file.name)).map(|(f, v)| (f.clone(), v)).collect();
    let must = chosen.iter().any(|(file, _)| old(&file.name));
    if chosen.len() < 2 && !must {
        return Vec::new();
    }
    chosen.sort_by_key(|(file, versions)| {
        (!head.meets(versions.first, versions.last), versions.first, file.name.clone())
    });
    chosen
}
