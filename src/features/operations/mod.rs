//! What operators and their machinery ask of a server: whether it is alive, whether it can serve,
//! and what it may do.
//!
//! Promises:
//!
//! - Liveness touches nothing, so a slow database cannot get a healthy process killed.
//! - Readiness asks the database within half a second and remembers the answer for a moment, so
//!   probes cost nothing.
//! - A kill switch that is thrown in one process is obeyed by all within two seconds. Who threw
//!   it, and why, is written down in the same transaction.
//! - A tool that is allowed or retired in one process is so in all within two seconds. Who did it
//!   is written down in the same transaction.
//!
//! Routes: `GET /health/live`, `/health/ready`, `/health/startup` (anonymous); `GET /v1/status`,
//! `/metrics`, `/v1/switches`, `GET` and `PUT /v1/switches/{name}`, `POST /v1/sources`,
//! `/v1/sources/{name}/retire` (operator); `GET /v1/sources` (whoever has a token). Workers:
//! [`Switchboard`], [`follow_sources`].

mod book_in_force;
mod disk_space;
mod handler;
mod metrics;
mod private_postgres;
mod process_status;
mod readiness;
mod readings;
mod request;
mod sources;
mod standby;
mod store;
mod switchboard;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use disk_space::DiskSpace;
pub use metrics::{METRICS, Metric, Metrics};
pub use process_status::ProcessStatus;
pub(crate) use process_status::Waiting;
pub use readiness::Readiness;
pub use sources::{NewSource, SourceReply, follow_sources};
pub(crate) use store::{ParkedEvent, TurnedSwitch};
pub use switchboard::Switchboard;

use crate::kernel::usage::sources::Sources;

/// The routes for everyone.
pub(crate) fn health<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Readiness: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::get_live))
        .routes(routes!(handler::get_ready))
        .routes(routes!(handler::get_startup))
}

/// The list of tools, for whoever has a token.
pub(crate) fn sources_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Sources: FromRef<S>,
{
    sources::list_router()
}

/// The routes for operators.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Switchboard: FromRef<S>,
    ProcessStatus: FromRef<S>,
    Sources: FromRef<S>,
{
    sources::change_router()
        .routes(routes!(handler::get_status))
        .routes(routes!(handler::get_metrics))
        .routes(routes!(handler::list_switches))
        .routes(routes!(handler::get_switch, handler::put_switch))
}
