//! The monitoring page: is the model still good, and does it still see the same patients?

mod drift;
mod performance;
mod view;

use askama::Template;
use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::Response,
};
use registry::{AlertState, ReviewState};

use super::{Frame, Visit, Words, field, fresh_key, read_form, render, see_other};
use crate::{
    app::Shared,
    fault::{Fault, Kind},
    rest::monitoring::{Move, settle},
    watched::HISTORY,
};
use view::View;

/// The page has no sign-in yet: whoever sits before it.
const ACTOR: &str = "page";
/// Alerts, reviews and changes of champion that are read at most.
const MOST: u32 = 1000;
const MOST_CHANGES: u32 = 20;

#[derive(Template)]
#[template(path = "monitor.html")]
struct MonitorPage {
    w: Words,
    frame: Frame,
    /// None before the first look.
    view: Option<View>,
}

/// What the registry knows, of one moment.
pub(crate) struct Known {
    /// Newest first.
    runs: Vec<registry::MonitoringRun>,
    alerts: Vec<registry::Alert>,
    reigns: Vec<registry::Reign>,
    waiting: usize,
}

/// `GET /monitor`
pub(crate) async fn page(State(app): Shared, visit: Visit) -> Result<Response, Fault> {
    let known = app
        .registry(|registry| {
            Ok(Known {
                runs: registry.monitoring_runs(HISTORY)?,
                alerts: registry.alerts(None, MOST)?,
                reigns: registry.reigns(MOST_CHANGES)?,
                waiting: registry.reviews(Some(ReviewState::Open), 0, MOST)?.len(),
            })
        })
        .await?;
    let model = app.state.champions.current();
    let study = model.as_ref().map_or(&*app.state.study, |model| model.study());
    let w = visit.words;
    let view = View::new(&known, study, w);
    render(visit, StatusCode::OK, &MonitorPage { w, frame: Frame::new(&app, "monitor", w), view })
}

/// `POST /monitor/alerts/{id}`: somebody looks after an alert, or says that it is over.
pub(crate) async fn submit(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let (_, fields) = read_form(request).await?;
    let to = match field(&fields, "move") {
        "acknowledge" => Move::Acknowledge,
        "resolve" => Move::Resolve,
        _ => return Err(Fault::new(Kind::BadRequest)),
    };
    settle(&app, &id, to, format!("page:{}", fresh_key()), ACTOR, String::new()).await?;
    Ok(see_other("/monitor#h-alerts"))
}

/// Whether somebody still has to do something about an alert.
fn is_open(alert: &registry::Alert) -> bool {
    alert.state != AlertState::Resolved
}
