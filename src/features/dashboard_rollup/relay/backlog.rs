//! How far behind the relay is, for those who watch. Every process measures the same outbox.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::{Backlog, measure_backlog};

/// Between measurements: counting a backlog of a million takes a tenth of a second.
const INTERVAL: Duration = Duration::from_secs(10);

/// Measures until `stop`.
pub(super) async fn watch(pool: &Pool, clock: &Clock, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match measure(pool).await {
            Ok(lanes) => report(&lanes, clock),
            Err(problem) => tracing::warn!(error = problem.source_chain(), "the outbox could not be measured"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn measure(pool: &Pool) -> Result<Vec<Backlog>, Problem> {
    let mut tx = pool.begin(&RequestContext::internal(INTERVAL), Access::Worker, Mode::Snapshot).await?;
    let lanes = measure_backlog(&mut tx).await?;
    tx.rollback().await?;
    Ok(lanes)
}

fn report(lanes: &[Backlog], clock: &Clock) {
    for lane in lanes {
        metrics::gauge!("halfhour_outbox_backlog", "lane" => lane.lane.as_str()).set(gauge(lane.waiting));
    }
    let oldest_at = lanes.iter().filter_map(|lane| lane.oldest_at).min();
    let age = oldest_at.and_then(|at| (clock.now() - at).to_std().ok()).unwrap_or_default();
    metrics::gauge!("halfhour_outbox_oldest_age_seconds").set(age.as_secs_f64());
    metrics::gauge!("halfhour_outbox_parked").set(gauge(lanes.iter().map(|lane| lane.parked).sum()));
}

/// No outbox holds more than four billion rows.
fn gauge(count: i64) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}
