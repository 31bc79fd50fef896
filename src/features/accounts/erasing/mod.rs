//! Deleting one's own usage. The kernel deletes the buckets, and keeps retries from bringing them
//! back.
//!
//! The deletion and its entry in the audit are one transaction. Local days are those of the user's
//! wanted zone.

mod acts;
mod handler;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use acts::Erasures;
pub use request::ErasureQuery;

/// The route of viewers.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Erasures: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::erase_usage))
}
