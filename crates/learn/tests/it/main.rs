//! The crate against the real library: `scripts/fetch-engines` must have run.

mod cells;
mod worker;
