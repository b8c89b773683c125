//! The record, to be read: reviews, audit, datasets.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use clinical::{Issue, IssueCode};
use registry::{AuditEntry, AuditHead, Review, ReviewState};
use serde::Serialize;

use super::json_response;
use crate::{
    app::Shared,
    fault::{Fault, Kind},
};

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: i32 = 1000;

#[derive(Serialize)]
struct Reviews {
    reviews: Vec<Review>,
    /// Give it as `after` to read on; `null` at the end.
    next: Option<u64>,
}

#[derive(Serialize)]
struct Audit {
    entries: Vec<AuditEntry>,
    /// The end of the chain: keep it elsewhere, and nothing before it can change unnoticed.
    head: AuditHead,
    next: Option<u64>,
}

/// `GET /api/v1/reviews?state=open&after=0&limit=100`
pub(crate) async fn reviews(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let page = Page::read(query.as_deref(), true)?;
    let (state, after, limit) = (page.state, page.after, page.limit);
    let reviews = app.registry(move |registry| registry.reviews(state, after, limit)).await?;
    let next = reviews.last().filter(|_| reviews.len() == limit as usize).map(|review| review.place);
    json_response(&Reviews { reviews, next })
}

/// `GET /api/v1/audit?after=0&limit=100`
pub(crate) async fn audit(State(app): Shared, RawQuery(query): RawQuery) -> Result<Response, Fault> {
    let page = Page::read(query.as_deref(), false)?;
    let (after, limit) = (page.after, page.limit);
    let (entries, head) =
        app.registry(move |registry| Ok((registry.audit(after, limit)?, registry.audit_head()?))).await?;
    let next = entries.last().filter(|_| entries.len() == limit as usize).map(|entry| entry.seq);
    json_response(&Audit { entries, head, next })
}

/// `GET /api/v1/datasets`
pub(crate) async fn datasets(State(app): Shared) -> Result<Response, Fault> {
    let catalogue = Arc::clone(&app.state.catalogue);
    let datasets = tokio::task::spawn_blocking(move || catalogue.datasets()).await;
    json_response(&datasets.map_err(|_| Fault::new(Kind::Internal))??)
}

/// Which part of a list is asked for.
pub(crate) struct Page {
    state: Option<ReviewState>,
    after: u64,
    pub(crate) limit: u32,
}

impl Page {
    /// # Errors
    /// 422 with every parameter that is wrong.
    pub(crate) fn read(query: Option<&str>, states: bool) -> Result<Page, Fault> {
        let mut page = Page { state: None, after: 0, limit: DEFAULT_LIMIT };
        let mut issues = Vec::new();
        for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*key {
                "state" if states => match &*value {
                    "open" => page.state = Some(ReviewState::Open),
                    "resolved" => page.state = Some(ReviewState::Resolved),
                    _ => issues.push(
                        Issue::new("state", IssueCode::UnknownCode)
                            .expecting("open, resolved", "open, resolved"),
                    ),
                },
                // SQLite's numbers have 63 bits.
                "after" => match value.parse::<u64>().ok().filter(|after| *after <= i64::MAX as u64) {
                    Some(after) => page.after = after,
                    None => issues.push(whole("after")),
                },
                "limit" => match value.parse::<i32>() {
                    Ok(limit @ 1..=MAX_LIMIT) => page.limit = limit.unsigned_abs(),
                    Ok(_) => issues.push(Issue::new("limit", IssueCode::OutOfRange).within(1, MAX_LIMIT)),
                    Err(_) => issues.push(whole("limit").within(1, MAX_LIMIT)),
                },
                _ => {}
            }
        }
        if issues.is_empty() { Ok(page) } else { Err(Fault::with_issues(issues)) }
    }
}

fn whole(field: &str) -> Issue {
    Issue::new(field, IssueCode::WrongType).expecting("un número entero", "a whole number")
}
