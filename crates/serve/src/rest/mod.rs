//! The REST interface, version 1: handlers, and the two forms between them and the bytes: what a client
//! sends ([`intake`]) and what it gets ([`answer`]).

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod feedback;
pub(crate) mod intake;
pub(crate) mod json;
pub(crate) mod models;
pub(crate) mod monitoring;
pub(crate) mod predictions;
pub(crate) mod records;
mod rows;

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use clinical::Language;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    edge,
    fault::{Fault, Kind},
    written,
};

/// One JSON document.
pub(crate) fn json_response(value: &impl Serialize) -> Result<Response, Fault> {
    let body = written::json(value).map_err(|_| Fault::new(Kind::Internal))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// One JSON document whose texts are in `language`.
pub(crate) fn worded_response(value: &impl Serialize, language: Language) -> Result<Response, Fault> {
    let mut response = json_response(value)?;
    edge::speaks(response.headers_mut(), language);
    Ok(response)
}

/// Who acts. There is no sign-in yet, so every caller of the interface is the same one.
pub(crate) const ACTOR: &str = "api";

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
