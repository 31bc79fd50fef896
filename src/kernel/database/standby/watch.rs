//! Looks at the standby once a second, so that no read has to find out alone that it is of no use, or that it is again.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::position::Mark;
use super::{FIRST_MARK, FIRST_POSITION, Fallback, Standby};
use crate::kernel::call::RequestContext;
use crate::kernel::database::pool::Pool;
use crate::kernel::database::tx::{Access, Mode};

/// It is looked at so often.
const INTERVAL: Duration = Duration::from_secs(1);
/// A look may take this long, on both sides together.
const LIMIT: Duration = Duration::from_millis(900);

impl Standby {
    /// Looks until `stop`, through `primary` and its own pool.
    pub async fn watch(self, primary: Pool, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // While the primary does not answer, reads fail there, and the standby stays what it is known for.
            if let Ok(mark) = mark(&primary).await {
                self.look(&mark).await;
            }
        }
    }

    async fn look(&self, mark: &Mark) {
        self.standing().marked(mark.place, Instant::now());
        let seen = self.reached(mark).await;
        if !self.standing().looked(seen) {
            return;
        }
        match seen {
            Ok(()) => tracing::info!("the standby answers reads"),
            Err(why) => tracing::warn!(reason = why.as_str(), "the standby answers no reads; the primary does"),
        }
    }

    async fn reached(&self, mark: &Mark) -> Result<(), Fallback> {
        let context = RequestContext::internal(LIMIT);
        let tx = self.begin_asking(&context, &Access::NOBODY, mark, FIRST_POSITION).await?;
        tx.rollback().await.map_err(|problem| Fallback::of(&problem))
    }
}

async fn mark(primary: &Pool) -> Result<Mark, Fallback> {
    let opened = primary.begin(&RequestContext::internal(LIMIT), Access::NOBODY, Mode::Snapshot).await;
    Standby::mark_by(opened.map_err(|_| Fallback::NoMark)?, FIRST_MARK).await
}
