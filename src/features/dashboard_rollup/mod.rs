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
}
