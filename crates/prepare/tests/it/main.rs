//! The crate from outside.

#![expect(clippy::unwrap_used, reason = "a failing test is what it is for")]

mod smote_nc;
