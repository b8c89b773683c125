//! The review queue over REST: one review, what a named reviewer finds, and the asking of more.

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use clinical::{Issue, IssueCode, Rarity, Raw, Study};
use registry::{Act, Feedback, Outcome, Resolution, Review, ReviewState};
use serde::Serialize;

use super::{
    ACTOR,
    feedback::{COMMENT_CHARS, DISEASE_CODE_CHARS},
    fields, idempotency_key,
    json::Token,
    json_response, person,
};
use crate::{
    app::{App, Shared},
    body,
    fault::{Fault, Kind},
};

const FIELDS: [&str; 6] = ["reviewer", "severity", "rarity", "disease_code", "comment", "outcome"];
/// What `outcome` may say: a confirmed case, or nothing to confirm.
const OUTCOMES: [&str; 2] = ["case", "dismissed"];
/// Patients that are asked about at once, at most.
const MOST: i64 = 1000;

/// A review with what was said of its prediction.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    review: Review,
    opinions: Vec<Feedback>,
}

/// `GET /api/v1/reviews/{id}`
pub(crate) async fn show(State(app): Shared, Path(id): Path<String>) -> Result<Response, Fault> {
    let id = number(&id)?;
    let shown = app
        .registry(move |registry| {
            let review = registry.review(id)?;
            let opinions = registry.feedback(&review.prediction_id)?;
            Ok(Shown { review, opinions })
        })
        .await?;
    json_response(&shown)
}

/// `POST /api/v1/reviews/{id}/resolution`
pub(crate) async fn resolve(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let id = number(&id)?;
    let (head, body) = request.into_parts();
    body::require_json(&head.headers)?;
    let key = idempotency_key(&head.headers)?;
    let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
    let tokens = fields(&body, &FIELDS)?;
    let found = Found::check(&app.state.study, &tokens, ACTOR).map_err(Fault::with_issues)?;
    json_response(&record(&app, id, found, key).await?)
}

/// `POST /api/v1/reviews/suggestions`
pub(crate) async fn suggest(State(app): Shared, request: Request) -> Result<Response, Fault> {
    const NAMES: [&str; 2] = ["number", "requested_by"];
    let (head, body) = request.into_parts();
    let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
    let tokens = match body.is_empty() {
        true => Vec::new(),
        false => {
            body::require_json(&head.headers)?;
            fields(&body, &NAMES)?
        }
    };
    let (mut issues, mut number, mut actor) = (Vec::new(), 20, ACTOR.to_owned());
    let most = i32::try_from(MOST).unwrap_or(i32::MAX);
    match tokens.first().unwrap_or(&Token::Missing) {
        Token::Missing => {}
        Token::Integer(wanted @ 1..=MOST) => number = *wanted,
        Token::Integer(_) => issues.push(Issue::new(NAMES[0], IssueCode::OutOfRange).within(1, most)),
        _ => issues
            .push(Issue::new(NAMES[0], IssueCode::WrongType).expecting("un número entero", "a whole number")),
    }
    match tokens.get(1).unwrap_or(&Token::Missing).text(NAMES[1], super::NAME_CHARS) {
        Ok(None) => {}
        Ok(name) => match person(ACTOR, NAMES[1], name) {
            Ok(named) => actor = named,
            Err(issue) => issues.push(issue),
        },
        Err(issue) => issues.push(issue),
    }
    if !issues.is_empty() {
        return Err(Fault::with_issues(issues));
    }
    let number = usize::try_from(number).unwrap_or_default();
    json_response(&app.state.circle.suggest(number, actor).await?)
}

/// What a named reviewer found, checked.
pub(crate) struct Found {
    pub(crate) reviewer: String,
    pub(crate) resolution: Resolution,
}

impl Found {
    /// Checks the values of [`FIELDS`], in that order, with every problem at once.
    pub(crate) fn check(study: &Study, tokens: &[Token<'_>], origin: &str) -> Result<Found, Vec<Issue>> {
        let mut issues = Vec::new();
        let mut text = |field: usize, limit: usize| {
            let token = tokens.get(field).unwrap_or(&Token::Missing);
            token.text(FIELDS[field], limit).unwrap_or_else(|issue| {
                issues.push(issue);
                None
            })
        };
        let reviewer = text(0, super::NAME_CHARS);
        let [severity, rarity, code] = [text(1, 64), text(2, 64), text(3, DISEASE_CODE_CHARS)]
            .map(|text| text.map_or(Raw::Missing, Raw::Text));
        let comment = text(4, COMMENT_CHARS).map(str::to_owned);
        let wanted = text(5, 64);
        let reviewer = person(origin, FIELDS[0], reviewer);
        let outcome = match wanted {
            None | Some("case") => match study.check_outcome(severity, rarity, code) {
                Ok(Some(found)) => Some(Outcome::Case {
                    severity: study.severity(found.severity).code.clone(),
                    rarity: found.rarity.map(|rarity| rarity.code().to_owned()),
                    disease_code: found.disease_code,
                }),
                Ok(None) => {
                    issues.push(Issue::new(FIELDS[1], IssueCode::Missing));
                    None
                }
                Err(wrong) => {
                    issues.extend(wrong);
                    None
                }
            },
            Some("dismissed") => Some(Outcome::Dismissed),
            Some(_) => {
                let codes = OUTCOMES.join(", ");
                issues.push(Issue::new(FIELDS[5], IssueCode::UnknownCode).expecting(codes.clone(), codes));
                None
            }
        };
        match (reviewer, outcome) {
            (Ok(reviewer), Some(outcome)) if issues.is_empty() => {
                Ok(Found { reviewer, resolution: Resolution { outcome, comment } })
            }
            (reviewer, _) => {
                // The same field is not complained about twice.
                issues
                    .extend(reviewer.err().filter(|issue| issues.iter().all(|own| own.field != issue.field)));
                Err(issues)
            }
        }
    }
}

/// Takes a finding, and brings the case that it confirms into the data.
pub(crate) async fn record(app: &App, id: u64, found: Found, key: String) -> Result<Review, Fault> {
    let at = app.now();
    let needed = match &found.resolution.outcome {
        Outcome::Case { rarity, .. } if rarity.as_deref() == Some(Rarity::Orphan.code()) => {
            app.state.settings.confirmations
        }
        _ => 1,
    };
    let review = app
        .registry(move |registry| {
            let act = Act { key: &key, actor: &found.reviewer, reason: "review", at };
            registry.resolve_review(id, &found.resolution, needed, &act)
        })
        .await?;
    let case = matches!(review.resolution, Some(Resolution { outcome: Outcome::Case { .. }, .. }));
    if review.state == ReviewState::Open || !case || review.dataset_version.is_some() {
        return Ok(review);
    }
    // The finding is kept; a case that cannot enter the data now does so with the next one.
    if let Err(error) = app.state.circle.collect().await {
        tracing::error!(%error, review = id, "a confirmed case waits");
    }
    app.registry(move |registry| registry.review(id)).await
}

/// # Errors
/// 404 for what is no number.
pub(crate) fn number(text: &str) -> Result<u64, Fault> {
    let unknown = || {
        Fault::because(Kind::NotFound, "No existe nada con este número.", "There is nothing of this number.")
    };
    text.parse().map_err(|_| unknown())
}
