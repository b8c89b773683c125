//! Who computes: this process, or a cluster. The statements and the tables are the same.

use std::time::Duration;

use ballista_core::extension::{SessionConfigExt, SessionStateExt};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};
use lake::Cohort;

use crate::table::parquet_table;
use crate::{CohortPlan, Dataset, Limits, Profile, QueryError, profile};

/// Where counting is done.
#[derive(Debug, Clone)]
pub enum Engine {
    /// This process.
    Local(Limits),
    /// A cluster ([`crate::cluster`]).
    Cluster {
        /// HOST:PORT of its scheduler.
        scheduler: String,
        /// Tasks per query: as many as the executors have cores together, or some times more, so that a lost one
        /// costs little.
        partitions: usize,
        /// How long a count may take before it is given up; none: for ever.
        time: Option<Duration>,
    },
}

impl Engine {
    /// Counts a dataset version: the same cohort, whoever counts.
    ///
    /// # Errors
    /// [`QueryError::Cluster`] when the cluster does not answer; the same call may be repeated.
    pub async fn cohort(&self, dataset: &Dataset, plan: &CohortPlan) -> Result<Cohort, QueryError> {
        let context = self.context(dataset).map_err(|error| self.failed(&error))?;
        let answer = self.in_time(async { context.sql(&plan.statement()).await?.collect().await });
        plan.gather(&answer.await?)
    }

    /// Profiles a dataset version.
    ///
    /// # Errors
    /// As [`Engine::cohort`].
    pub async fn profile(&self, dataset: &Dataset) -> Result<Profile, QueryError> {
        let context = self.context(dataset).map_err(|error| self.failed(&error))?;
        self.in_time(profile::profile(&context, dataset)).await
    }

    /// What a cluster answers within its time. A process of its own is not waited for in vain.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, DataFusionError>>,
    ) -> Result<T, QueryError> {
        let answered = match self {
            Engine::Cluster { time: Some(time), .. } => tokio::time::timeout(*time, answer)
                .await
                .map_err(|_| QueryError::Cluster(format!("nothing came within {} s", time.as_secs())))?,
            _ => answer.await,
        };
        answered.map_err(|error| self.failed(&error))
    }

    /// A context that knows `cases` as it is stored.
    fn context(&self, dataset: &Dataset) -> Result<SessionContext, DataFusionError> {
        let context = match self {
            Engine::Local(limits) => {
                SessionContext::new_with_config_rt(aggregates_first(limits.config()), limits.runtime()?)
            }
            Engine::Cluster { .. } if !dataset.is_local() => {
                return Err(DataFusionError::Configuration(
                    "a cluster reads a folder that all of its machines have, and this lake lies in a bucket: \
                     set `kind = \"local\"` under [engine]"
                        .to_owned(),
                ));
            }
            Engine::Cluster { scheduler, partitions, .. } => {
                // The adaptive planner gains nothing where groups are bounded, and may wait for ever for a lost executor.
                let config = SessionConfig::new_with_ballista()
                    .with_ballista_adaptive_query_planner(false)
                    .with_target_partitions((*partitions).max(1))
                    .with_collect_statistics(false);
                let builder = SessionStateBuilder::new().with_default_features();
                let state: SessionState = builder.with_config(aggregates_first(config)).build();
                SessionContext::new_with_state(state.upgrade_for_ballista(format!("http://{scheduler}"))?)
            }
        };
        dataset.reach(&context);
        context.register_table("cases", parquet_table(&dataset.cases)?)?;
        Ok(context)
    }

    fn failed(&self, error: &DataFusionError) -> QueryError {
        match self {
            Engine::Local(limits) => crate::session::engine_error(error, limits),
            Engine::Cluster { .. } => QueryError::Cluster(error.strip_backtrace()),
        }
    }
}

/// Every task aggregates its rows before they travel, also where the first rows of a task are nearly all different:
/// the number of groups is bounded, and rows are not.
fn aggregates_first(config: SessionConfig) -> SessionConfig {
    config.set_str("datafusion.execution.skip_partial_aggregation_probe_ratio_threshold", "1.1")
}
