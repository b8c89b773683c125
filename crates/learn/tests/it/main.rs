//! The crate against the real library: `scripts/fetch-engines` must have run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test is what they are for")]

mod bundle;
mod cells;
mod fewshot;
mod gan;
mod model;
mod table;
mod worker;
