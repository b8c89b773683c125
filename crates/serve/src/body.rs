//! Bodies, bounded; and what a client says they are.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::fault::{Fault, Kind};

/// How much of a body that is too large is read and thrown away, and for how long, so that the client
/// finds the answer instead of a broken connection.
const DRAIN_BYTES: usize = 256 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The whole body, at most `limit` bytes of it.
///
/// # Errors
/// 413 over the limit, announced or not; 400 when the body breaks off.
pub(crate) async fn read<B>(headers: &HeaderMap, mut body: B, limit: usize) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |bytes| bytes > limit) {
        // A client that waits for "100 Continue" sends nothing, so there is nothing to throw away.
        if !headers.contains_key(header::EXPECT) {
            drain(body).await;
        }
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(data) = frame(&mut body).await? {
        if first.len() + whole.len() + data.len() > limit {
            drain(body).await;
            return Err(too_large(limit));
        }
        // Most bodies are one frame, which is then the whole without a copy.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(usize::try_from(announced).unwrap_or(0).max(first.len() + data.len()));
            whole.extend_from_slice(&first);
            first = Bytes::new();
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

async fn frame(body: &mut (impl Body<Data = Bytes> + Unpin)) -> Result<Option<Bytes>, Fault> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(broken_off()),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            },
        }
    }
}

async fn drain(mut body: impl Body<Data = Bytes> + Unpin) {
    let throw_away = async {
        let mut seen = 0;
        while let Ok(Some(data)) = frame(&mut body).await {
            seen += data.len();
            if seen > DRAIN_BYTES {
                break;
            }
        }
    };
    // Running out of time is one of the two ways to stop.
    let _ = tokio::time::timeout(DRAIN_TIME, throw_away).await;
}

fn too_large(limit: usize) -> Fault {
    let mib = limit >> 20;
    Fault::because(
        Kind::TooLarge,
        format!("El contenido admite como máximo {mib} MiB."),
        format!("The content may have {mib} MiB at most."),
    )
}

fn broken_off() -> Fault {
    Fault::because(
        Kind::BadRequest,
        "El contenido se interrumpió antes de terminar.",
        "The content broke off before its end.",
    )
}

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Ndjson,
    Form,
}

/// The media type of a body, by its header; `None` for any other than those above, another charset than
/// UTF-8 or a compressed body. A body without a header is taken as JSON.
pub(crate) fn media(headers: &HeaderMap) -> Option<Media> {
    let plain = |value: &axum::http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return None;
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Some(Media::Json);
    };
    let mut parts = value.to_str().ok()?.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    let utf8 = parts.filter_map(|part| part.trim().split_once('=')).all(|(name, value)| {
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    let json_suffix = || essence.len() > 5 && essence.to_ascii_lowercase().ends_with("+json");
    let media = if is("application/json") || json_suffix() {
        Media::Json
    } else if is("application/x-ndjson") || is("application/ndjson") || is("application/jsonl") {
        Media::Ndjson
    } else if is("application/x-www-form-urlencoded") {
        Media::Form
    } else {
        return None;
    };
    utf8.then_some(media)
}

/// # Errors
/// 415 for anything but JSON.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Fault> {
    match media(headers) {
        Some(Media::Json) => Ok(()),
        _ => Err(Fault::new(Kind::UnsupportedMediaType)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_its_header_says() {
        for (value, expected) in [
            ("application/json", Some(Media::Json)),
            ("Application/JSON; charset=UTF-8", Some(Media::Json)),
            ("application/json; charset=\"utf-8\"", Some(Media::Json)),
            ("application/fhir+json", Some(Media::Json)),
            ("application/x-ndjson", Some(Media::Ndjson)),
            ("application/x-www-form-urlencoded", Some(Media::Form)),
            ("application/json; charset=utf-16", None),
            ("text/plain", None),
            ("", None),
            ("json", None),
            ("+json", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(media(&headers), expected, "{value}");
            headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
            assert_eq!(media(&headers), None, "{value}, compressed");
        }
        assert_eq!(media(&HeaderMap::new()), Some(Media::Json));
    }
}
