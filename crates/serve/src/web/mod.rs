//! The page: made on the server, whole without script, in two languages.
//!
//! Every form, label and limit follows from the study. A result is a logged case: sending the form
//! stores the answer and leads to the case's own address, so reloading is harmless and no address holds
//! a patient's value.

pub(crate) mod case;
mod chart;
mod confirm;
pub(crate) mod cycle;
pub(crate) mod docs;
pub(crate) mod feedback;
pub(crate) mod form;
pub(crate) mod model_card;
pub(crate) mod monitor;
mod result;
pub(crate) mod reviews;
mod waterfall;
mod words;

use std::{convert::Infallible, sync::Arc};

use askama::Template;
use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use clinical::Language;
use uuid::Uuid;

pub(crate) use self::words::Words;
use crate::{
    app::App,
    assets,
    body::{self, Media},
    edge,
    fault::{Fault, Kind},
    language,
};

/// Largest form, in bytes: a note of the longest kind, every character escaped.
const FORM_LIMIT: usize = 256 << 10;

/// Who looks at a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) words: Words,
    /// The language was chosen in this address: remember it.
    choice: Option<Language>,
}

impl Visit {
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Visit {
        Visit { words: Words(language::of_page(uri, headers)), choice: language::asked(uri) }
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visit, Infallible> {
        Ok(Visit::of(&parts.uri, &parts.headers))
    }
}

/// What surrounds every page.
pub(crate) struct Frame {
    /// The menu entry that is open.
    place: &'static str,
    model: Option<ModelInUse>,
}

struct ModelInUse {
    version: String,
    date: String,
}

impl Frame {
    pub(crate) fn new(app: &App, place: &'static str, words: Words) -> Frame {
        let model = app.state.champions.current().map(|model| ModelInUse {
            version: model.reference().version.clone(),
            date: words.date(model.created_at()),
        });
        Frame { place, model }
    }

    fn asset(&self, name: &str) -> String {
        assets::address(name)
    }
}

/// A page in the visitor's language.
pub(crate) fn render(visit: Visit, status: StatusCode, page: &impl Template) -> Result<Response, Fault> {
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be made");
        Fault::new(Kind::Internal)
    })?;
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    edge::speaks(headers, visit.words.0);
    if let Some(choice) = visit.choice {
        let (name, tag) = (language::COOKIE, choice.tag());
        let cookie = format!("{name}={tag}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.insert(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

/// Leads the browser on after a form was stored.
pub(crate) fn see_other(place: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// The fields of a sent form, in order, and who sent it.
///
/// # Errors
/// 415 for anything but a form, 413 for a large one.
pub(crate) async fn read_form(request: Request) -> Result<(Visit, Vec<(String, String)>), Fault> {
    let (head, body) = request.into_parts();
    if body::media(&head.headers) != Some(Media::Form) {
        return Err(Fault::because(
            Kind::UnsupportedMediaType,
            "Envíe application/x-www-form-urlencoded.",
            "Send application/x-www-form-urlencoded.",
        ));
    }
    let body = body::read(&head.headers, body, FORM_LIMIT).await?;
    let fields =
        form_urlencoded::parse(&body).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    Ok((Visit::of(&head.uri, &head.headers), fields))
}

/// The first field of this name, trimmed; empty where there is none.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim())
}

/// A key drawn when a form is shown, so that sending it twice stores once.
pub(crate) fn fresh_key() -> String {
    Uuid::now_v7().to_string()
}

#[derive(Template)]
#[template(path = "fault.html")]
struct FaultPage<'a> {
    w: Words,
    frame: Frame,
    title: &'a str,
    detail: &'a str,
    status: u16,
}

/// A fault as a page.
pub(crate) fn fault_page(app: &Arc<App>, fault: &Fault, visit: Visit) -> Response {
    let w = visit.words;
    let page = FaultPage {
        w,
        frame: Frame::new(app, "", w),
        title: fault.kind.title(w.0),
        detail: fault.detail(w.0),
        status: fault.kind.status().as_u16(),
    };
    render(visit, fault.kind.status(), &page)
        .unwrap_or_else(|_| fault.kind.title(w.0).to_owned().into_response())
}
