//! For those who watch the server: is it alive, can it answer, what has it done.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use registry::AlertState;
use serde_json::json;

use crate::{
    app::Shared,
    fault::{Fault, Kind},
    metrics,
};

/// Alerts read at most; open ones come first.
const MOST_ALERTS: u32 = 1000;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process answers.
pub(crate) async fn live(State(app): Shared) -> Response {
    Json(json!({"status": "ok", "version": app.state.version.version})).into_response()
}

/// There is a champion to answer with.
pub(crate) async fn ready(State(app): Shared) -> Result<Response, Fault> {
    let model = app.champion()?;
    Ok(Json(json!({"status": "ready", "model": model.reference()})).into_response())
}

/// Prometheus' text; OpenMetrics where the client asks for it.
pub(crate) async fn metrics(State(app): Shared, headers: HeaderMap) -> Result<Response, Fault> {
    let model = app.state.champions.current();
    let internal = |_| Fault::new(Kind::Internal);
    let (runs, mut alerts) = app
        .registry(|registry| Ok((registry.monitoring_runs(1)?, registry.alerts(None, MOST_ALERTS)?)))
        .await?;
    alerts.retain(|alert| alert.state != AlertState::Resolved);
    let reference = model.as_ref().map(|model| model.reference());
    let text = app.metrics.open_metrics(reference, runs.first(), &alerts).map_err(internal)?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/openmetrics-text") {
        return Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response());
    }
    let text = metrics::as_prometheus_text(&text).map_err(internal)?;
    Ok(([(header::CONTENT_TYPE, PROMETHEUS)], text).into_response())
}
