//! Style and script, compiled in: nothing is loaded from elsewhere.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::fault::{Fault, Kind};

struct Asset {
    name: &'static str,
    media: &'static str,
    text: &'static str,
    /// First half of the content's SHA-256: part of the address, so that it may be kept for ever.
    digest: String,
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    [
        ("app.css", CSS, include_str!("../assets/app.css")),
        ("tokens.css", CSS, include_str!("../assets/tokens.css")),
        ("app.js", JS, include_str!("../assets/app.js")),
        ("theme.js", JS, include_str!("../assets/theme.js")),
    ]
    .map(|(name, media, text)| {
        let digest = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Asset { name, media, text, digest }
    })
});

fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The address of a file, with its content's digest.
pub(crate) fn address(name: &str) -> String {
    let digest = find(name).map(|asset| asset.digest.as_str()).unwrap_or_default();
    format!("/assets/{name}?v={digest}")
}

/// `GET /assets/{name}`
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Fault> {
    let asset = find(&name).ok_or_else(|| Fault::new(Kind::NotFound))?;
    let tag = format!("\"{}\"", asset.digest);
    let kept = [
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(header::CONTENT_TYPE, asset.media)], asset.text).into_response())
}
