//! The program: one binary, one command per verb.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    hoofbeat::run(hoofbeat::cli::Cli::parse())
}
