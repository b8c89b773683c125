//! The crate against real files, real processes and `kill -9`.
#![expect(clippy::unwrap_used, reason = "a failing test is what it is for")]

mod cohort;
mod cohort_cache;
mod faults;
mod foreign;
mod ingest;
mod kill;
mod kill_rewrite;
mod lineage;
mod model;
mod old;
mod predictions;
mod publication;
mod rewrite;
mod s3_server;
mod support;
mod values;
