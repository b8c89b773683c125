//! The crate against real files, real processes and `kill -9`.

mod cohort;
mod foreign;
mod ingest;
mod kill;
mod predictions;
mod support;
