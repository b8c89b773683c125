//! The server over real sockets, with a small real predictor and a log in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing test is what it is for")]

mod bad_input;
mod batch;
mod contract;
mod house;
mod model;
mod monitoring;
mod opinions;
mod pages;
mod privacy;
mod records;
mod reviews;
mod swap;
mod watch;
