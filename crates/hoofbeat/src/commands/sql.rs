//! `hoofbeat sql`: one read-only statement over a dataset version.

use std::fs::File;
use std::io::{BufWriter, Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use query::{Format, Identifiers, Session, Shown};

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output::Done;
use crate::pipeline::engine;

#[derive(Debug, Args)]
pub struct Sql {
    /// The statement, e.g. "SELECT severity, count(*) FROM cases GROUP BY severity"; `-`: on standard input
    pub statement: String,
    /// Dataset version (default: the newest)
    #[arg(long, value_name = "V")]
    pub dataset_version: Option<u64>,
    /// Form of the answer (default: by the ending of --out, else a table)
    #[arg(long, value_enum)]
    pub format: Option<SqlFormat>,
    /// File to write (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Show identifiers, notes and refused rows as they are: patient data
    #[arg(long)]
    pub identifiers: bool,
    /// Rows of a table at most; 0: all. Other forms always have all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_rows: usize,
    /// Seconds after which the query is stopped (default: never)
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Memory in MiB; what does not fit is written to disk (default: the configuration's)
    #[arg(long, value_name = "MIB")]
    pub memory: Option<usize>,
}

/// Forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SqlFormat {
    Table,
    Csv,
    Ndjson,
    Parquet,
    Json,
}

pub(super) fn run(global: &Global, command: &Sql) -> Result<Done> {
    let format = format(global, command)?;
    let statement = statement(&command.statement)?;
    let deployment = Deployment::open(global)?;
    let dataset = engine::dataset(&deployment, deployment.dataset_version(command.dataset_version)?)?;
    let identifiers = match command.identifiers {
        true => Identifiers::Shown,
        false => Identifiers::Masked(deployment.pseudonyms()?),
    };
    let mut limits = deployment.config.sql.limits(&deployment);
    limits.time = command.timeout.map(Duration::from_secs);
    limits.memory_mib = command.memory.unwrap_or(limits.memory_mib).max(1);
    let answer = async {
        let session = Session::open(&dataset, &identifiers, &limits).await?;
        let rows = session.query(&statement).await?;
        match &command.out {
            Some(path) => to_file(path, rows, format).await,
            None => {
                let mut out = BufWriter::new(stdout());
                let shown = query::write(rows, format, &mut out).await?;
                out.flush()?;
                Ok(shown)
            }
        }
    };
    let shown = engine::block_on(async {
        tokio::select! {
            shown = answer => shown,
            _ = tokio::signal::ctrl_c() => bail!("stopped"),
        }
    })?;
    if shown.more {
        deployment.progress.say(&format!(
            "there are more than these {} rows: --max-rows 0 shows all, --out FILE keeps them",
            shown.rows
        ));
    }
    Ok(Done::Well)
}

fn format(global: &Global, command: &Sql) -> Result<Format> {
    let table = Format::Table { rows: command.max_rows };
    let format = match (command.format, &command.out) {
        (Some(SqlFormat::Table), _) => table,
        (Some(SqlFormat::Csv), _) => Format::Csv,
        (Some(SqlFormat::Ndjson), _) => Format::Ndjson,
        (Some(SqlFormat::Parquet), _) => Format::Parquet,
        (Some(SqlFormat::Json), _) => Format::Json,
        (None, Some(path)) => path.display().to_string().parse()?,
        (None, None) if global.json => Format::Json,
        (None, None) => table,
    };
    if format == Format::Parquet && command.out.is_none() {
        bail!("Parquet is not for a terminal: give the file with --out FILE");
    }
    Ok(format)
}

fn statement(given: &str) -> Result<String> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}

/// Writes beside the file and renames at the end, so that a query that fails leaves nothing half made.
async fn to_file(path: &Path, rows: query::Rows, format: Format) -> Result<Shown> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let write = async {
        let file = File::create(&part).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut out = BufWriter::new(file);
        let shown = query::write(rows, format, &mut out).await?;
        out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        std::fs::rename(&part, path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(shown)
    };
    let written = write.await;
    if written.is_err() {
        // It may not even have been made.
        let _ = std::fs::remove_file(&part);
    }
    written
}
