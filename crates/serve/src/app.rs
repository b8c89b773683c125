//! What the server is given, and what every handler shares.

use std::{fmt, sync::Arc, time::Duration};

use clinical::Study;
use registry::Registry;
use time::{OffsetDateTime, UtcOffset};

use crate::{
    fault::{Fault, Kind},
    metrics::Metrics,
    ports::{Catalogue, Champions, Circle, Model, PredictionLog},
};

/// Says what time it is.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// Which program answers.
#[derive(Debug, Clone)]
pub struct Version {
    /// Such as `0.1.0`.
    pub version: String,
    /// The commit it was built from; empty where that is not known.
    pub commit: String,
}

/// Limits of the server. The defaults suit one machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections served at once; further ones wait in the listener's queue.
    pub connections: usize,
    /// How long a client may take over the head of a request, and keep a connection idle.
    pub head_timeout: Duration,
    /// How long a request may take, its body included.
    pub request_timeout: Duration,
    /// The same for a batch.
    pub batch_timeout: Duration,
    /// How long requests in flight may go on after shutdown was asked for.
    pub drain: Duration,
    /// Largest body, in bytes.
    pub body_limit: usize,
    /// Largest body of a batch, in bytes.
    pub batch_limit: usize,
    /// Who is told when somebody ends an alert; names of the deployment's sinks.
    pub alert_sinks: Vec<String>,
    /// Reviewers who must find the same before a case of an orphan disease is confirmed.
    pub confirmations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connections: 4096,
            head_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            batch_timeout: Duration::from_secs(300),
            drain: Duration::from_secs(30),
            body_limit: 1 << 20,
            batch_limit: 64 << 20,
            alert_sinks: Vec::new(),
            confirmations: 1,
        }
    }
}

/// Everything the server works with.
#[derive(Clone)]
pub struct State {
    pub champions: Arc<dyn Champions>,
    pub log: Arc<dyn PredictionLog>,
    pub catalogue: Arc<dyn Catalogue>,
    pub circle: Arc<dyn Circle>,
    pub registry: Arc<Registry>,
    /// The configured study: the form and the API document before there is a champion.
    pub study: Arc<Study>,
    pub clock: Clock,
    pub version: Version,
    pub settings: Settings,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("version", &self.version)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What handlers share: the state, and what the server adds to it.
pub(crate) struct App {
    pub(crate) state: State,
    pub(crate) metrics: Metrics,
    /// Bound to a loopback address: only loopback names may then be asked for.
    pub(crate) loopback: bool,
}

pub(crate) type Shared = axum::extract::State<Arc<App>>;

impl App {
    pub(crate) fn new(state: State, loopback: bool, routes: &[&'static str]) -> App {
        let metrics = Metrics::new(&state.version, routes);
        App { state, metrics, loopback }
    }

    /// The model that answers this request, to its end.
    pub(crate) fn champion(&self) -> Result<Arc<dyn Model>, Fault> {
        self.state.champions.current().ok_or_else(|| Fault::new(Kind::NoChampion))
    }

    /// Now, in UTC and whole milliseconds: what is stored is what is shown.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let now = (self.state.clock)().to_offset(UtcOffset::UTC);
        now.replace_millisecond(now.millisecond()).unwrap_or(now)
    }

    /// Runs a blocking call on the registry away from the threads that answer.
    pub(crate) async fn registry<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry) -> registry::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let registry = Arc::clone(&self.state.registry);
        match tokio::task::spawn_blocking(move || work(&registry)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Fault::new(Kind::Internal)),
        }
    }
}
