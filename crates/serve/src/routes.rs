//! Every address that is served.

use std::sync::Arc;

use axum::{
    Router,
    http::Uri,
    middleware,
    routing::{MethodRouter, get, post},
};

use crate::{
    app::App,
    assets, edge,
    fault::{Fault, Kind},
    health, openapi, rest, web,
};

/// The route that is asked most.
pub(crate) const PREDICTIONS: &str = "/api/v1/predictions";
/// The one route whose requests may be large and long.
pub(crate) const BATCH: &str = "/api/v1/predictions/batch";

type Route = (&'static str, MethodRouter<Arc<App>>);

fn all() -> Vec<Route> {
    let mut routes: Vec<Route> = vec![
        ("/healthz", get(health::live)),
        ("/readyz", get(health::ready)),
        ("/metrics", get(health::metrics)),
        ("/openapi.json", get(openapi::document)),
        ("/assets/{*path}", get(assets::file)),
    ];
    routes.extend(api());
    routes.extend(monitoring());
    routes.extend(pages());
    routes
}

fn api() -> Vec<Route> {
    vec![
        (PREDICTIONS, post(rest::predictions::create)),
        (BATCH, post(rest::batch::create)),
        ("/api/v1/predictions/{id}", get(rest::predictions::show)),
        ("/api/v1/predictions/{id}/feedback", post(rest::feedback::create)),
        ("/api/v1/reviews", get(rest::records::reviews)),
        ("/api/v1/reviews/suggestions", post(rest::reviews::suggest)),
        ("/api/v1/reviews/{id}", get(rest::reviews::show)),
        ("/api/v1/reviews/{id}/resolution", post(rest::reviews::resolve)),
        ("/api/v1/retrainings", get(rest::cycle::list).post(rest::cycle::start)),
        ("/api/v1/retrainings/{id}", get(rest::cycle::show)),
        ("/api/v1/audit", get(rest::records::audit)),
        ("/api/v1/datasets", get(rest::records::datasets)),
        ("/api/v1/models", get(rest::models::list)),
        ("/api/v1/models/history", get(rest::cycle::history)),
        ("/api/v1/models/champion", get(rest::models::champion)),
        ("/api/v1/models/rollback", post(rest::models::rollback)),
        ("/api/v1/models/{version}", get(rest::models::show)),
        ("/api/v1/models/{version}/promote", post(rest::models::promote)),
        ("/api/v1/models/{version}/approve", post(rest::cycle::approve)),
        ("/api/v1/models/{version}/reject", post(rest::cycle::reject)),
    ]
}

fn monitoring() -> [Route; 6] {
    use rest::monitoring as m;
    [
        ("/api/v1/monitoring/drift", get(m::drift)),
        ("/api/v1/monitoring/performance", get(m::performance)),
        ("/api/v1/monitoring/quality", get(m::quality)),
        ("/api/v1/monitoring/alerts", get(m::alerts)),
        ("/api/v1/monitoring/alerts/{id}/acknowledge", post(m::acknowledge)),
        ("/api/v1/monitoring/alerts/{id}/resolve", post(m::resolve)),
    ]
}

fn pages() -> Vec<Route> {
    vec![
        ("/", get(web::form::page).post(web::form::submit)),
        ("/cases/{id}", get(web::case::page)),
        ("/cases/{id}/feedback", get(web::feedback::page).post(web::feedback::submit)),
        ("/reviews", get(web::reviews::list).post(web::reviews::suggest)),
        ("/reviews/{id}", get(web::reviews::page).post(web::reviews::submit)),
        ("/cycle", get(web::cycle::page)),
        ("/cycle/retrain", post(web::cycle::retrain)),
        ("/cycle/rollback", post(web::cycle::rollback)),
        ("/cycle/{version}/approval", post(web::cycle::answer)),
        ("/cycle/changes/{id}", get(web::cycle::change)),
        ("/model", get(web::model_card::page)),
        ("/model/card", get(web::model_card::file)),
        ("/monitor", get(web::monitor::page)),
        ("/monitor/alerts/{id}", post(web::monitor::submit)),
        ("/docs", get(web::docs::page)),
    ]
}

/// The paths, as metrics name them.
pub(crate) fn names() -> Vec<&'static str> {
    all().into_iter().map(|(path, _)| path).collect()
}

/// Whether an address is made for programs: its faults are never pages.
pub(crate) fn is_programmatic(path: &str) -> bool {
    path.starts_with("/api/") || matches!(path, "/healthz" | "/readyz" | "/metrics" | "/openapi.json")
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (path, methods) in all() {
        router = router.route(path, methods);
    }
    router
        .fallback(async |_: Uri| Fault::new(Kind::NotFound))
        .method_not_allowed_fallback(async || Fault::new(Kind::MethodNotAllowed))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), edge::edge))
        .with_state(app)
}
