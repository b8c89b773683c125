//! The cycle over REST: trainings that are asked for, the decisions about challengers, and the life of the model.

use axum::{
    extract::{Path, RawQuery, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use clinical::{Issue, IssueCode};
use registry::{Act, Change, Job, ModelVersion, NewJob};
use serde::Serialize;

use super::{
    ACTOR, NAME_CHARS, fields, idempotency_key,
    json::Token,
    json_response,
    models::{REASON_CHARS, changed},
    person,
    records::Page,
    reviews::number,
};
use crate::{
    app::{App, Shared},
    body,
    fault::Fault,
};

/// What can be made anew.
pub(crate) const MODES: [&str; 3] = ["incremental", "full", "orphan"];
/// Jobs that are listed.
const JOBS: u32 = 100;

#[derive(Serialize)]
struct Jobs {
    retrainings: Vec<Job>,
}

#[derive(Serialize)]
struct History {
    changes: Vec<Change>,
}

/// `GET /api/v1/retrainings`
pub(crate) async fn list(State(app): Shared) -> Result<Response, Fault> {
    let retrainings = app.registry(|registry| registry.jobs(JOBS)).await?;
    json_response(&Jobs { retrainings })
}

/// `GET /api/v1/retrainings/{id}`
pub(crate) async fn show(State(app): Shared, Path(id): Path<String>) -> Result<Response, Fault> {
    let id = number(&id)?;
    json_response(&app.registry(move |registry| registry.job(id)).await?)
}

/// `POST /api/v1/retrainings`: `{"mode": "full", "requested_by": "…"}`
pub(crate) async fn start(State(app): Shared, request: Request) -> Result<Response, Fault> {
    const NAMES: [&str; 2] = ["mode", "requested_by"];
    let (head, body) = request.into_parts();
    body::require_json(&head.headers)?;
    let key = idempotency_key(&head.headers)?;
    let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
    let tokens = fields(&body, &NAMES)?;
    let text = |at: usize| tokens.get(at).unwrap_or(&Token::Missing).text(NAMES[at], NAME_CHARS);
    let mode = text(0).and_then(|mode| mode_of(NAMES[0], mode));
    let by = text(1).and_then(|name| person(ACTOR, NAMES[1], name));
    match (mode, by) {
        (Ok(mode), Ok(by)) => {
            let job = ask(&app, mode, by, key).await?;
            let mut response = json_response(&job)?;
            *response.status_mut() = StatusCode::ACCEPTED;
            if let Ok(place) = format!("/api/v1/retrainings/{}", job.id).parse() {
                response.headers_mut().insert(header::LOCATION, place);
            }
            Ok(response)
        }
        (mode, by) => Err(Fault::with_issues([mode.err(), by.err()].into_iter().flatten().collect())),
    }
}

pub(crate) fn mode_of(field: &str, mode: Option<&str>) -> Result<&'static str, Issue> {
    let known = MODES.into_iter().find(|known| Some(*known) == mode);
    known.ok_or_else(|| {
        let code = if mode.is_some() { IssueCode::UnknownCode } else { IssueCode::Missing };
        Issue::new(field, code).expecting(MODES.join(", "), MODES.join(", "))
    })
}

/// Queues a training; the process that runs schedules begins it within moments.
pub(crate) async fn ask(app: &App, mode: &'static str, by: String, key: String) -> Result<Job, Fault> {
    let at = app.now();
    app.registry(move |registry| {
        let slot = format!("request:{key}");
        let act = Act { key: &key, actor: &by, reason: "asked for", at };
        registry.queue_job(&NewJob { kind: mode, slot: &slot }, &act)
    })
    .await
}

/// `GET /api/v1/models/history`
pub(crate) async fn history(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let limit = Page::read(query.as_deref(), false)?.limit;
    let changes = app.registry(move |registry| registry.changes(limit)).await?;
    json_response(&History { changes })
}

/// `POST /api/v1/models/{version}/approve`: `{"approver": "…", "reason": "…"}`
pub(crate) async fn approve(
    State(app): Shared,
    Path(version): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let version: ModelVersion = version.parse()?;
    let Verdict { key, by, reason } = Verdict::read(&app, request).await?;
    let at = app.now();
    let promotion = app
        .registry(move |registry| {
            registry.approve(version, &Act { key: &key, actor: &by, reason: &reason, at })
        })
        .await?;
    changed(&app, promotion).await
}

/// `POST /api/v1/models/{version}/reject`: `{"approver": "…", "reason": "…"}`
pub(crate) async fn reject(
    State(app): Shared,
    Path(version): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let version: ModelVersion = version.parse()?;
    let Verdict { key, by, reason } = Verdict::read(&app, request).await?;
    let at = app.now();
    let change = app
        .registry(move |registry| {
            registry.reject(version, &Act { key: &key, actor: &by, reason: &reason, at })
        })
        .await?;
    json_response(&change)
}

/// What a second person says.
struct Verdict {
    key: String,
    by: String,
    reason: String,
}

impl Verdict {
    async fn read(app: &App, request: Request) -> Result<Verdict, Fault> {
        const NAMES: [&str; 2] = ["approver", "reason"];
        let (head, body) = request.into_parts();
        body::require_json(&head.headers)?;
        let key = idempotency_key(&head.headers)?;
        let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
        let tokens = fields(&body, &NAMES)?;
        let text = |at: usize, limit| tokens.get(at).unwrap_or(&Token::Missing).text(NAMES[at], limit);
        match (text(0, NAME_CHARS).and_then(|name| person(ACTOR, NAMES[0], name)), text(1, REASON_CHARS)) {
            (Ok(by), Ok(reason)) => Ok(Verdict { key, by, reason: reason.unwrap_or_default().to_owned() }),
            (by, reason) => Err(Fault::with_issues([by.err(), reason.err()].into_iter().flatten().collect())),
        }
    }
}
