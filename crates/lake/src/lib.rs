//! Versioned append-only tables and the prediction log.
//!
//! A [`Lake`] keeps open tables (Delta Lake protocol, Parquet files) under `<data-dir>/lake/`: `cases`, the
//! accepted rows, and `quarantine`, the refused ones; `predictions`, what was answered, and `outcomes`, what became of it. A *dataset version* is a commit of `cases` that added
//! rows, or that went back to an older version; versions are numbered 1, 2, 3 ... and form a tree ([`DatasetVersion::parent`]).
//! They never change, but for rows that must go: a person's erasure, retention. Any Delta reader can open the tables.
//!
//! - [`Ingest`] appends: idempotent by case identifier, in bounded memory, visible by one atomic commit.
//! - [`Lake::cohort`] is the one query that must scale: possible patients, counted by split slot and outcome.
//! - [`Lake::publish_predictions`] and [`Lake::publish_outcomes`] copy what was acknowledged elsewhere, each row once.
//! - [`predictions`] is the log in which every answer is durable before it is given.
//!
//! Every function here is synchronous and may be called from anywhere; the few asynchronous calls of the
//! table library run on a thread of their own. Inside an async task, use `spawn_blocking`: they touch the disk.
//!
//! Patient data lie in the tables and in [`QuarantinedRow::raw`] only; no error and no log line of this crate holds any.

mod case;
mod check;
mod cohort;
mod data_file;
mod difference;
mod error;
mod files;
mod index;
mod ingest;
mod lineage;
mod lock;
mod open;
mod outcome;
pub mod predictions;
mod quarantine;
mod record;
mod restore;
mod rewrite;
mod scan;
mod schema;
mod selection;
mod served;
mod slots;
pub mod storage;
mod table;
mod values;
mod versions;

pub use case::{CaseRow, Outcome, QuarantineRow, Reason};
pub use check::{LakeCheck, Leftover};
pub use cohort::{
    CellMap, Cohort, CohortCache, CohortCount, CohortQuery, EACH_SLOT, Margin, MarginCounts, NO_CELL, NO_SLOT,
};
pub use difference::{Change, Difference, OutcomeChange};
pub use error::LakeError;
pub use files::{Belonging, Bucket, TableFiles};
pub use ingest::{Ingest, IngestMeta, IngestReport, Pushed};
pub use open::Lake;
pub use quarantine::{QuarantineFilter, QuarantinedRow};
pub use record::{
    DatasetVersion, IngestRecord, IngestedFile, OutcomeCount, Purpose, Removed, RemovedRefused, Totals,
};
pub use rewrite::{Compacted, Erasure, PutTogether, Refused, RefusedRow, Removal, Retention, Rewriting};
pub use scan::{CaseChunk, CaseScan};
pub use schema::{Schema, columns};
pub use selection::{SelectedFile, Selection};
pub use served::{
    OutcomePublication, OutcomeRow, PredictionLayout, PredictionPublication, PredictionRow, Published,
    Served, ServedRemoval,
};
pub use slots::{SLOTS, SlotRule};
pub use storage::{Storage, StorageOptions};
pub use values::{ValueColumn, ValueCounts};
pub use versions::VersionSet;
