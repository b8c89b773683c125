//! The crate against the real libraries: `scripts/fetch-engines` and `scripts/python-peers` must have run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test is what they are for")]

mod bundle;
mod cells;
mod cohort;
mod distributed;
mod fewshot;
mod gan;
mod leak;
mod learners;
mod model;
mod python;
mod revision;
mod search;
mod table;
mod watched;
mod worker;
