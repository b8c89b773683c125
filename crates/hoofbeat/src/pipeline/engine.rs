//! Who counts: this machine, or the cluster that the configuration names. The cohort is the same.

use anyhow::{Context, Result};
use clinical::Study;
use clinical::study::Accepts;
use lake::{CellMap, Cohort, CohortQuery, SLOTS};
use query::{CohortPlan, Dataset, Engine, Input};

use crate::config::EngineKind;
use crate::deployment::Deployment;

/// A cell map that can also be said in SQL.
pub trait SqlCells: CellMap {
    /// The number of a row's cell over the columns of `cases`; null for a row that is in none.
    fn sql(&self) -> String;
}

/// Counts the cells of a dataset version by slot group and outcome.
pub fn cohort(
    deployment: &Deployment,
    version: u64,
    cells: &dyn SqlCells,
    slot_group: [u8; SLOTS as usize + 1],
) -> Result<Cohort> {
    match deployment.config.engine.kind {
        EngineKind::Local => {
            let threads = deployment.config.threads();
            Ok(deployment.lake.cohort(version, &CohortQuery { cells, slot_group, threads })?)
        }
        EngineKind::Ballista => {
            let plan = CohortPlan { cell: cells.sql(), cells: cells.len(), slot_group };
            let dataset = dataset(deployment, version)?;
            let engine = engine(deployment);
            block_on(async { Ok(engine.cohort(&dataset, &plan).await?) })
        }
    }
}

/// The engine of the configuration.
pub fn engine(deployment: &Deployment) -> Engine {
    let engine = &deployment.config.engine;
    match engine.kind {
        EngineKind::Local => Engine::Local(deployment.config.sql.limits(deployment)),
        EngineKind::Ballista => {
            Engine::Cluster { scheduler: engine.scheduler.clone(), partitions: engine.partitions }
        }
    }
}

/// A dataset version with the study's inputs, for SQL.
pub fn dataset(deployment: &Deployment, version: u64) -> Result<Dataset> {
    Ok(Dataset::pin(&deployment.lake, version, &inputs(&deployment.study))?)
}

/// The study's inputs, as SQL shows them.
pub fn inputs(study: &Study) -> Vec<Input> {
    let input = |input: &clinical::study::Input| Input {
        name: input.name.clone(),
        codes: match &input.accepts {
            Accepts::Code(codes) => codes.clone(),
            Accepts::Number { .. } => Vec::new(),
        },
    };
    study.inputs().iter().map(input).collect()
}

/// Runs a query to its end on threads of its own.
pub fn block_on<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    // A query keeps its threads for many batches; time limits and wishes to stop are looked at each time it pauses, not
    // each 61st time.
    let runtime = || tokio::runtime::Builder::new_multi_thread().event_interval(1).enable_all().build();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| runtime().context("no threads for the query")?.block_on(work));
        thread.join().map_err(|_| anyhow::anyhow!("the thread of the query failed"))?
    })
}
