//! The server over real sockets, with a small real predictor and a log in memory.

mod bad_input;
mod batch;
mod contract;
mod house;
mod model;
mod opinions;
mod privacy;
mod records;
mod swap;
mod watch;
