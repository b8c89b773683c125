//! Rewriting data files for all versions at once: compaction, a person's erasure, retention.
//!
//! The order is an ingest's: new files of both tables (durable, but named by nothing), the commit of `quarantine`, then the
//! commit of `cases`, whose record says which files are replaced. That commit is the switch: before it nothing has
//! changed, after it only replaced files are left to be taken out and deleted, which the next change of the lake
//! does too where this one was killed. Dataset versions are not numbered anew: a row says itself which one brought it.

mod cases;
mod compact;
mod quarantine;
mod removal;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::data_file::DataFiles;
use crate::lineage::History;
use crate::record::{
    Act, CommitRecord, FileVersions, NewFile, QuarantineChange, RECORD_KEY, Removed, Rewritten,
};
use crate::schema::{self, Column};
use crate::table::{DataFile, Table, file_prefix};
use crate::{Lake, LakeError, Purpose};

pub use compact::{Compacted, PutTogether};
pub(crate) use quarantine::Going;
pub use quarantine::RefusedRow;
pub use removal::{Erasure, Refused, Removal, Retention};

/// How a rewriting is carried out.
#[derive(Clone, Copy)]
pub struct Rewriting<'a> {
    /// The time to record, given by the caller.
    pub now: OffsetDateTime,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
    /// Is told the rows of `cases` read so far, of about so many in all.
    pub progress: &'a dyn Fn(u64, u64),
}

impl std::fmt::Debug for Rewriting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rewriting").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// The files of `cases` that change places, and what goes with them.
struct Exchange {
    id: Uuid,
    purpose: Purpose,
    purge: bool,
    old: Vec<DataFile>,
    new: Vec<(DataFile, FileVersions)>,
    removed: Vec<Removed>,
    /// New files of `quarantine`, and what they are in place of.
    refused: Vec<DataFile>,
    quarantine: QuarantineChange,
}

impl Lake {
    /// The switch, and the clean-up after it. Of a writer.
    fn exchange(&self, history: &History, exchange: Exchange, now: OffsetDateTime) -> Result<(), LakeError> {
        let Exchange { id, purpose, purge, old, new, removed, refused, quarantine } = exchange;
        if !refused.is_empty() {
            let record = serde_json::json!({ "rewriting": id });
            self.quarantine_table().append(&refused, RECORD_KEY, record)?;
        }
        let same_rows = removed.is_empty();
        let rewritten = Rewritten {
            id,
            created_at: now,
            purpose,
            replaced: old.iter().map(|file| file.name.clone()).collect(),
            files: new
                .iter()
                .map(|(file, versions)| NewFile { name: file.name.clone(), versions: *versions })
                .collect(),
            purge,
            removed,
        };
        let quarantine = (!quarantine.replaced.is_empty()).then_some(quarantine);
        let record = CommitRecord { act: Act::Rewrite(rewritten), strata: history.strata(), quarantine };
        let new: Vec<DataFile> = new.into_iter().map(|(file, _)| file).collect();
        let cases = self.cases();
        cases.replace(&old, &new, same_rows, RECORD_KEY, record.to_json(cases.name)?)?;
        self.sweep(&self.history()?)
    }

    /// A writer of data files that carry the identifier of the change.
    fn write_files(&self, table: &Table, id: Uuid, columns: &[Column]) -> Result<DataFiles, LakeError> {
        DataFiles::start(&table.folder, file_prefix(&id.to_string()), columns, schema::arrow_schema(columns))
    }
}
