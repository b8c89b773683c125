//! Around every handler: refuses what none should see, bounds the time, catches a panic, words faults,
//! sets the headers that every answer has, and counts.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use clinical::Language;
use futures_util::FutureExt;

use crate::{
    app::App,
    fault::{Fault, Kind},
    language, origin, routes, web,
};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub(crate) async fn edge(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let in_flight = app.metrics.begin();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let asker = Asker::of(&uri, request.headers());

    let mut response = match admit(&app, &method, &uri, request.headers()) {
        Ok(()) => run(&app, route.as_ref(), request, next).await,
        Err(fault) => fault.into_response(),
    };
    if let Some(fault) = response.extensions_mut().remove::<Arc<Fault>>() {
        response = word(&app, &fault, &uri, &asker, response);
    }
    dress(response.headers_mut());
    drop(in_flight);
    let route = route.as_ref().map(MatchedPath::as_str);
    app.metrics.answered(method.as_str(), route, response.status().as_u16(), started.elapsed());
    response
}

fn admit(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    if app.loopback {
        origin::require_loopback_name(uri, headers)?;
    }
    origin::refuse_cross_site(method, uri, headers)
}

async fn run(app: &App, route: Option<&MatchedPath>, request: Request, next: Next) -> Response {
    let settings = &app.state.settings;
    let batch = route.is_some_and(|route| route.as_str() == routes::BATCH);
    let limit = if batch { settings.batch_timeout } else { settings.request_timeout };
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            // The panic's text may hold a value: only the place is recorded, by the panic hook.
            tracing::error!(route = route.map(MatchedPath::as_str), "a handler panicked");
            Fault::new(Kind::Internal).into_response()
        }
        Err(_) => Fault::new(Kind::Timeout).into_response(),
    }
}

/// How the client wants its faults.
enum Asker {
    /// As JSON.
    Program(Language),
    /// As a page.
    Visitor(web::Visit),
}

impl Asker {
    fn of(uri: &Uri, headers: &HeaderMap) -> Asker {
        let accepts_html = || {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
            accept.is_some_and(|accept| accept.contains("text/html"))
        };
        if !routes::is_programmatic(uri.path()) && accepts_html() {
            Asker::Visitor(web::Visit::of(uri, headers))
        } else {
            Asker::Program(language::accepted(headers))
        }
    }
}

/// Puts a fault into words, keeping the headers that the handler and the router set.
fn word(app: &Arc<App>, fault: &Fault, uri: &Uri, asker: &Asker, bare: Response) -> Response {
    let (mut response, language) = match *asker {
        Asker::Visitor(visit) => (web::fault_page(app, fault, visit), visit.words.0),
        Asker::Program(language) => {
            let problem = fault.problem(&app.state.study, language, Some(uri.path()));
            let body = serde_json::to_vec(&problem).unwrap_or_default();
            let media = HeaderValue::from_static("application/problem+json");
            (([(header::CONTENT_TYPE, media)], body).into_response(), language)
        }
    };
    *response.status_mut() = bare.status();
    let headers = response.headers_mut();
    for name in [header::ALLOW, header::RETRY_AFTER, header::CONNECTION] {
        if let Some(value) = bare.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    speaks(headers, language);
    response
}

/// Says which language a text is in, and what it was chosen by.
pub(crate) fn speaks(headers: &mut HeaderMap, language: Language) {
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language, Cookie"));
}

fn dress(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    // Whatever is not marked as cacheable may hold a patient's data.
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    let html =
        headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if html {
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    }
}
