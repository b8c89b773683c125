//! The server's ports over this deployment: the champion, the prediction log and the data catalogue.

pub mod sql;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use arc_swap::ArcSwapOption;
use clinical::Study;
use lake::Lake;
use lake::predictions;
use registry::{ModelVersion, Stage};
use serde_json::Value;
use serve::ports::{
    Catalogue, CatalogueError, Champions, Circle, CircleError, LogError, Model, Pending, PredictionLog,
};
use uuid::Uuid;

use crate::deployment::Deployment;
use crate::pipeline::score::Scorer;
use crate::pipeline::{collect, promote, suggest};

/// Between two looks at the registry for another champion. A look is one index look-up, some microseconds, and
/// waits for no writer.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The champion in memory. A request holds its own handle, so a swap never changes an answer under way.
#[derive(Debug)]
pub struct Served {
    deployment: Arc<Deployment>,
    current: ArcSwapOption<Scorer>,
    /// The registry's epoch that was last looked at. Also keeps two loads from running at once.
    epoch: Mutex<u64>,
}

impl Served {
    /// Loads the champion, where there is one; a champion that cannot be loaded is an error.
    pub fn start(deployment: Arc<Deployment>) -> Result<Arc<Served>> {
        let served = Arc::new(Served { deployment, current: ArcSwapOption::empty(), epoch: Mutex::new(0) });
        served.catch_up()?;
        Ok(served)
    }

    /// Serves the registry's champion, if it is another one than before. A bundle that cannot be opened
    /// leaves the old one in place and is not tried again until the registry moves on.
    fn catch_up(&self) -> Result<()> {
        let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if self.deployment.registry.champion_epoch()? == *epoch {
            return Ok(());
        }
        let Some(champion) = self.deployment.registry.champion()? else { return Ok(()) };
        *epoch = champion.epoch;
        self.current.store(Some(Arc::new(Scorer::open(&self.deployment, &champion.model)?)));
        tracing::info!(model = %champion.model.version, epoch = champion.epoch, "serving");
        Ok(())
    }

    /// Follows the registry until the program ends: whoever promotes, in this process or another, the
    /// new champion answers within a moment.
    pub fn follow(self: Arc<Self>) {
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(LOOK_EVERY);
                self.catch_up_or_log();
            }
        });
    }

    fn catch_up_or_log(&self) {
        if let Err(error) = self.catch_up() {
            tracing::error!(
                error = format!("{error:#}"),
                "the champion cannot be loaded; the one before goes on"
            );
        }
    }

    /// The study that a model's bundle carries.
    fn study_of(&self, version: &str) -> Option<Arc<Study>> {
        let model = self.deployment.model(version).ok()?;
        self.deployment.study_of(&model).map(Arc::new)
    }
}

/// The server's handle on what is served.
#[derive(Debug, Clone)]
pub struct Throne(pub Arc<Served>);

impl Champions for Throne {
    fn current(&self) -> Option<Arc<dyn Model>> {
        let scorer = self.0.current.load_full()?;
        Some(scorer)
    }

    fn study(&self, version: &str) -> Pending<Option<Arc<Study>>> {
        let (served, version) = (Arc::clone(&self.0), version.to_owned());
        Box::pin(async move {
            tokio::task::spawn_blocking(move || served.study_of(&version)).await.ok().flatten()
        })
    }

    fn refresh(&self) -> Pending<()> {
        let served = Arc::clone(&self.0);
        Box::pin(async move {
            // Only a panic could break the task, and then the follower loads the champion a moment later.
            let _ = tokio::task::spawn_blocking(move || served.catch_up_or_log()).await;
        })
    }
}

/// The lake's prediction log as the server sees it.
#[derive(Debug, Clone)]
pub struct Log(pub predictions::PredictionLog);

impl PredictionLog for Log {
    fn append(&self, record: Vec<u8>) -> Pending<Result<Uuid, LogError>> {
        let pending = self.0.append(record);
        Box::pin(async move { pending.await.map_err(unavailable) })
    }

    fn append_all(&self, records: Vec<Vec<u8>>) -> Pending<Result<Vec<Uuid>, LogError>> {
        let pending = self.0.append_all(&records);
        Box::pin(async move { pending.await.map_err(unavailable) })
    }

    fn get(&self, id: Uuid) -> Pending<Result<Option<Vec<u8>>, LogError>> {
        let log = self.0.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || log.get(id)).await;
            read.map_err(|error| LogError(error.to_string()))?.map_err(unavailable)
        })
    }
}

fn unavailable(error: predictions::LogError) -> LogError {
    LogError(error.to_string())
}

/// The dataset versions.
#[derive(Debug, Clone)]
pub struct Datasets(pub Lake);

impl Catalogue for Datasets {
    fn datasets(&self) -> Result<Value, CatalogueError> {
        let versions = self.0.versions().map_err(|error| CatalogueError(error.to_string()))?;
        serde_json::to_value(versions).map_err(|error| CatalogueError(error.to_string()))
    }
}

/// The circle from opinions to data.
#[derive(Debug, Clone)]
pub struct Turning(pub Arc<Deployment>);

impl Turning {
    /// Runs `work` away from the threads that answer.
    fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Deployment) -> Result<T> + Send + 'static,
    ) -> Pending<Result<T, CircleError>> {
        let deployment = Arc::clone(&self.0);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&deployment)).await;
            let done = done.map_err(|error| CircleError(error.to_string()))?;
            done.map_err(|error| CircleError(format!("{error:#}")))
        })
    }
}

impl Circle for Turning {
    fn collect(&self) -> Pending<Result<(), CircleError>> {
        self.away(|deployment| {
            let collected = collect::collect(deployment)?;
            tracing::info!(
                cases = collected.cases,
                dataset_version = collected.dataset_version,
                waiting = collected.waiting,
                "confirmed cases collected"
            );
            Ok(())
        })
    }

    fn may_be_promoted(&self, version: ModelVersion) -> Pending<Result<bool, CircleError>> {
        self.away(move |deployment| match deployment.registry.model(version) {
            Ok(model) if model.stage == Stage::Validated => {
                Ok(promote::hindered(deployment, &model)?.is_none())
            }
            Ok(_) | Err(registry::Error::UnknownModel(_)) => Ok(true),
            Err(error) => Err(error.into()),
        })
    }

    fn suggest(&self, number: usize, actor: String) -> Pending<Result<Value, CircleError>> {
        self.away(move |deployment| {
            let seed = deployment.now().unix_timestamp_nanos() as u64;
            let opened = suggest::suggest(deployment, number, seed, &actor)?;
            Ok(serde_json::to_value(opened)?)
        })
    }
}
