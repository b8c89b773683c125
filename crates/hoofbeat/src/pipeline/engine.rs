//! Who counts: this machine, or the cluster that the configuration names. The cohort is the same.

use anyhow::{Context, Result};
use clinical::Study;
use clinical::study::Accepts;
use lake::{CellMap, Cohort, CohortQuery, Margin, MarginCounts, SLOTS};
use query::{CohortPlan, Dataset, Engine, Input};

use crate::config::EngineKind;
use crate::deployment::Deployment;

/// A cell map that can also be said in SQL.
pub trait SqlCells: CellMap {
    /// The number of a row's cell over the columns of `cases`; null for a row that is in none.
    fn sql(&self) -> String;
    /// What decides the cells, as a text: the name under which a counted cohort is kept.
    fn plan(&self) -> String;
}

/// Counts the cells of a dataset version by slot group and outcome, and the values of `margins` by slot group.
pub fn cohort(
    deployment: &Deployment,
    version: u64,
    cells: &dyn SqlCells,
    slot_group: [u8; SLOTS as usize + 1],
    margins: &[Margin],
) -> Result<Cohort> {
    match deployment.config.engine.kind {
        EngineKind::Local => {
            let query = CohortQuery { cells, slot_group, margins, threads: deployment.config.threads() };
            Ok(deployment.cohorts().cohort(&deployment.lake, version, &cells.plan(), &query)?)
        }
        EngineKind::Ballista => {
            let (dataset, engine) = (dataset(deployment, version)?, engine(deployment));
            let plan = |cell, cells| CohortPlan { cell, cells, slot_group };
            block_on(async {
                let mut cohort = engine.cohort(&dataset, &plan(cells.sql(), cells.len())).await?;
                for margin in margins {
                    let counted = engine.cohort(&dataset, &plan(values(margin), margin.len)).await?;
                    cohort.margins.push(margin_counts(margin, &slot_group, &counted));
                }
                Ok(cohort)
            })
        }
    }
}

/// A margin's values as cells.
fn values(margin: &Margin) -> String {
    let Margin { column, min, len } = margin;
    let max = i64::from(*min) + i64::from(*len) - 1;
    format!("CASE WHEN \"{column}\" BETWEEN {min} AND {max} THEN CAST(\"{column}\" AS BIGINT) - ({min}) END")
}

/// Counted values as the local count gives them.
fn margin_counts(margin: &Margin, slot_group: &[u8], counted: &Cohort) -> MarginCounts {
    let groups = slot_group.iter().map(|&group| u32::from(group) + 1).max().unwrap_or_default();
    let mut rows = vec![0; margin.len as usize * groups as usize];
    for count in &counted.counts {
        rows[count.cell as usize * groups as usize + usize::from(count.group)] += count.rows;
    }
    MarginCounts { margin: margin.clone(), groups, rows }
}

/// The engine of the configuration.
pub fn engine(deployment: &Deployment) -> Engine {
    let engine = &deployment.config.engine;
    match engine.kind {
        EngineKind::Local => Engine::Local(deployment.config.sql.limits(deployment)),
        EngineKind::Ballista => Engine::Cluster {
            scheduler: engine.scheduler.clone(),
            partitions: engine.partitions,
            time: engine.timeout(),
        },
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
