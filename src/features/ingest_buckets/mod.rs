//! Trackers post what their devices used: `POST /v1/buckets`, for device tokens.
//!
//! Promises: an answer of 200 means that every bucket with a verdict other than `rejected` is
//! durable, or lost to a version that is; whatever was posted may be posted again. A request is
//! refused whole, with every violation and nothing written, unless it asks for `Prefer:
//! handling=lenient`.
//!
//! Invariants: whose buckets they are comes from the token, and a body cannot name anyone; the body
//! is read once, and no input makes the reading panic, recurse without bound, or answer with many
//! times its size.
//!
//! The slice knows its own protocol only: the body, the header `Prefer` and the reply. What every
//! protocol needs, from the switch to the write, is the kernel's intake.

mod acceptance;
mod body;
mod contract;
mod handler;
mod prefer;
mod request;
mod scalar;
mod violations;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kernel::usage::intake::Intake;

/// The slice's routes.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Intake: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::ingest_buckets))
}

/// The door of `tests/fuzz`: any bytes as a request's body. Panics where reading them breaks a
/// promise.
#[doc(hidden)]
pub fn parse_any(body: &[u8]) {
    request::parse_any(body);
}
