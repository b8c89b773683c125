//! The REST interface, version 1: handlers, and the two forms between them and the bytes: what a client
//! sends ([`intake`]) and what it gets ([`answer`]).

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod cycle;
pub(crate) mod feedback;
pub(crate) mod intake;
pub(crate) mod json;
pub(crate) mod models;
pub(crate) mod monitoring;
pub(crate) mod predictions;
pub(crate) mod records;
pub(crate) mod reviews;
mod rows;

use axum::{
    body::Body,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use clinical::{Issue, IssueCode, Language};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    edge,
    fault::{Fault, Kind},
    written,
};

/// One JSON document.
pub(crate) fn json_response(value: &impl Serialize) -> Result<Response, Fault> {
    Ok(([(header::CONTENT_TYPE, "application/json")], written::json(value)?).into_response())
}

/// One JSON document whose texts are in `language`.
pub(crate) fn worded_response(value: &impl Serialize, language: Language) -> Result<Response, Fault> {
    Ok(spoken_response(written::json(value)?, language))
}

/// The same, written already.
pub(crate) fn spoken_response(body: Vec<u8>, language: Language) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = edge::json_headers(language);
    response
}

/// Who acts. There is no sign-in yet, so every caller of the interface is the same one, unless it gives a name.
pub(crate) const ACTOR: &str = "api";

/// Longest name of a person, in characters.
pub(crate) const NAME_CHARS: usize = 80;

/// A person as the records name them: where they act, and who they say they are.
///
/// # Errors
/// A name that is missing, too long, or holds control characters.
pub(crate) fn person(origin: &str, field: &str, name: Option<&str>) -> Result<String, Issue> {
    let expected = |issue: Issue| {
        issue.expecting(
            format!("un nombre de 1 a {NAME_CHARS} caracteres"),
            format!("a name of 1 to {NAME_CHARS} characters"),
        )
    };
    match name.map(str::trim).filter(|name| !name.is_empty()) {
        None => Err(expected(Issue::new(field, IssueCode::Missing))),
        Some(name) if name.chars().count() > NAME_CHARS || name.chars().any(char::is_control) => {
            Err(expected(Issue::new(field, IssueCode::OutOfRange)))
        }
        Some(name) => Ok(format!("{origin}:{name}")),
    }
}

/// The fields of a body that must be one JSON object.
pub(crate) fn fields<'a>(body: &'a [u8], names: &[&str]) -> Result<Vec<json::Token<'a>>, Fault> {
    json::object(body, names.len(), |name| names.iter().position(|known| *known == name)).map_err(|error| {
        match error {
            json::NotAnObject::Broken => Fault::new(Kind::BrokenJson),
            json::NotAnObject::OtherType => Fault::new(Kind::Invalid),
        }
    })
}

/// The key under which a write is repeated harmlessly: the client's, or a fresh one.
///
/// # Errors
/// 400 for a key that is not 1 to 128 visible ASCII characters.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, Fault> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(Uuid::now_v7().to_string());
    };
    let key = value.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > 128 {
        return Err(Fault::because(
            Kind::BadRequest,
            "Idempotency-Key admite de 1 a 128 caracteres ASCII.",
            "Idempotency-Key takes 1 to 128 ASCII characters.",
        ));
    }
    // Keys of clients and keys drawn here never meet.
    Ok(format!("client:{key}"))
}
