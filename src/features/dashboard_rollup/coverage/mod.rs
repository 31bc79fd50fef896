//! Which tokens have no price, over all users: what the next price book should name.

mod store;

use std::time::Duration;

use chrono::Days;
use tokio_util::sync::CancellationToken;

use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::Problem;

pub use store::Uncovered;

/// So many pairs of source and model are listed.
const LISTED: i64 = 1000;
/// Between measurements for the gauge, each of which reads every rollup of the last thirty days.
const INTERVAL: Duration = Duration::from_hours(1);
const MEASURED: Days = Days::new(30);
/// A measurement may take this long.
const LIMIT: Duration = Duration::from_mins(2);

/// The pairs whose tokens fall under no rate, those with the most tokens first. It reads every rollup. Errors: the
/// database's.
pub async fn uncovered(pool: &Pool, context: &RequestContext) -> Result<Vec<Uncovered>, Problem> {
    let mut tx = pool.begin(context, Access::Worker, Mode::Snapshot).await?;
    let uncovered = store::uncovered(&mut tx, LISTED).await?;
    tx.rollback().await?;
    Ok(uncovered)
}

/// Tells those who watch, once an hour until `stop`, how many tokens of the last thirty days have no price.
pub async fn watch_coverage(pool: Pool, clock: Clock, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(problem) = measure_coverage(&pool, &clock).await {
            tracing::warn!(error = problem.source_chain(), "tokens without a price could not be counted");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Measures once. Errors: the database's.
pub async fn measure_coverage(pool: &Pool, clock: &Clock) -> Result<(), Problem> {
    let since = clock.now().date_naive() - MEASURED;
    let mut tx = pool.begin(&RequestContext::internal(LIMIT), Access::Worker, Mode::Snapshot).await?;
    let tokens = store::unpriced_tokens(&mut tx, since).await?;
    tx.rollback().await?;
    metrics::gauge!("halfhour_unpriced_tokens").set(gauge(tokens));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
const fn gauge(count: u128) -> f64 {
    count as f64
}
