//! The system of record: training runs, model versions and their stages, evaluations, openings of the
//! test set, feedback, reviews, outcomes, sources of data, change records, jobs and leases, monitoring and its alerts, and a
//! hash-chained audit of every decision.
//!
//! One SQLite file (`registry.db`) in the data directory, shared by the processes of one machine, or a PostgreSQL database
//! that replicas share: any number of readers and one writer at a time, each in its turn. Every call blocks and is
//! durable when it returns. The outcome of a write that ended in an error or a killed process is unknown to its caller,
//! so every write may be repeated: with the same key, or the same content, it answers what the first one answered and
//! changes nothing.
//!
//! Nothing here reads a clock (but the database's own, by which leases end) or draws an identifier of a case: time, actor
//! and keys are passed in. No signature shows SQL.

mod act;
mod alerts;
mod audit;
mod champion;
mod changes;
mod check;
mod conclusion;
mod deliveries;
mod erasure;
mod error;
mod evaluations;
mod feedback;
mod jobs;
mod lease;
mod marks;
mod models;
mod monitoring;
mod outcomes;
mod reviews;
mod runs;
mod schema;
mod sources;
mod sql;
mod store;
mod suggestions;
mod trials;
mod turn;

pub use act::Act;
pub use alerts::{Alert, AlertChanges, AlertState, Finding as AlertFinding};
pub use audit::{AuditEntry, AuditHead, ChainState};
pub use champion::{Champion, Promotion, Reign, ReignKind, Replaces};
pub use changes::{Cause, Change, ChangeKind, Decision};
pub use check::{Finding, Level};
pub use conclusion::{Conclusion, Made};
pub use deliveries::{Delivery, Event};
pub use erasure::ErasedOpinions;
pub use error::{Error, Result};
pub use evaluations::{Evaluation, TestOpening};
pub use feedback::{Feedback, NewFeedback, Verdict};
pub use jobs::{Attempt, Job, JobState, NewJob};
pub use lease::Lease;
pub use marks::{FLOOD, Marks};
pub use models::{Model, ModelVersion, NewModel, Stage};
pub use monitoring::MonitoringRun;
pub use outcomes::{ConfirmedOutcome, NewOutcome, Recorded};
pub use reviews::{Finding as ReviewFinding, Outcome, Resolution, Review, ReviewState};
pub use runs::{NewRun, Run, RunState};
pub use sources::{NewSource, Source, SourceKind};
pub use sql::{ServerCheck, Transport};
pub use store::Registry;
pub use suggestions::{Choice, NewSuggestion, Suggested};
pub use trials::{NewTrial, Trial, TrialState};
