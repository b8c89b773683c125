//! SQL over small lakes, made here, and over the PostgreSQL wire with clients that nobody here wrote.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing test is what it is for")]

mod cohort;
mod masking;
mod psql;
mod session;
mod support;
mod wire;
