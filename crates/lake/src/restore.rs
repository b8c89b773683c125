//! Going back to an older dataset version.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::record::{Act, CommitRecord, DatasetVersion, RECORD_KEY, Restored};
use crate::{Lake, LakeError};

impl Lake {
    /// Makes the rows of `version` the newest dataset version again, under a new number: later ingests build on it. What came
    /// in between stays readable under its own numbers. Where the newest version has these very rows, it is answered
    /// and nothing is written.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`]; [`LakeError::Busy`].
    pub fn restore(&self, version: u64, now: OffsetDateTime) -> Result<DatasetVersion, LakeError> {
        self.version(version)?;
        let lake = self.writer()?;
        let history = lake.history()?;
        lake.sweep(&history)?;
        let head = history.head();
        if head == version || lake.version(head)?.restored == Some(version) {
            return lake.version(head);
        }
        let restored =
            Restored { id: Uuid::now_v7(), dataset_version: head + 1, parent: version, created_at: now };
        let (act, strata) = (Act::Restore(restored), history.strata_of(version));
        let (cases, record) = (lake.cases(), CommitRecord { act, strata, quarantine: None });
        cases.append(&[], RECORD_KEY, record.to_json(cases.name)?)?;
        lake.version(head + 1)
    }
}
