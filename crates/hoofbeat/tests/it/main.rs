//! The program from outside: the real binary, run as a user runs it. Nothing here knows a Rust type of the product.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing test is what it is for")]

mod abstain;
mod architecture;
#[path = "../../../registry/tests/it/certificates.rs"]
mod certificates;
mod cluster;
mod cycle;
mod dataset;
mod doctor;
mod finite;
mod harness;
mod imbalance;
mod kill;
mod laboratory;
mod learners;
mod line;
mod malformed;
mod monitor;
mod nhanes;
mod notes;
mod orphan;
mod page;
#[path = "../../../registry/tests/it/postgres_server.rs"]
#[expect(dead_code, reason = "the registry's tests need more of it")]
mod postgres_server;
mod privacy;
mod publication;
mod replicas;
mod rest;
#[path = "../../../lake/tests/it/s3_server.rs"]
mod s3_server;
mod search;
mod simulate;
mod sources;
mod sql;
mod storage;
mod swap;
mod up;
mod usage;
