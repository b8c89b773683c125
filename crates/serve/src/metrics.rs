//! What the server counts, in Prometheus' text. Labels hold routes, codes and versions, never a value
//! of a patient.

mod monitoring;

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use ::registry::{Alert, MonitoringRun};
use clinical::{ModelRef, Prediction, Rarity, Study};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};

use crate::{app::Version, routes};

/// Seconds; a prediction takes well under a millisecond plus the log's commit.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The label of requests for addresses that are not served.
const NO_ROUTE: &str = "none";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PredictionLabels {
    severity: String,
    rarity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    field: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabels {
    version: String,
    dataset_version: u64,
}

#[derive(Clone)]
struct Latency;

impl MetricConstructor<Histogram> for Latency {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

/// All counters of one server.
pub(crate) struct Metrics {
    registry: Registry,
    /// Matched path -> the same text for the life of the program, so that a label costs nothing.
    routes: HashMap<&'static str, &'static str>,
    requests: Family<RequestLabels, Counter>,
    latency: Family<RouteLabels, Histogram, Latency>,
    /// Those of predictions that were answered, which are looked up once.
    usual: OnceLock<(Counter, Histogram)>,
    in_flight: Gauge,
    connections: Gauge,
    predictions: Family<PredictionLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    feedback: Family<VerdictLabels, Counter>,
    model: Family<ModelLabels, Gauge>,
    watch: monitoring::Watch,
    reading: Mutex<()>,
}

impl Metrics {
    pub(crate) fn new(version: &Version, routes: &[&'static str]) -> Metrics {
        let mut registry = Registry::with_prefix("hoofbeat");
        let requests = Family::default();
        let latency = Family::new_with_constructor(Latency);
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        let (predictions, refusals, feedback) = (Family::default(), Family::default(), Family::default());
        let model = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_request_duration_seconds", "Time until the answer", latency.clone());
        registry.register("http_requests_in_flight", "Requests being answered", in_flight.clone());
        registry.register("http_connections", "Open connections", connections.clone());
        registry.register("predictions", "Predictions answered", predictions.clone());
        registry.register("refused_values", "Values refused, by field and reason", refusals.clone());
        registry.register("feedback", "Feedback stored", feedback.clone());
        registry.register("model_info", "The model in use", model.clone());
        let watch = monitoring::Watch::register(&mut registry);
        let build = vec![("version", version.version.clone()), ("commit", version.commit.clone())];
        registry.register("build", "The program", Info::new(build));
        let routes = routes.iter().map(|&route| (route, route)).collect();
        Metrics {
            registry,
            routes,
            requests,
            latency,
            usual: OnceLock::new(),
            in_flight,
            connections,
            predictions,
            refusals,
            feedback,
            model,
            watch,
            reading: Mutex::default(),
        }
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(&self) -> Connection {
        self.connections.inc();
        Connection(self.connections.clone())
    }

    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let usual = (method, route, status) == ("POST", Some(routes::PREDICTIONS), 200);
        if usual && let Some((requests, latency)) = self.usual.get() {
            requests.inc();
            return latency.observe(took.as_secs_f64());
        }
        let method = known_method(method);
        let route = route.and_then(|route| self.routes.get(route)).copied().unwrap_or(NO_ROUTE);
        let labels = RequestLabels { method, route, status: status.into() };
        let requests = self.requests.get_or_create_owned(&labels);
        let latency = self.latency.get_or_create_owned(&RouteLabels { method, route });
        requests.inc();
        latency.observe(took.as_secs_f64());
        if usual {
            // Another request may have been quicker.
            let _ = self.usual.set((requests, latency));
        }
    }

    pub(crate) fn predicted(&self, study: &Study, prediction: &Prediction) {
        let severity = study.severity(prediction.severity).code.clone();
        let rarity = prediction.rarity.map_or("none", Rarity::code);
        self.predictions.get_or_create(&PredictionLabels { severity, rarity }).inc();
    }

    pub(crate) fn refused(&self, issues: &[clinical::Issue]) {
        for issue in issues {
            let labels = RefusalLabels { field: issue.field.clone(), code: issue.code.as_str() };
            self.refusals.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn judged(&self, verdict: &'static str) {
        self.feedback.get_or_create(&VerdictLabels { verdict }).inc();
    }

    /// OpenMetrics text, with the model in use, what monitoring found last, and the alerts that are open.
    pub(crate) fn open_metrics(
        &self,
        model: Option<&ModelRef>,
        run: Option<&MonitoringRun>,
        alerts: &[Alert],
    ) -> Result<String, std::fmt::Error> {
        // One reader at a time: what is set for one must not be cleared for another.
        let _turn = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.watch.set(run, alerts);
        self.model.clear();
        if let Some(model) = model {
            let labels =
                ModelLabels { version: model.version.clone(), dataset_version: model.dataset_version };
            self.model.get_or_create(&labels).set(1);
        }
        let mut text = String::with_capacity(8 << 10);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The older Prometheus text format: there the name of a counter or an info ends as its samples do.
pub(crate) fn as_prometheus_text(open_metrics: &str) -> Result<String, std::fmt::Error> {
    let mut text = String::with_capacity(open_metrics.len() + 512);
    let mut pending: Vec<&str> = Vec::new();
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => {}
            (Some("#"), Some("HELP"), ..) => pending.push(line),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    other => ("", other),
                };
                for help in pending.drain(..) {
                    let text_after = help.splitn(4, ' ').nth(3).unwrap_or_default();
                    writeln!(text, "# HELP {name}{suffix} {text_after}")?;
                }
                writeln!(text, "# TYPE {name}{suffix} {kind}")?;
            }
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
}

fn known_method(method: &str) -> &'static str {
    // A method is any text a client likes; labels are few.
    ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

/// One request being answered.
pub(crate) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One open connection.
pub(crate) struct Connection(Gauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
