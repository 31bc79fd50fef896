//! What TokenTracker sends, and how its device gets a token.
//!
//! Promises: the unmodified tracker pairs and uploads, with one line of its configuration changed. What was `inserted` is
//! durable. A row that cannot be taken is `skipped` and holds up no other, because the tracker sends a batch again until it
//! is taken. Rows of a tool that may not report are kept as of the source `other`. The same machine of the same owner is the
//! same device, however often it is installed.
//!
//! Invariants: what it tells its maker of itself is answered and not read; neither are the sessions of an account, which
//! repeat what the rows hold. Rows of an account belong to one device of their owner.

mod handler;
mod reply;
mod request;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kernel::dialect::Enrolment;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::usage::intake::Intake;

/// For a device's token.
pub(super) fn device_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::tokentracker_ingest))
}

/// For a viewer's token.
pub(super) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::tokentracker_device_token_issue))
}

/// For whoever pairs.
pub(super) fn stranger_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::tokentracker_device_flow_authorize))
        .routes(routes!(handler::tokentracker_device_flow_poll))
        .routes(routes!(handler::tokentracker_telemetry))
}
