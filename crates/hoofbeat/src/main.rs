//! The program: one binary, one command per verb.

use std::process::ExitCode;

use clap::Parser;

/// An answer makes many small allocations: with this allocator the server spends a twentieth less processor time on each than
/// with the C library's (`bench/run serving`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hoofbeat::run(hoofbeat::cli::Cli::parse())
}
