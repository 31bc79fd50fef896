//! What every handler of accounts answers with when nobody may keep the answer.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

/// An answer that holds a secret, or that changes what secrets are worth.
pub fn unkept(status: StatusCode, reply: impl Serialize) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(reply)).into_response()
}
