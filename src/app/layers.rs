//! What stands around the routes: who may call from a browser, what caches may keep, and what a panic is answered.

use std::any::Any;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER, VARY,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::CorsLayer;

use crate::kernel::access::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::kernel::http::request_line::X_REQUEST_ID;
use crate::kernel::problem::Problem;
use crate::kernel::usage::idempotency::{self, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED};

/// `None` where no browser may call from elsewhere.
/// `exposed` are the slices' own response headers.
pub(crate) fn cors(origins: &[HeaderValue], exposed: &[HeaderName]) -> Option<CorsLayer> {
    let cors = CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            X_REQUEST_ID,
            IDEMPOTENCY_KEY,
            IF_MATCH,
            IF_NONE_MATCH,
            HeaderName::from_static("prefer"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers(
            exposed
                .iter()
                .cloned()
                .chain([
                    X_REQUEST_ID,
                    RETRY_AFTER,
                    IDEMPOTENCY_REPLAYED,
                    RATE_LIMIT,
                    RATE_LIMIT_POLICY,
                    HeaderName::from_static("preference-applied"),
                    ETAG,
                    LINK,
                    LOCATION,
                ])
                .collect::<Vec<_>>(),
        )
        .max_age(Duration::from_hours(1));
    (!origins.is_empty()).then_some(cors)
}

/// For routes that keep no answers: an Idempotency-Key there would promise what nobody keeps.
pub(crate) async fn without_key(request: Request) -> Result<Request, Problem> {
    idempotency::refuse_key(request.headers())?;
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
