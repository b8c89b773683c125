//! Who may ask: no page of another site may write here, and on loopback no foreign name may be used
//! to reach this server (DNS rebinding).

use axum::http::{HeaderMap, Method, Uri, header};

use crate::fault::{Fault, Kind};

/// The host that a request names: the address line's (absolute form) or the `Host` header's.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let line = uri.authority().map(axum::http::uri::Authority::as_str);
    line.or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()))
}

/// # Errors
/// 421 when a server on loopback is asked for under another name than loopback's.
pub(crate) fn require_loopback_name(uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    match host(uri, headers) {
        Some(host) if is_loopback(host) => Ok(()),
        _ => Err(Fault::new(Kind::Misdirected)),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if port.is_empty() || is_port(port) => address,
            _ => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "::1"
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// # Errors
/// 403 when a browser says that a page of another site sends a writing request. Programs that are no
/// browsers send neither header and pass.
pub(crate) fn refuse_cross_site(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    if method.is_safe() {
        return Ok(());
    }
    let own = match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        (None, Some(origin)) => {
            let origin = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, host)| host);
            origin.is_some_and(|origin| {
                host(uri, headers).is_some_and(|host| host.eq_ignore_ascii_case(origin))
            })
        }
        (None, None) => true,
    };
    if own { Ok(()) } else { Err(Fault::new(Kind::CrossSite)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for host in ["localhost", "LOCALHOST:8501", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8501"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8501",
            "[::1",
            "[::1]x",
            "localhost:80:80",
            "localhost:x",
            "::1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_browser_of_another_site_cannot_write() {
        let check = |site: Option<&str>, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8501".parse().unwrap());
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            refuse_cross_site(&Method::POST, &Uri::from_static("/"), &headers).is_ok()
        };
        assert!(check(None, None));
        assert!(check(Some("same-origin"), Some("http://localhost:8501")));
        assert!(check(Some("none"), None));
        assert!(check(None, Some("http://localhost:8501")));
        assert!(!check(Some("cross-site"), None));
        assert!(!check(Some("same-site"), Some("http://localhost:8501")));
        assert!(!check(None, Some("http://localhost:9999")));
        assert!(!check(None, Some("null")));
        assert!(!check(None, Some("https://evil.example")));
    }
}
