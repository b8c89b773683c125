//! Few large files instead of many small ones.

use super::{Served, Spare, Writer, Writing};
use crate::data_file::FILE_ROWS;
use crate::rewrite::{PutTogether, Rewriting};
use crate::table::{DataFile, Exchanged};
use crate::{Lake, LakeError};

/// A file with fewer rows is put together with others.
const SMALL: u64 = FILE_ROWS / 2;
/// From so many files of about the same size on, a publication puts them together.
const MANY: usize = 24;

impl Lake {
    /// Puts small files of `predictions` and `outcomes` together, in that order. `vacuum` also deletes all files that are no
    /// longer part of the tables.
    pub(crate) fn compact_served(
        &self,
        vacuum: bool,
        how: &Rewriting<'_>,
    ) -> Result<[PutTogether; 2], LakeError> {
        let writer = self.served_writer()?;
        let mut done = [PutTogether::default(); 2];
        for (done, what) in done.iter_mut().zip(Served::ALL) {
            if !self.served_table(what).exists()? {
                continue;
            }
            let writing = writer.table(what)?;
            let files = writing.files()?;
            let mut chosen: Vec<DataFile> = files.iter().filter(|file| file.rows < SMALL).cloned().collect();
            if chosen.len() < 2 {
                chosen.clear();
            }
            *done = PutTogether::of(files.len(), &chosen);
            if how.dry_run {
                continue;
            }
            writer.sweep(&writing, if vacuum { Spare::None } else { Spare::Replaced })?;
            if !chosen.is_empty() {
                let new = writer.put_together(&writing, &chosen)?;
                done.files_after = done.files_before - done.files_rewritten + new;
            }
            if vacuum {
                writer.sweep(&writing, Spare::None)?;
            }
        }
        Ok(done)
    }
}

impl Writer {
    /// Keeps the number of files small, whatever the pace of publications; a row is rewritten about as often as the table
    /// doubles [`MANY`]-fold.
    pub(super) fn put_together_if_many(&self, writing: &Writing) -> Result<(), LakeError> {
        let chosen = alike(writing.files()?);
        if chosen.len() >= MANY {
            self.put_together(writing, &chosen)?;
        }
        Ok(())
    }

    /// Answers the number of new files.
    fn put_together(&self, writing: &Writing, chosen: &[DataFile]) -> Result<u64, LakeError> {
        let columns = writing.columns()?;
        let mut out = writing.write_files(&columns)?;
        writing.copy(chosen, &columns, &|_| Ok(None), &mut out)?;
        let files = out.finish()?;
        writing.table.exchange(chosen, &files, Exchanged::Same)?;
        Ok(files.len() as u64)
    }
}

/// The small files, and those that are not much larger than all smaller ones together, in the order of their names: that of
/// time.
fn alike(mut files: Vec<DataFile>) -> Vec<DataFile> {
    files.sort_by_key(|file| file.rows);
    let mut sum = 0;
    let fits = |file: &DataFile| {
        let fits = file.rows < SMALL && file.rows <= 2 * sum.max(1024);
        sum += file.rows;
        fits
    };
    let mut chosen: Vec<DataFile> = files.into_iter().take_while(fits).collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: u64, rows: u64) -> DataFile {
        DataFile { name: format!("{name:03}"), bytes: 0, rows }
    }

    #[test]
    fn large_files_wait_until_the_small_ones_have_grown() {
        let mut files: Vec<DataFile> = (0..24).map(|n| file(n, 300)).collect();
        files.push(file(24, 9_000));
        files.push(file(25, 100_000));
        files.push(file(26, FILE_ROWS));
        let chosen = alike(files);
        assert_eq!(chosen.len(), 25);
        assert_eq!(chosen.last().map(|file| file.rows), Some(9_000));
    }
}
