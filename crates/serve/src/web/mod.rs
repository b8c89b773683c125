//! pages
use crate::{app::App, fault::Fault};
use axum::response::{IntoResponse, Response};
use clinical::Language;
pub(crate) fn fault_page(_: &App, fault: &Fault, _: &str, language: Language) -> Response {
    fault.detail(language).to_owned().into_response()
}
macro_rules! stub { ($($m:ident: $($f:ident)*;)*) => { $(pub(crate) mod $m { $(pub(crate) async fn $f() -> Result<axum::response::Response, crate::fault::Fault> { Err(crate::fault::Fault::new(crate::fault::Kind::NotFound)) })* })* } }
stub! { docs: page; form: page submit; case: page; feedback: page submit; model_card: page; }
