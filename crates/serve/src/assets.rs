//! Style and script, compiled in.
use crate::fault::{Fault, Kind};
use axum::response::Response;
pub(crate) async fn file() -> Result<Response, Fault> {
    Err(Fault::new(Kind::NotFound))
}
