//! Which tools may report usage: everyone reads the list, operators change it.

mod handler;
mod reply;
mod request;

use axum::extract::FromRef;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use reply::SourceReply;
pub use request::NewSource;

use super::readings::keep_reading;
use crate::kernel::usage::sources::Sources;

/// The list, for whoever has a token.
pub fn list_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Sources: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::list_sources))
}

/// What operators do to it.
pub fn change_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Sources: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::add_source)).routes(routes!(handler::retire_source))
}

/// Reads them every second until `stop`.
pub async fn follow_sources(sources: Sources, stop: CancellationToken) {
    keep_reading(stop, "the tools", || sources.refresh()).await;
}
