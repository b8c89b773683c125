//! The cycle as pages: trainings that are asked for, challengers that wait for a second person, and the life of the model.

use askama::Template;
use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode},
    response::Response,
};
use registry::{Act, Change, ChangeKind, Job, JobState, ModelVersion};
use serde_json::Value;

use super::{
    Frame, Visit, Words,
    confirm::{ConfirmPage, Step, carried},
    field, fresh_key, read_form, render, see_other,
};
use crate::{
    app::{App, Shared},
    fault::{Fault, Kind},
    record::rfc3339,
    rest::{
        cycle::{MODES, ask, mode_of},
        models::REASON_CHARS,
        person,
        reviews::number,
    },
};

const ORIGIN: &str = "page";
/// Jobs and changes that are listed.
const LISTED: u32 = 50;
/// Figures that are set side by side.
const FIGURES: [&str; 6] =
    ["f1_common", "macro_f1", "orphan_recall", "orphan_average_precision", "log_loss", "calibration_error"];

#[derive(Template)]
#[template(path = "cycle.html")]
struct CyclePage {
    w: Words,
    frame: Frame,
    waiting_reviews: String,
    modes: Vec<ModeView>,
    key: String,
    name: String,
    error: Option<String>,
    jobs: Vec<JobView>,
    waiting: Vec<ChangeView>,
    changes: Vec<ChangeView>,
    may_roll_back: bool,
}

struct ModeView {
    code: &'static str,
    label: String,
    note: String,
    chosen: bool,
}

struct JobView {
    id: u64,
    what: String,
    who: String,
    state: String,
    tone: &'static str,
    date: String,
    result: String,
}

struct ChangeView {
    id: u64,
    kind: String,
    tone: &'static str,
    model: String,
    previous: String,
    cause: String,
    who: String,
    date: String,
    reason: String,
    figures: Vec<FigureView>,
}

/// One figure before and after.
struct FigureView {
    label: String,
    before: String,
    after: String,
    difference: String,
}

#[derive(Template)]
#[template(path = "change.html")]
struct ChangePage {
    w: Words,
    frame: Frame,
    change: ChangeView,
    /// The whole record, as JSON.
    evidence: String,
}

/// `GET /cycle`
pub(crate) async fn page(State(app): Shared, visit: Visit) -> Result<Response, Fault> {
    shown(&app, visit, &[], None).await
}

async fn shown(
    app: &App,
    visit: Visit,
    fields: &[(String, String)],
    error: Option<String>,
) -> Result<Response, Fault> {
    let w = visit.words;
    let (jobs, changes, waiting, open) = app
        .registry(|registry| {
            let waiting = registry.unanswered(ChangeKind::Wait)?;
            Ok((registry.jobs(LISTED)?, registry.changes(LISTED)?, waiting, registry.open_reviews()?))
        })
        .await?;
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let under_way = jobs.iter().any(|job| matches!(job.state, JobState::Queued | JobState::Running));
    let modes = MODES.map(|code| ModeView {
        code,
        label: w.t(&format!("mode-{code}")),
        note: w.t(&format!("mode-{code}-note")),
        chosen: code == field(fields, "mode"),
    });
    let page = CyclePage {
        w,
        frame: Frame::new(app, "cycle", w),
        waiting_reviews: w.count("cycle-reviews", open.values().sum::<u64>()),
        modes: modes.into(),
        key: fresh_key(),
        name: field(fields, "name").to_owned(),
        jobs: jobs.iter().map(|job| job_view(job, w)).collect(),
        waiting: waiting.iter().map(|change| change_view(change, w)).collect(),
        may_roll_back: changes.iter().any(|change| change.epoch.is_some() && change.previous.is_some()),
        changes: changes.iter().map(|change| change_view(change, w)).collect(),
        error,
    };
    let mut response = render(visit, status, &page)?;
    if under_way && page.error.is_none() {
        // Until it ends the page shows how far it has come.
        response.headers_mut().insert("refresh", HeaderValue::from_static("3; url=/cycle"));
    }
    Ok(response)
}

/// `GET /cycle/changes/{id}`
pub(crate) async fn change(
    State(app): Shared,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Response, Fault> {
    let id = number(&id)?;
    let found = app.registry(move |registry| registry.change(id)).await?;
    let change = found.ok_or_else(|| Fault::new(Kind::NotFound))?;
    let w = visit.words;
    let evidence = serde_json::to_string_pretty(&change).map_err(|_| Fault::new(Kind::Internal))?;
    let (frame, change) = (Frame::new(&app, "cycle", w), change_view(&change, w));
    render(visit, StatusCode::OK, &ChangePage { w, frame, change, evidence })
}

/// `POST /cycle/retrain`: first to the second look, then into the queue of jobs.
pub(crate) async fn retrain(State(app): Shared, request: Request) -> Result<Response, Fault> {
    let (visit, fields) = read_form(request).await?;
    let w = visit.words;
    let mode = match mode_of("mode", Some(field(&fields, "mode"))) {
        Ok(mode) => mode,
        Err(_) => return shown(&app, visit, &fields, Some(w.t("cycle-choose-mode"))).await,
    };
    let Ok(by) = person(ORIGIN, "name", Some(field(&fields, "name"))) else {
        return shown(&app, visit, &fields, Some(w.t("review-name-missing"))).await;
    };
    match Step::of(&fields) {
        Step::Edit => shown(&app, visit, &fields, None).await,
        Step::Confirmed => {
            ask(&app, mode, by, format!("page:{}", field(&fields, "key"))).await?;
            Ok(see_other("/cycle#jobs"))
        }
        Step::Filled => {
            let lines = vec![
                (w.t("cycle-mode"), w.t(&format!("mode-{mode}"))),
                (w.t("cycle-asked-by"), field(&fields, "name").to_owned()),
            ];
            let page = ConfirmPage {
                title: w.t("cycle-retrain-check"),
                lead: w.t("cycle-retrain-lead"),
                button: w.t("cycle-retrain-do"),
                action: "/cycle/retrain".to_owned(),
                ..second_look(&app, w, lines, &fields)
            };
            render(visit, StatusCode::OK, &page)
        }
    }
}

/// `POST /cycle/rollback`
pub(crate) async fn rollback(State(app): Shared, request: Request) -> Result<Response, Fault> {
    let (visit, fields) = read_form(request).await?;
    let w = visit.words;
    let Ok(by) = person(ORIGIN, "name", Some(field(&fields, "name"))) else {
        return shown(&app, visit, &fields, Some(w.t("review-name-missing"))).await;
    };
    match Step::of(&fields) {
        Step::Edit => shown(&app, visit, &fields, None).await,
        Step::Confirmed => {
            let (key, reason, at) = (key(&fields), reason(&fields), app.now());
            app.registry(move |registry| {
                registry.rollback(&Act { key: &key, actor: &by, reason: &reason, at })
            })
            .await?;
            app.state.champions.refresh().await;
            Ok(see_other("/cycle#changes"))
        }
        Step::Filled => {
            let page = ConfirmPage {
                title: w.t("cycle-rollback"),
                lead: w.t("cycle-rollback-lead"),
                button: w.t("cycle-rollback-do"),
                action: "/cycle/rollback".to_owned(),
                ..second_look(&app, w, named(&fields, w), &fields)
            };
            render(visit, StatusCode::OK, &page)
        }
    }
}

/// `POST /cycle/{version}/approval`: a second person's answer to a challenger that waits.
pub(crate) async fn answer(
    State(app): Shared,
    Path(version): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let version: ModelVersion = version.parse()?;
    let (visit, fields) = read_form(request).await?;
    let w = visit.words;
    let Ok(by) = person(ORIGIN, "name", Some(field(&fields, "name"))) else {
        return shown(&app, visit, &fields, Some(w.t("review-name-missing"))).await;
    };
    let approves = field(&fields, "answer") == "approve";
    match Step::of(&fields) {
        Step::Edit => shown(&app, visit, &fields, None).await,
        Step::Confirmed => {
            let (key, reason, at) = (key(&fields), reason(&fields), app.now());
            app.registry(move |registry| {
                let act = Act { key: &key, actor: &by, reason: &reason, at };
                match approves {
                    true => registry.approve(version, &act).map(drop),
                    false => registry.reject(version, &act).map(drop),
                }
            })
            .await?;
            app.state.champions.refresh().await;
            Ok(see_other("/cycle#changes"))
        }
        Step::Filled => {
            let mut lines = vec![(w.t("model"), version.to_string())];
            lines.extend(named(&fields, w));
            let button = if approves { w.t("cycle-approve") } else { w.t("cycle-reject") };
            let page = ConfirmPage {
                title: button.clone(),
                lead: if approves { w.t("cycle-approve-lead") } else { w.t("cycle-reject-lead") },
                button,
                action: format!("/cycle/{version}/approval"),
                ..second_look(&app, w, lines, &fields)
            };
            render(visit, StatusCode::OK, &page)
        }
    }
}

fn second_look(
    app: &App,
    w: Words,
    lines: Vec<(String, String)>,
    fields: &[(String, String)],
) -> ConfirmPage {
    ConfirmPage {
        w,
        frame: Frame::new(app, "cycle", w),
        title: String::new(),
        lead: String::new(),
        lines,
        warning: None,
        button: String::new(),
        action: String::new(),
        fields: carried(fields),
    }
}

fn named(fields: &[(String, String)], w: Words) -> Vec<(String, String)> {
    vec![(w.t("your-name"), field(fields, "name").to_owned()), (w.t("cycle-reason"), reason(fields))]
}

fn key(fields: &[(String, String)]) -> String {
    format!("page:{}", field(fields, "key"))
}

fn reason(fields: &[(String, String)]) -> String {
    field(fields, "reason").chars().take(REASON_CHARS).collect()
}

fn job_view(job: &Job, w: Words) -> JobView {
    let (state, tone) = match job.state {
        JobState::Queued => ("job-queued", "info"),
        JobState::Running => ("job-running", "info"),
        JobState::Succeeded => ("job-succeeded", "ok"),
        JobState::Failed => ("job-failed", "crit"),
    };
    let outcome = job.outcome.as_ref();
    let decision =
        outcome.and_then(|outcome| outcome["decision"].as_str()).map(|code| format!("decision-{code}"));
    let decision = decision.filter(|key| w.knows(key)).map(|key| w.t(&key));
    let model = outcome.and_then(|outcome| outcome["challenger"]["model"].as_str());
    let result = match (decision, model, &job.error) {
        (Some(decision), Some(model), _) => format!("{model}: {decision}"),
        (Some(decision), None, _) => decision,
        (None, _, Some(_)) => w.t("job-failed-note"),
        (None, ..) => String::new(),
    };
    let mode = format!("mode-{}", job.kind);
    JobView {
        id: job.id,
        what: if w.knows(&mode) { w.t(&mode) } else { job.kind.clone() },
        who: who(&job.requested_by, w),
        state: w.t(state),
        tone,
        date: w.moment(&rfc3339(job.ended_at.or(job.started_at).unwrap_or(job.queued_at))),
        result,
    }
}

/// `schedule` in words; a person as they are recorded.
fn who(name: &str, w: Words) -> String {
    if name == "schedule" { w.t("cycle-schedule") } else { name.to_owned() }
}

fn change_view(change: &Change, w: Words) -> ChangeView {
    let tone = match change.kind {
        ChangeKind::Promotion => "ok",
        ChangeKind::Rollback | ChangeKind::Hold | ChangeKind::Rejection => "warn",
        ChangeKind::Wait | ChangeKind::Shadow => "info",
    };
    let figures = &change.evidence["figures"];
    let number = |side: &str, name: &str| figures[side][name]["value"].as_f64();
    let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| w.number(value, 3));
    let figure = |name: &&str| {
        let (before, after) = (number("before", name), number("after", name));
        (before.is_some() || after.is_some()).then(|| FigureView {
            label: w.t(&format!("metric-{name}")),
            before: text(before),
            after: text(after),
            difference: difference(&figures["difference"][*name], w),
        })
    };
    let cause = format!("cause-{}", change.cause.replace(':', "-"));
    ChangeView {
        id: change.id,
        kind: w.t(&format!("change-{}", change.kind.code())),
        tone,
        model: change.model.to_string(),
        previous: change.previous.map(|version| version.to_string()).unwrap_or_default(),
        cause: if w.knows(&cause) { w.t(&cause) } else { change.cause.clone() },
        who: who(&change.actor, w),
        date: w.moment(&rfc3339(change.at)),
        reason: change.reason.clone(),
        figures: FIGURES.iter().filter_map(figure).collect(),
    }
}

/// A paired difference with its interval; empty where there is none.
fn difference(figure: &Value, w: Words) -> String {
    let numbers = ["value", "low", "high"].map(|name| figure[name].as_f64());
    let [Some(value), Some(low), Some(high)] = numbers else { return String::new() };
    let [value, low, high] = [value, low, high].map(|number| w.number(number, 3));
    w.args("change-difference", &[("value", &value), ("low", &low), ("high", &high)])
}
