//! The binary's rooms: the command line, the configuration, one opened deployment, the pipeline and the
//! commands. `pipeline/` tells the story, one file per verb; `commands/` only parse and print.

pub mod calendar;
pub mod cli;
pub mod clock;
mod commands;
pub mod config;
pub mod deployment;
mod keeper;
mod output;
pub mod pipeline;
mod progress;
pub mod serving;
pub mod simulate;

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Global};
use crate::config::{Config, LogFormat};
use crate::output::Done;

/// Runs one command. Exit status: 0 done; 1 it failed, with one line why; 2 wrong usage; 3 done, but what
/// the command checks does not hold.
pub fn run(cli: Cli) -> ExitCode {
    start_log(&cli.global);
    match commands::run(&cli.global, cli.command) {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::NotHeld) => ExitCode::from(3),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: the chain of causes, outermost first.
            let _ = writeln!(stderr(), "hoofbeat: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

/// `hoofbeat dataset list | head` ends early on purpose.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Crates whose log is ours; everything else speaks from `warn` on.
const OURS: [&str; 10] =
    ["hoofbeat", "serve", "learn", "lake", "query", "registry", "interop", "prepare", "evaluate", "clinical"];
/// Reports every table that does not exist yet as an error, although asking is how one finds out.
const SILENT: &str = "buoyant_kernel=off,buoyant_kernel_engine=off";

/// Crates that log the statements of those who ask in SQL, and a statement may name a patient: not even where everything
/// else is logged.
const QUOTING: [&str; 4] = ["datafusion=off", "sqlparser=off", "pgwire=off", "arrow_pg=off"];

/// Logs go to standard error. `RUST_LOG` wins over the configuration; a broken configuration is the
/// command's error to report, not the log's.
fn start_log(global: &Global) {
    let log = Config::load(global).unwrap_or_default().log;
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(directives(&log.level)));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(directives("info")));
    let filter =
        QUOTING.iter().filter_map(|directive| directive.parse().ok()).fold(filter, EnvFilter::add_directive);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        // The work goes on when nobody reads the log any more.
        .log_internal_errors(false);
    // A second start (tests in one process) keeps the first log.
    let _ = match log.format {
        LogFormat::Json => subscriber.json().try_init(),
        LogFormat::Text => subscriber.with_target(false).try_init(),
    };
}

/// A bare level is about our own crates; a filter with `=` is taken as it is.
fn directives(level: &str) -> String {
    if level.contains('=') {
        return level.to_owned();
    }
    let ours: Vec<String> = OURS.iter().map(|name| format!("{name}={level}")).collect();
    format!("warn,{},{SILENT}", ours.join(","))
}
