//! Read-only SQL over one dataset version.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use crate::statement;
use crate::{Dataset, Identifiers, QueryError};

/// Names of the tables and views.
pub(crate) const TABLES: [&str; 7] =
    ["cases", "cohort", "dataset_versions", "outcomes", "predictions", "quality", "quarantine"];

/// Name of the database, as clients see it.
pub(crate) const CATALOG: &str = "hoofbeat";

/// What a query may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory of sorts, joins and groups together, in MiB; what does not fit is written to `spill`.
    pub memory_mib: usize,
    /// Threads, at least 1.
    pub threads: usize,
    /// A query that runs for longer is stopped; none: it may run for ever.
    pub time: Option<Duration>,
    /// Folder for what does not fit into memory; emptied by the session itself.
    pub spill: PathBuf,
}

impl Limits {
    pub(crate) fn config(&self) -> SessionConfig {
        SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, "public")
            .with_information_schema(true)
            .with_target_partitions(self.threads.max(1))
            // Statistics of the files hold the smallest and the largest identifier.
            .with_collect_statistics(false)
    }

    pub(crate) fn runtime(&self) -> datafusion::common::Result<Arc<RuntimeEnv>> {
        let spill = DiskManagerMode::Directories(vec![self.spill.clone()]);
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(self.memory_mib << 20)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(spill))
            .build_arc()
    }
}

/// Memory and disk, which several sessions may share.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<RuntimeEnv>);

impl Runtime {
    pub(crate) fn new(limits: &Limits) -> Result<Runtime, QueryError> {
        let runtime = limits.runtime();
        runtime.map(Runtime).map_err(|error| engine_error(&error, limits))
    }
}

/// One dataset version, ready to be asked.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    limits: Limits,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Session {
    /// # Errors
    /// When the tables cannot be read, or there is no room for `spill`.
    pub async fn open(
        dataset: &Dataset,
        identifiers: &Identifiers,
        limits: &Limits,
    ) -> Result<Session, QueryError> {
        Session::with(&Runtime::new(limits)?, dataset, identifiers, limits).await
    }

    /// The same on a runtime that others use too.
    pub(crate) async fn with(
        runtime: &Runtime,
        dataset: &Dataset,
        identifiers: &Identifiers,
        limits: &Limits,
    ) -> Result<Session, QueryError> {
        let context = SessionContext::new_with_config_rt(limits.config(), Arc::clone(&runtime.0));
        let session = Session { context, limits: limits.clone() };
        let registered = dataset.register(&session.context, identifiers).await;
        registered.map_err(|error| session.failed(&error))?;
        Ok(session)
    }

    pub(crate) fn into_context(self) -> SessionContext {
        self.context
    }

    /// Runs one statement; rows come as they are asked for.
    ///
    /// # Errors
    /// What is wrong with the statement; what goes wrong later comes from [`Rows`].
    pub async fn query(&self, text: &str) -> Result<Rows, QueryError> {
        let started = Instant::now();
        let statement = statement::reading(text)?;
        let run = async {
            let state = self.context.state();
            let plan = state.statement_to_plan(statement).await?;
            reads_only().verify_plan(&plan)?;
            self.context.execute_logical_plan(plan).await?.execute_stream().await
        };
        let stream = match self.limits.time {
            None => run.await,
            Some(limit) => match tokio::time::timeout(limit, run).await {
                Ok(result) => result,
                Err(_) => return Err(QueryError::Time { seconds: limit.as_secs() }),
            },
        };
        let stream = stream.map_err(|error| self.failed(&error))?;
        let deadline = self.limits.time.map(|limit| Box::pin(tokio::time::sleep_until(started + limit)));
        Ok(Rows { stream, deadline, limits: self.limits.clone() })
    }

    fn failed(&self, error: &DataFusionError) -> QueryError {
        engine_error(error, &self.limits)
    }
}

/// A plan that writes, changes settings or defines something does not run.
pub(crate) fn reads_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

pub(crate) fn engine_error(error: &DataFusionError, limits: &Limits) -> QueryError {
    QueryError::from_engine(error, &TABLES.map(str::to_owned), limits.memory_mib)
}

/// The rows of an answer, in batches. Dropped, it stops the query.
pub struct Rows {
    stream: SendableRecordBatchStream,
    deadline: Option<Pin<Box<Sleep>>>,
    limits: Limits,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

impl Rows {
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let rows = &mut *self;
        if let (Some(deadline), Some(limit)) = (rows.deadline.as_mut(), rows.limits.time)
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(QueryError::Time { seconds: limit.as_secs() })));
        }
        let next = Pin::new(&mut rows.stream).poll_next(context);
        next.map(|item| item.map(|batch| batch.map_err(|error| engine_error(&error, &rows.limits))))
    }
}
