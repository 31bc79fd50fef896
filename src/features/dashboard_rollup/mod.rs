<<<<<<< HEAD
//! What dashboards read: usage by local day, folded from buckets.
//!
//! Promises: `rollup.daily = fold(usage.bucket)`, whole local days at a time, so that any replay gives the same rows;
//! an event is consumed in the transaction that takes its effect, so that nothing is lost or counted twice; totals are
//! exact over the whole range; every reply says as of when it is true.
//!
//! Invariants: only the holder of the fold lock writes `rollup.*`; a user's version rises only when a row changed; a
//! day belongs to the zone that `rollup.user_state` records; days before the retention horizon are never touched.
//!
//! Routes: `GET /v1/rollups` (viewer). Worker: [`Relay`].

mod handler;
mod relay;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use relay::{FOLD_LOCK, Relay, Round};

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
=======
//! Placeholder until the slice is merged.

use utoipa_axum::router::OpenApiRouter;

use crate::kernel::clock::Clock;
use crate::kernel::db::Pool;
use crate::kernel::outbox::Signal;
use crate::kernel::problem::Problem;

/// The relay.
#[derive(Debug)]
pub struct Relay;

impl Relay {
    /// A relay.
    pub fn new(_: Pool, _: Signal, _: Clock) -> Self {
        Self
    }
    /// Runs.
    pub async fn run(&self, stop: tokio_util::sync::CancellationToken) {
        stop.cancelled().await;
    }
    /// Folds all.
    pub async fn drain(&self) -> Result<(), Problem> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::new()
>>>>>>> main
}
