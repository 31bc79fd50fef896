//! Looks at the standby once a second, so that no read has to find out alone that it is of no use, or that it is again.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Fallback, Standby};
use crate::kernel::call::RequestContext;
use crate::kernel::database::tx::{Access, Mode};

/// It is looked at so often.
const INTERVAL: Duration = Duration::from_secs(1);
/// A look may take this long.
const LIMIT: Duration = Duration::from_millis(900);

impl Standby {
    /// Looks until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // While the primary does not answer, the standby stays what it is known for: there is no mark to read by.
            let Ok(mark) = self.0.marks.next().await else { continue };
            self.health().marked(mark.place, Instant::now());
            let context = RequestContext::internal(LIMIT);
            let seen = match self.open(&context, &Access::NOBODY, Mode::Snapshot, &mark).await {
                Ok(tx) => tx.rollback().await.map_err(|problem| Fallback::of(&problem)),
                Err(why) => Err(why),
            };
            if !self.health().looked(seen) {
                continue;
            }
            match seen {
                Ok(()) => tracing::info!("the standby answers reads"),
                Err(why) => tracing::warn!(reason = why.as_str(), "the standby answers no reads; the primary does"),
            }
        }
    }
}
