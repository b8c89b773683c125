//! Sockets in, answers out: REST, the page, and the clinical interfaces.
//!
//! Invariant: the server knows no lake and no learner; what it needs from them are the [`ports`].
//! Every feature, range, code and label that it shows is read from the study of the model that answers.
//!
//! The way of a request: [`serve`] accepts and bounds connections, the edge refuses what no handler
//! should see (foreign hosts, cross-site writes, what takes too long) and counts it, a handler answers
//! or returns a fault, and the edge puts the fault into words in the language of the request.

mod app;
mod assets;
mod body;
pub mod card;
mod edge;
mod fault;
mod health;
mod language;
mod metrics;
mod openapi;
mod origin;
mod phrases;
pub mod ports;
mod record;
mod rest;
mod routes;
mod server;
mod watched;
mod web;
mod written;

pub use app::{Clock, Settings, State, Version};
pub use phrases::Phrases;
pub use record::{NoRecord, Record};
pub use server::serve;
