//! Sockets in, answers out: REST, the page, and the clinical interfaces.
//!
//! Invariant: the server knows no lake and no learner; what it needs from them are the [`ports`].

pub mod ports;
