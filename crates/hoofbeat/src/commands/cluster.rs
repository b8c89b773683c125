//! `hoofbeat cluster`: the processes that count together when one machine is outgrown.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use query::cluster;

use crate::cli::Global;
use crate::config::Config;
use crate::output::Done;
use crate::pipeline::engine;
use crate::progress::Progress;

#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// The process that plans and hands out tasks
    Scheduler(Scheduler),
    /// A process that works: it reads the same files under the same path
    Executor(Executor),
}

#[derive(Debug, Args)]
pub struct Scheduler {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50050")]
    pub listen: SocketAddr,
}

#[derive(Debug, Args)]
pub struct Executor {
    /// The scheduler, HOST:PORT (default: the configuration's)
    #[arg(long, value_name = "HOST:PORT")]
    pub scheduler: Option<String>,
    /// Address under which the others reach this process; port 0: a free one
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    pub listen: SocketAddr,
    /// Tasks at once (default: all cores)
    #[arg(long, value_name = "N")]
    pub cores: Option<usize>,
    /// Memory of its tasks together, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: usize,
    /// Folder for what tasks hand to each other (default: one of its own, removed at the end)
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
}

pub(super) fn run(global: &Global, command: Cluster) -> Result<Done> {
    let config = Config::load(global)?;
    let progress = Progress::new(global.quiet);
    match command {
        Cluster::Scheduler(command) => scheduler(&config, &progress, &command),
        Cluster::Executor(command) => executor(&config, &progress, &command),
    }
}

fn check_address(config: &Config, address: SocketAddr) -> Result<()> {
    if !address.ip().is_loopback() && !config.engine.trusted_network {
        bail!(
            "{address} can be reached from other machines, and a cluster knows no passwords: let it use a network that nobody \
             else reaches and set `trusted_network = true` under [engine] in hoofbeat.toml, or listen on 127.0.0.1"
        );
    }
    Ok(())
}

fn scheduler(config: &Config, progress: &Progress, command: &Scheduler) -> Result<Done> {
    check_address(config, command.listen)?;
    engine::block_on(async {
        let listener = tokio::net::TcpListener::bind(command.listen)
            .await
            .with_context(|| format!("{} cannot be listened on (in use?)", command.listen))?;
        let address = listener.local_addr()?;
        progress.say(&format!("the scheduler is ready at {address}"));
        let host = address.ip().to_string();
        tokio::select! {
            done = cluster::scheduler(listener, &host) => done?,
            stopped = stopped() => stopped?,
        }
        Ok(())
    })?;
    Ok(Done::Well)
}

/// Resolves when the process is asked to stop.
async fn stopped() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

fn executor(config: &Config, progress: &Progress, command: &Executor) -> Result<Done> {
    check_address(config, command.listen)?;
    let scheduler = command.scheduler.as_ref().unwrap_or(&config.engine.scheduler);
    let listen = with_port(command.listen)?;
    let own = std::env::temp_dir().join(format!("hoofbeat-executor-{}", std::process::id()));
    let executor = cluster::Executor {
        scheduler: host_and_port(scheduler)?,
        listen,
        cores: command.cores.unwrap_or_else(|| config.threads()),
        memory_mib: command.memory,
        work: command.work_dir.clone().unwrap_or_else(|| own.clone()),
    };
    std::fs::create_dir_all(&executor.work)
        .with_context(|| format!("{} cannot be made", executor.work.display()))?;
    let ready =
        || progress.say(&format!("the executor at {listen} is ready for the scheduler at {scheduler}"));
    let done = engine::block_on(async { Ok(cluster::executor(&executor, ready).await?) });
    if command.work_dir.is_none() {
        // Temporary data of finished queries: whatever stays is the system's to clean.
        let _ = std::fs::remove_dir_all(&own);
    }
    done?;
    Ok(Done::Well)
}

fn host_and_port(address: &str) -> Result<(String, u16)> {
    let parsed =
        address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parsed.with_context(|| format!("`{address}` is not the address of a scheduler: HOST:PORT"))
}

/// An address whose port is chosen now, so that it can be told to the others.
fn with_port(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.port() > 0 {
        return Ok(listen);
    }
    let free = TcpListener::bind(listen).context("there is no free port")?;
    Ok(free.local_addr()?)
}
