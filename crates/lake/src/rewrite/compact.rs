//! Few large files instead of many small ones.

use uuid::Uuid;

use super::cases::CaseWriter;
use super::{Exchange, Going, Rewriting};
use crate::data_file::FILE_ROWS;
use crate::lineage::History;
use crate::record::FileVersions;
use crate::schema::quarantine_columns;
use crate::table::DataFile;
use crate::{Lake, LakeError, Purpose, scan};

/// A file with fewer rows is put together with others.
const SMALL: u64 = FILE_ROWS / 2;

/// The same of `quarantine`, whose rows are longer.
const SMALL_REFUSED: u64 = 1 << 18;

/// Files of a table that were, or would be, put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PutTogether {
    /// Files of the table before and after (in a dry run, the most that there would be).
    pub files_before: u64,
    pub files_after: u64,
    /// Files put together, and the rows in them.
    pub files_rewritten: u64,
    pub rows_rewritten: u64,
}

impl PutTogether {
    /// `chosen` of `before` files are put together.
    pub(crate) fn of(before: usize, chosen: &[DataFile]) -> PutTogether {
        let rows_rewritten: u64 = chosen.iter().map(|file| file.rows).sum();
        let kept = (before - chosen.len()) as u64;
        PutTogether {
            files_before: before as u64,
            files_after: kept + rows_rewritten.div_ceil(FILE_ROWS),
            files_rewritten: chosen.len() as u64,
            rows_rewritten,
        }
    }
}

/// What a compaction did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Of `cases`.
    #[serde(flatten)]
    pub cases: PutTogether,
    pub quarantine: PutTogether,
    pub predictions: PutTogether,
    pub outcomes: PutTogether,
    /// Replaced files of `cases` deleted from the disk, and the bytes in them.
    pub deleted: u64,
    pub deleted_bytes: u64,
    pub dry_run: bool,
}

impl Lake {
    /// Puts small files together: of `cases` rows of the newest version's lineage before those that were left by going back,
    /// each in the order of the versions that brought them, so that every dataset version keeps its rows; of the other
    /// tables in the order of time. `vacuum` also deletes replaced files, these and earlier ones; other readers then cannot go
    /// back in the tables' own history.
    ///
    /// # Errors
    /// [`LakeError::Busy`] and the like. On any error every version is as it was.
    pub fn compact(&self, vacuum: bool, how: &Rewriting<'_>) -> Result<Compacted, LakeError> {
        let [predictions, outcomes] = self.compact_served(vacuum, how)?;
        let mut done = Compacted { predictions, outcomes, dry_run: how.dry_run, ..Compacted::default() };
        if self.cases().exists()? {
            self.writer()?.compact_cases(vacuum, how, &mut done)?;
        }
        Ok(done)
    }

    /// Of a writer.
    fn compact_cases(
        &self,
        vacuum: bool,
        how: &Rewriting<'_>,
        done: &mut Compacted,
    ) -> Result<(), LakeError> {
        let (table, history) = (self.cases(), self.history()?);
        if !how.dry_run {
            self.sweep(&history)?;
        }
        let files = table.snapshot(None)?.files;
        let chosen = choose(&files, &history);
        let chosen_files: Vec<DataFile> = chosen.iter().map(|(file, _)| file.clone()).collect();
        done.cases = PutTogether::of(files.len(), &chosen_files);
        let refused = self.quarantine_files(&history)?;
        let going = choose_refused(&refused);
        done.quarantine = PutTogether::of(refused.len(), &going.files);
        let mut replaced = history.replaced_cases();
        replaced.extend(chosen_files.into_iter().map(|file| file.name));
        if vacuum {
            let sizes = replaced.iter().filter_map(|name| table.folder.size(name).transpose());
            let sizes = sizes.collect::<Result<Vec<u64>, LakeError>>()?;
            (done.deleted, done.deleted_bytes) = (sizes.len() as u64, sizes.iter().sum());
        }
        if how.dry_run {
            return Ok(());
        }
        if !chosen.is_empty() || !going.files.is_empty() {
            let (cases, quarantine) = self.put_together(&history, chosen, &going, vacuum, how)?;
            done.cases.files_after = done.cases.files_before - done.cases.files_rewritten + cases;
            done.quarantine.files_after =
                done.quarantine.files_before - done.quarantine.files_rewritten + quarantine;
        }
        if vacuum {
            table.delete(replaced.iter().map(String::as_str))?;
        }
        Ok(())
    }

    /// Answers the numbers of new files of `cases` and `quarantine`.
    fn put_together(
        &self,
        history: &History,
        chosen: Vec<(DataFile, FileVersions)>,
        going: &Going,
        purge: bool,
        how: &Rewriting<'_>,
    ) -> Result<(u64, u64), LakeError> {
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
        let mut refused = self.write_files(&self.quarantine_table(), id, &quarantine_columns())?;
        self.write_staying(going, &mut refused)?;
        let refused = refused.finish()?;
        let files = (new.len() as u64, refused.len() as u64);
        let exchange = Exchange {
            id,
            purpose: Purpose::Compact,
            purge,
            old: chosen.into_iter().map(|(file, _)| file).collect(),
            new,
            removed: Vec::new(),
            refused,
            quarantine: going.change(),
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

/// The files of `quarantine` to put together; no row of them goes.
fn choose_refused(files: &[DataFile]) -> Going {
    let small: Vec<DataFile> = files.iter().filter(|file| file.rows < SMALL_REFUSED).cloned().collect();
    if small.len() < 2 { Going::default() } else { Going::all_stay(small) }
}
