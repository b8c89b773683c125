//! What a doctor says of an answer. It is an opinion: it opens a review and never trains by itself.

use axum::{
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use clinical::{Issue, IssueCode, Rarity, Study};
use registry::{Act, Feedback, NewFeedback, Verdict};

use super::{
    ACTOR, NAME_CHARS, idempotency_key,
    json::{self, NotAnObject, Token},
    json_response, person,
    predictions::{self, Logged},
};
use crate::{
    app::{App, Shared},
    body,
    fault::{Fault, Kind},
};

const FIELDS: [&str; 6] = ["verdict", "severity", "rarity", "disease_code", "comment", "reporter"];

/// Longest texts, in characters.
pub(crate) const DISEASE_CODE_CHARS: usize = 64;
pub(crate) const COMMENT_CHARS: usize = 4000;

/// `POST /api/v1/predictions/{id}/feedback`
pub(crate) async fn create(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let (head, body) = request.into_parts();
    body::require_json(&head.headers)?;
    let key = idempotency_key(&head.headers)?;
    let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
    let logged = predictions::find(&app, &id).await?;
    let tokens =
        match json::object(&body, FIELDS.len(), |name| FIELDS.iter().position(|field| *field == name)) {
            Ok(tokens) => tokens,
            Err(NotAnObject::Broken) => return Err(Fault::new(Kind::BrokenJson)),
            Err(NotAnObject::OtherType) => FIELDS.iter().map(|_| Token::Missing).collect(),
        };
    let opinion = Opinion::check(logged.study(), &tokens).map_err(Fault::with_issues)?;
    let stored = record(&app, &logged, opinion, key, ACTOR).await?;
    let mut response = json_response(&stored)?;
    *response.status_mut() = StatusCode::CREATED;
    let place = format!("/api/v1/predictions/{}", logged.id);
    if let Ok(place) = place.parse() {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Feedback whose codes are the study's.
pub(crate) struct Opinion {
    pub(crate) verdict: Verdict,
    pub(crate) severity: Option<String>,
    pub(crate) rarity: Option<String>,
    pub(crate) disease_code: Option<String>,
    pub(crate) comment: Option<String>,
    /// Who says so, where they give a name.
    pub(crate) reporter: Option<String>,
}

impl Opinion {
    /// Checks the values of [`FIELDS`], in that order, with every problem at once.
    pub(crate) fn check(study: &Study, tokens: &[Token<'_>]) -> Result<Opinion, Vec<Issue>> {
        let mut issues = Vec::new();
        let mut text = |field: usize, limit: usize| {
            let token = tokens.get(field).unwrap_or(&Token::Missing);
            token.text(FIELDS[field], limit).unwrap_or_else(|issue| {
                issues.push(issue);
                None
            })
        };
        let verdict_text = text(0, 64);
        let severity = text(1, 64);
        let rarity = text(2, 64);
        let disease_code = text(3, DISEASE_CODE_CHARS);
        let comment = text(4, COMMENT_CHARS);
        let reporter = text(5, NAME_CHARS);
        if let Some(Err(issue)) = reporter.map(|name| person(ACTOR, FIELDS[5], Some(name))) {
            issues.push(issue);
        }

        let verdict = match verdict_text {
            Some("confirmed") => Some(Verdict::Confirmed),
            Some("wrong") => Some(Verdict::Wrong),
            Some(_) => None,
            None => None,
        };
        if verdict.is_none() && !issues.iter().any(|issue| issue.field == FIELDS[0]) {
            let code = if verdict_text.is_some() { IssueCode::UnknownCode } else { IssueCode::Missing };
            issues.push(Issue::new(FIELDS[0], code).expecting("confirmed, wrong", "confirmed, wrong"));
        }
        if severity.is_some_and(|code| study.severity_from_code(code).is_none()) {
            let codes: Vec<&str> = study.severities().iter().map(|class| class.code.as_str()).collect();
            issues.push(
                Issue::new(FIELDS[1], IssueCode::UnknownCode).expecting(codes.join(", "), codes.join(", ")),
            );
        }
        if rarity.is_some_and(|code| Rarity::from_code(code).is_none()) {
            let codes = Rarity::ALL.map(Rarity::code).join(", ");
            issues.push(Issue::new(FIELDS[2], IssueCode::UnknownCode).expecting(codes.clone(), codes));
        }
        let healthy = severity.and_then(|code| study.severity_from_code(code)) == Some(study.healthy());
        if healthy && rarity.is_some() {
            issues.push(
                Issue::new(FIELDS[2], IssueCode::Inconsistent)
                    .expecting("vacía sin enfermedad", "empty without a disease"),
            );
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match verdict {
            Some(verdict) if issues.is_empty() => Ok(Opinion {
                verdict,
                severity: owned(severity),
                rarity: owned(rarity),
                disease_code: owned(disease_code),
                comment: owned(comment),
                reporter: owned(reporter),
            }),
            _ => Err(issues),
        }
    }
}

/// Stores an opinion and opens its review.
pub(crate) async fn record(
    app: &App,
    logged: &Logged,
    opinion: Opinion,
    key: String,
    origin: &str,
) -> Result<Feedback, Fault> {
    let prediction = logged.id.to_string();
    let actor = match &opinion.reporter {
        Some(name) => {
            person(origin, FIELDS[5], Some(name)).map_err(|issue| Fault::with_issues(vec![issue]))?
        }
        None => origin.to_owned(),
    };
    let (at, verdict) = (app.now(), opinion.verdict);
    let stored = app
        .registry(move |registry| {
            let new = NewFeedback {
                prediction_id: &prediction,
                verdict: opinion.verdict,
                severity: opinion.severity.as_deref(),
                rarity: opinion.rarity.as_deref(),
                disease_code: opinion.disease_code.as_deref(),
                comment: opinion.comment.as_deref(),
            };
            registry.record_feedback(&new, &Act { key: &key, actor: &actor, reason: "", at })
        })
        .await?;
    app.metrics.judged(match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Wrong => "wrong",
    });
    Ok(stored)
}
