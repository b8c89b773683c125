//! Around every handler: refuses what none should see, bounds the time, catches a panic, words faults,
//! sets the headers that every answer has, and counts.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, LazyLock},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use clinical::Language;
use futures_util::FutureExt;
use hyper::body::Incoming;

use crate::{
    app::App,
    fault::{Fault, Kind},
    language, origin, rest, routes, web,
};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The edge around the router.
pub(crate) async fn edge(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let asker = Asker::of(&uri, request.headers());
    let handler = admit(&app, &method, &uri, request.headers()).map(|()| next.run(request));
    let passing =
        Passing { method: &method, uri: &uri, asker, route: route.as_ref().map(MatchedPath::as_str) };
    around(&app, &passing, handler).await
}

/// The edge around the route that is asked most, without a router and what it boxes and copies.
pub(crate) async fn prediction(app: Arc<App>, request: hyper::Request<Incoming>) -> Response {
    let (head, body) = request.into_parts();
    let asker = Asker::of(&head.uri, &head.headers);
    let handler = admit(&app, &head.method, &head.uri, &head.headers)
        .map(|()| async { rest::predictions::answered(&app, &head, body).await.into_response() });
    let passing = Passing { method: &head.method, uri: &head.uri, asker, route: Some(routes::PREDICTIONS) };
    around(&app, &passing, handler).await
}

/// A request as the edge sees it.
struct Passing<'a> {
    method: &'a Method,
    uri: &'a Uri,
    asker: Asker,
    /// As metrics name it; `None` for an address that is not served.
    route: Option<&'a str>,
}

async fn around(
    app: &Arc<App>,
    passing: &Passing<'_>,
    handler: Result<impl Future<Output = Response>, Fault>,
) -> Response {
    let started = Instant::now();
    let in_flight = app.metrics.begin();
    let mut response = match handler {
        Ok(handler) => run(app, passing.route, handler).await,
        Err(fault) => fault.into_response(),
    };
    if let Some(fault) = response.extensions_mut().remove::<Arc<Fault>>() {
        response = word(app, &fault, passing, response);
    }
    dress(response.headers_mut());
    drop(in_flight);
    let (method, status) = (passing.method.as_str(), response.status().as_u16());
    app.metrics.answered(method, passing.route, status, started.elapsed());
    response
}

fn admit(app: &App, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    if app.loopback {
        origin::require_loopback_name(uri, headers)?;
    }
    origin::refuse_cross_site(method, uri, headers)
}

async fn run(app: &App, route: Option<&str>, handler: impl Future<Output = Response>) -> Response {
    let settings = &app.state.settings;
    let limit = if route == Some(routes::BATCH) { settings.batch_timeout } else { settings.request_timeout };
    let answer = AssertUnwindSafe(handler).catch_unwind();
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => {
            // The panic's text may hold a value: only the place is recorded, by the panic hook.
            tracing::error!(route, "a handler panicked");
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
fn word(app: &Arc<App>, fault: &Fault, passing: &Passing<'_>, bare: Response) -> Response {
    let (mut response, language) = match passing.asker {
        Asker::Visitor(visit) => (web::fault_page(app, fault, visit), visit.words.0),
        Asker::Program(language) => {
            let problem = fault.problem(&app.state.study, language, Some(passing.uri.path()));
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

/// The headers of an answer as JSON in a language, complete: made once and copied, since there are as many as words in a short answer.
pub(crate) fn json_headers(language: Language) -> HeaderMap {
    static MADE: LazyLock<[HeaderMap; 2]> = LazyLock::new(|| {
        [Language::Es, Language::En].map(|language| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            speaks(&mut headers, language);
            dress(&mut headers);
            headers
        })
    });
    let [spanish, english] = &*MADE;
    match language {
        Language::Es => spanish.clone(),
        Language::En => english.clone(),
    }
}

fn dress(headers: &mut HeaderMap) {
    // Set nowhere else: whoever has it has them all.
    if headers.contains_key(&RESOURCE_POLICY) {
        return;
    }
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
