//! Which language a request is answered in.

use axum::http::{HeaderMap, Uri, header};
use clinical::Language;

/// The cookie that holds a language chosen on the page.
pub(crate) const COOKIE: &str = "lang";

/// Best language by `Accept-Language`; Spanish by default.
pub(crate) fn accepted(headers: &HeaderMap) -> Language {
    let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    header.map_or_else(Language::default, Language::negotiate)
}

/// The language asked for in the address (`?lang=en`).
pub(crate) fn asked(uri: &Uri) -> Option<Language> {
    let query = uri.query()?;
    let (_, tag) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == COOKIE)?;
    Language::from_tag(&tag)
}

/// The language of a page: asked for in the address, else chosen before, else Spanish. A ward's shared
/// computer has the language of whoever installed its browser, so the browser's header does not count.
pub(crate) fn of_page(uri: &Uri, headers: &HeaderMap) -> Language {
    asked(uri).or_else(|| chosen(headers)).unwrap_or_default()
}

fn chosen(headers: &HeaderMap) -> Option<Language> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .and_then(|(_, tag)| Language::from_tag(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_spanish_until_somebody_chooses() {
        let mut headers = HeaderMap::new();
        let uri = |text: &'static str| Uri::from_static(text);
        assert_eq!(of_page(&uri("/"), &headers), Language::Es);
        headers.insert(header::ACCEPT_LANGUAGE, "en-GB".parse().unwrap());
        assert_eq!(of_page(&uri("/"), &headers), Language::Es);
        headers.insert(header::COOKIE, "a=b; lang=en".parse().unwrap());
        assert_eq!(of_page(&uri("/"), &headers), Language::En);
        assert_eq!(of_page(&uri("/?lang=es"), &headers), Language::Es);
        assert_eq!(of_page(&uri("/?lang=xx"), &headers), Language::En);
    }
}
