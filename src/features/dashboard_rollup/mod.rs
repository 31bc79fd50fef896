//! What dashboards read: usage by local day, folded from buckets.
//!
//! Promises: `rollup.daily = fold(usage.bucket)`, whole local days at a time, so that any replay gives the same rows;
//! an event is consumed in the transaction that takes its effect, so that nothing is lost or counted twice; totals are
//! exact over the whole range; every reply says as of when it is true.
//!
//! Invariants: only the holder of the fold lock writes `rollup.*`; a user's version rises only when a row changed; a
//! day belongs to the zone that `rollup.user_state` records; days before the retention horizon are never touched.
//!
//! Routes: `GET /v1/rollups` (viewer). Workers: [`Relay`], [`Retention`]. For commands and other
//! slices: [`verify()`].

mod handler;
mod relay;
mod request;
mod retention;
mod store;
mod verify;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use relay::{FOLD_LOCK, Relay, Round};
pub use retention::{Pass, Retention};
pub use verify::{Drift, LISTED, Orphan, Report, Window, verify};

use crate::kernel::auth::Authenticator;
use crate::kernel::clock::Clock;
use crate::kernel::db::Pools;

/// The slice's routes.
pub(crate) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Pools: FromRef<S>,
    Authenticator: FromRef<S>,
    Clock: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::get_rollups))
}
