//! The pipeline, one file per verb, in the order in which data go through it.
//!
//! Each verb is plain: it takes what the verb before it made, calls the crates that know how, and
//! returns a value. Printing is the commands' business.

pub mod asked;
mod claim;
pub mod cohort;
pub mod collect;
pub mod diff;
pub mod diseases;
pub mod engine;
pub mod erase;
pub mod evaluate;
pub mod export;
pub mod imbalance;
pub mod ingest;
pub mod monitor;
pub mod notes;
pub mod notify;
pub mod orphan;
pub mod outcome;
pub mod promote;
pub mod publish;
pub mod reading;
pub mod release;
pub mod reproduce;
pub mod retain;
pub mod retrain;
pub mod review;
pub mod schedule;
pub mod score;
pub mod search;
pub mod shadow;
pub mod sources;
pub mod suggest;
pub mod synth;
pub mod train;
pub mod trials;
pub mod verify;
