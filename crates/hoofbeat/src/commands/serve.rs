//! `hoofbeat serve`: the server alone.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use lake::predictions::PredictionLog;
use serve::{Settings, State, Version};
use tokio::net::TcpListener;

use crate::cli::{Global, Serve};
use crate::deployment::Deployment;
use crate::keeper::Keeper;
use crate::output::Done;
use crate::pipeline::notify;
use crate::serving::{Datasets, Log, Served, Throne, Turning, sql};

pub(super) fn run(global: &Global, command: &Serve) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let address = command.listen.unwrap_or(deployment.config.server.listen);
    let sql = command.sql_listen.or(deployment.config.sql.listen);
    serve(global, deployment, address, sql)
}

/// Without user accounts, only this machine may reach the server, unless a gateway stands in front.
pub(super) fn check_address(deployment: &Deployment, address: SocketAddr) -> Result<()> {
    if !address.ip().is_loopback() && !deployment.config.server.behind_gateway {
        bail!(
            "{address} can be reached from other machines and there are no user accounts: put a gateway that authenticates in \
             front and set `behind_gateway = true` under [server] in hoofbeat.toml, or listen on 127.0.0.1"
        );
    }
    Ok(())
}

/// Serves until the process is asked to stop; requests in flight are finished first.
pub(super) fn serve(
    global: &Global,
    deployment: Deployment,
    address: SocketAddr,
    sql: Option<SocketAddr>,
) -> Result<Done> {
    check_address(&deployment, address)?;
    let log = PredictionLog::open(&deployment.data_dir.join("predictions"))?;
    let deployment = Arc::new(deployment);
    let served = Served::start(Arc::clone(&deployment))?;
    Arc::clone(&served).follow();
    notify::follow(Arc::clone(&deployment));
    let alert_sinks = notify::names(&deployment.config.alerts);
    let clock = deployment.clock.clone();
    let state = State {
        champions: Arc::new(Throne(served)),
        log: Arc::new(Log(log)),
        catalogue: Arc::new(Datasets(deployment.lake.clone())),
        circle: Arc::new(Turning(Arc::clone(&deployment))),
        registry: Arc::clone(&deployment.registry),
        study: Arc::clone(&deployment.study),
        clock: Arc::new(move || clock.now()),
        version: Version { version: env!("CARGO_PKG_VERSION").to_owned(), commit: String::new() },
        settings: Settings {
            alert_sinks,
            confirmations: deployment.config.review.confirmations,
            ..Settings::default()
        },
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads()).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("{address} cannot be listened on (in use? choose another with --listen ADDR)")
        })?;
        let address = listener.local_addr()?;
        let mut sql_failure = None;
        if let Some(sql) = sql {
            let (address, failure) = sql::start(&deployment, sql).await?;
            sql_failure = Some(failure);
            let at = readable(address);
            deployment.progress.say(&format!("SQL is ready at postgresql://{at}/hoofbeat"));
        }
        deployment.progress.say(&format!("hoofbeat is ready at http://{}", readable(address)));
        // Jobs begin once there is a server that they could disturb.
        let _keeper = Keeper::start(Arc::clone(&deployment), global.clone());
        let sql_failed = async {
            match sql_failure {
                Some(failure) => failure.await.unwrap_or_else(|_| anyhow!("its thread failed")),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = serve::serve(listener, state, stop_signal()?) => served?,
            error = sql_failed => return Err(error.context("the SQL endpoint stopped")),
        }
        anyhow::Ok(())
    })?;
    Ok(Done::Well)
}

/// Threads that answer: half of the cores. An answer takes microseconds and waits for the log without holding a thread, so
/// that more threads would mostly put each other to sleep and wake each other up. The other half is for the flushes of the
/// log, the registry and the kernel.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// A browser's words for a loopback address.
fn readable(address: SocketAddr) -> String {
    if address.ip().is_loopback() { format!("localhost:{}", address.port()) } else { address.to_string() }
}

/// Resolves when the process is asked to stop.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing requests in flight");
    })
}
