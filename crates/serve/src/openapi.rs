//! OpenAPI.
use crate::fault::{Fault, Kind};
use axum::response::Response;
pub(crate) async fn document() -> Result<Response, Fault> {
    Err(Fault::new(Kind::NotFound))
}
