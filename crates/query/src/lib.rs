//! SQL over the lake: for people, over the PostgreSQL wire, and on several machines.
//!
//! - [`Session`] answers read-only SQL over one dataset version, in bounded memory. Who may not see identifiers gets
//!   pseudonyms or nulls from the tables themselves ([`Identifiers`]), so that no form of a query reaches the values.
//! - [`wire`] serves the same tables to PostgreSQL clients.
//! - [`cluster`] counts a dataset version with several processes ([Ballista](https://datafusion.apache.org/ballista/));
//!   what comes back is the [`lake::Cohort`] that one machine counts, number by number.
//!
//! No statement and no value of a row is ever logged here.

pub mod cluster;
mod cohort;
mod dataset;
mod engine;
mod error;
mod export;
mod identifiers;
mod profile;
mod session;
mod statement;
mod table;
pub mod wire;

pub use cohort::CohortPlan;
pub use dataset::{Dataset, Input};
pub use engine::Engine;
pub use error::QueryError;
pub use export::{Format, Shown, write};
pub use identifiers::{Identifiers, Pseudonyms};
pub use profile::{ColumnProfile, HistogramBar, Profile};
pub use session::{Limits, Rows, Session};
