//! What monitoring found: the latest figures, and alerts with their life.

use axum::{
    extract::{Path, RawQuery, Request, State},
    response::Response,
};
use clinical::{Issue, IssueCode};
use registry::{Act, Alert, AlertState, MonitoringRun};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ACTOR, idempotency_key,
    json::{self as fields, NotAnObject, Token},
    json_response,
};
use crate::{
    app::{App, Shared},
    body,
    fault::{Fault, Kind},
    watched::{HISTORY, Report},
};

/// Alerts listed at most.
const MOST_ALERTS: u32 = 1000;
/// Longest reason, in characters.
const REASON_CHARS: usize = 500;

/// `GET /api/v1/monitoring/drift`
pub(crate) async fn drift(State(app): Shared) -> Result<Response, Fault> {
    part(&app, "drift").await
}

/// `GET /api/v1/monitoring/quality`
pub(crate) async fn quality(State(app): Shared) -> Result<Response, Fault> {
    part(&app, "quality").await
}

/// `GET /api/v1/monitoring/performance`: the latest run's, and the two targets' figures over time.
pub(crate) async fn performance(State(app): Shared) -> Result<Response, Fault> {
    let runs = app.registry(|registry| registry.monitoring_runs(HISTORY)).await?;
    let mut answer = latest(runs.first(), "performance");
    answer["history"] = runs.iter().map(point).collect();
    json_response(&answer)
}

async fn part(app: &App, name: &'static str) -> Result<Response, Fault> {
    let runs = app.registry(|registry| registry.monitoring_runs(1)).await?;
    json_response(&latest(runs.first(), name))
}

/// One part of the latest run with what it is about; everything `null` before the first run.
fn latest(run: Option<&MonitoringRun>, name: &str) -> Value {
    let Some(run) = run else {
        return json!({"run": null, "model": null, "window": null, name: null});
    };
    json!({
        "run": run.id, "model": run.model, "window": run.report["window"], "seen": run.report["seen"],
        name: run.report[name],
    })
}

fn point(run: &MonitoringRun) -> Value {
    let (report, figures) = (Report::of(run), &run.report["performance"]["arrived"]);
    json!({
        "run": run.id, "model": run.model, "to": report.window.to, "confirmed": report.seen.confirmed,
        "f1_common": figures["f1_common"], "orphan_recall": figures["orphan_recall"], "drift_rate": report.drift.rate,
    })
}

#[derive(Serialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

/// `GET /api/v1/monitoring/alerts?state=open`: open is raised or acknowledged.
pub(crate) async fn alerts(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let wanted = Wanted::read(query.as_deref().unwrap_or_default())?;
    let mut alerts = app.registry(|registry| registry.alerts(None, MOST_ALERTS)).await?;
    alerts.retain(|alert| wanted.takes(alert.state));
    json_response(&Alerts { alerts })
}

/// Which alerts are asked for.
enum Wanted {
    All,
    Open,
    Only(AlertState),
}

impl Wanted {
    /// # Errors
    /// 422 for an unknown state.
    fn read(query: &str) -> Result<Wanted, Fault> {
        let mut states = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "state");
        let Some((_, state)) = states.next() else { return Ok(Wanted::All) };
        match &*state {
            "open" => Ok(Wanted::Open),
            "raised" => Ok(Wanted::Only(AlertState::Raised)),
            "acknowledged" => Ok(Wanted::Only(AlertState::Acknowledged)),
            "resolved" => Ok(Wanted::Only(AlertState::Resolved)),
            _ => {
                let codes = "open, raised, acknowledged, resolved";
                let issue = Issue::new("state", IssueCode::UnknownCode).expecting(codes, codes);
                Err(Fault::with_issues(vec![issue]))
            }
        }
    }

    fn takes(&self, state: AlertState) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Open => state != AlertState::Resolved,
            Wanted::Only(wanted) => state == *wanted,
        }
    }
}

/// What somebody does about an alert.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Move {
    Acknowledge,
    Resolve,
}

/// `POST /api/v1/monitoring/alerts/{id}/acknowledge`
pub(crate) async fn acknowledge(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    moved(&app, &id, Move::Acknowledge, request).await
}

/// `POST /api/v1/monitoring/alerts/{id}/resolve`
pub(crate) async fn resolve(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    moved(&app, &id, Move::Resolve, request).await
}

async fn moved(app: &App, id: &str, to: Move, request: Request) -> Result<Response, Fault> {
    let (head, body) = request.into_parts();
    let key = idempotency_key(&head.headers)?;
    let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
    let reason = if body.is_empty() {
        String::new()
    } else {
        body::require_json(&head.headers)?;
        reason(&body)?
    };
    json_response(&settle(app, id, to, key, ACTOR, reason).await?)
}

/// The `reason` of an optional body.
fn reason(body: &[u8]) -> Result<String, Fault> {
    let tokens =
        fields::object(body, 1, |name| (name == "reason").then_some(0)).map_err(|error| match error {
            NotAnObject::Broken => Fault::new(Kind::BrokenJson),
            NotAnObject::OtherType => Fault::new(Kind::Invalid),
        })?;
    let reason = tokens.first().unwrap_or(&Token::Missing).text("reason", REASON_CHARS);
    let reason = reason.map_err(|issue| Fault::with_issues(vec![issue]))?;
    Ok(reason.unwrap_or_default().to_owned())
}

/// Moves an alert on; the same on the page and here.
///
/// # Errors
/// 404 for an unknown alert, 409 for one that is over.
pub(crate) async fn settle(
    app: &App,
    id: &str,
    to: Move,
    key: String,
    actor: &'static str,
    reason: String,
) -> Result<Alert, Fault> {
    let none = |_| Fault::because(Kind::NotFound, "Las alertas tienen un número.", "Alerts have a number.");
    let id: u64 = id.parse().map_err(none)?;
    let (at, sinks) = (app.now(), app.state.settings.alert_sinks.clone());
    app.registry(move |registry| {
        let act = Act { key: &key, actor, reason: &reason, at };
        let sinks: Vec<&str> = sinks.iter().map(String::as_str).collect();
        match to {
            Move::Acknowledge => registry.acknowledge_alert(id, &act),
            Move::Resolve => registry.resolve_alert(id, &sinks, &act),
        }
    })
    .await
}
