//! The processes of a cluster: one scheduler, and executors that do the work ([Ballista](https://datafusion.apache.org/ballista/)).
//!
//! Executors read the tables' files themselves: a shared folder or an object store, under the same path everywhere.
//! Neither speaks a password or encrypts, so both belong on a network that nobody else can reach.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::health::ExecutorHealth;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use crate::QueryError;

/// Seconds between two signs of life of an executor.
const SIGN_OF_LIFE_SECONDS: u64 = 2;
/// Seconds of silence after which an executor's tasks are given to others.
const SILENCE_SECONDS: u64 = 8;
/// Seconds between two looks at who is silent.
const LOOK_SECONDS: u64 = 2;
/// Executors ask for work. Where the scheduler hands it out (Ballista 55), a query can wait for ever for the stage that was
/// rolled back with a killed executor; it seems to lose count of the others' free cores.
const SCHEDULING: TaskSchedulingPolicy = TaskSchedulingPolicy::PullStaged;
/// Bytes of a message at most: a plan names every file.
const MESSAGE_BYTES: u32 = 64 << 20;

/// Runs a scheduler on a listener until the future is dropped. `host` is how executors reach it.
///
/// # Errors
/// [`QueryError::Cluster`] when it cannot start.
pub async fn scheduler(listener: TcpListener, host: &str) -> Result<(), QueryError> {
    let address = listener.local_addr().map_err(failed)?;
    let config = SchedulerConfig {
        external_host: host.to_owned(),
        scheduling_policy: SCHEDULING,
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        executor_timeout_seconds: SILENCE_SECONDS,
        expire_dead_executor_interval_seconds: LOOK_SECONDS,
        no_executors_grace_period_seconds: SILENCE_SECONDS,
        grpc_server_max_decoding_message_size: MESSAGE_BYTES,
        grpc_server_max_encoding_message_size: MESSAGE_BYTES,
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config))
        .await
        .map_err(failed)?;
    start_grpc_service_with_listener(listener, scheduler).await.map_err(failed)
}

/// One executor.
#[derive(Debug, Clone)]
pub struct Executor {
    /// The scheduler's host and port.
    pub scheduler: (String, u16),
    /// Where other executors and the client fetch its results; they must be able to reach this address.
    pub listen: SocketAddr,
    /// Tasks at once.
    pub cores: usize,
    /// Memory of its tasks together, in MiB; what does not fit is written to `work`.
    pub memory_mib: usize,
    /// Folder for what tasks hand to each other.
    pub work: PathBuf,
}

/// Runs an executor until it is asked to stop (SIGTERM, Ctrl-C). Calls `ready` when the scheduler knows it.
///
/// # Errors
/// [`QueryError::Cluster`] when it cannot start or reach the scheduler.
pub async fn executor(executor: &Executor, ready: impl FnOnce() + Send) -> Result<(), QueryError> {
    let health = ExecutorHealth::new();
    let config = ExecutorProcessConfig {
        health: health.clone(),
        bind_host: executor.listen.ip().to_string(),
        external_host: Some(executor.listen.ip().to_string()),
        port: executor.listen.port(),
        scheduler_host: executor.scheduler.0.clone(),
        scheduler_port: executor.scheduler.1,
        scheduler_connect_timeout_seconds: 30,
        task_scheduling_policy: SCHEDULING,
        vcores: executor.cores.max(1),
        work_dir: Some(executor.work.display().to_string()),
        memory_pool_size: Some((executor.memory_mib as u64) << 20),
        executor_heartbeat_interval_seconds: SIGN_OF_LIFE_SECONDS,
        grpc_max_decoding_message_size: MESSAGE_BYTES,
        grpc_max_encoding_message_size: MESSAGE_BYTES,
        job_data_ttl_seconds: 3600,
        job_data_clean_up_interval_seconds: 600,
        ..ExecutorProcessConfig::default()
    };
    let run = start_executor_process(Arc::new(config));
    let announce = async {
        while !health.is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ready();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = run => result.map_err(failed),
        () = announce => Ok(()),
    }
}

fn failed(error: impl std::fmt::Display) -> QueryError {
    QueryError::Cluster(error.to_string())
}
