//! The card as one HTML file: its own style, light, dark and printed; no script, nothing loaded.

use askama::Template;

use super::document::{Block, Cell, Document};
use crate::web::Words;

#[derive(Template)]
#[template(path = "card.html")]
struct Page<'a> {
    w: Words,
    document: &'a Document,
}

pub(super) fn write(document: &Document, w: Words) -> askama::Result<String> {
    Page { w, document }.render()
}
