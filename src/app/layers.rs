//! What stands around the routes: who may call from a browser, what caches may keep, and what a panic is answered.

use std::any::Any;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::CorsLayer;
use utoipa::openapi::OpenApi as Document;

use super::contract_headers::{answer_headers, request_headers};
use crate::kernel::idempotency;
use crate::kernel::problem::Problem;

/// `None` where no browser may call from elsewhere. What it may send and read is what the contract describes.
pub(crate) fn cors(origins: &[HeaderValue], contract: &Document) -> Option<CorsLayer> {
    let cors = CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allow_headers(request_headers(contract))
        .expose_headers(answer_headers(contract))
        .max_age(Duration::from_hours(1));
    (!origins.is_empty()).then_some(cors)
}

/// For reads: an Idempotency-Key there would promise what nobody keeps. Whatever changes something takes its key itself.
pub(crate) async fn without_key_to_read(request: Request) -> Result<Request, Problem> {
    if request.method().is_safe() {
        idempotency::refuse_key(request.headers(), "Reads take no Idempotency-Key; leave the header out.")?;
    }
    Ok(request)
}

/// For exchanges of link codes, whose callers are nobody yet.
pub(crate) async fn without_key(request: Request) -> Result<Request, Problem> {
    let instead = "This route takes no Idempotency-Key: `request_id` in its body is one. Leave the header out.";
    idempotency::refuse_key(request.headers(), instead)?;
    Ok(request)
}

/// One user's data is for no shared cache.
pub(crate) async fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("authorization"));
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(format!("panic: {}", words.unwrap_or("no message"))).into_response()
}
