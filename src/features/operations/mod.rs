//! What an operator's machinery asks: is this process alive, can it serve.
//!
//! Promises: liveness never touches anything, so that a slow database cannot get a healthy process killed; readiness
//! asks the database within a bound and remembers the answer for a moment, so that probes cost nothing. Routes:
//! `GET /health/live`, `/health/ready`, `/health/startup`; anonymous.

mod handler;
mod readiness;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use readiness::Readiness;

/// The slice's routes.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Readiness: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::get_live))
        .routes(routes!(handler::get_ready))
        .routes(routes!(handler::get_startup))
}
