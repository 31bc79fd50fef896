//! Readings that every process makes once a second: what one process changes, the others obey in
//! less than two.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::kernel::problem::Problem;

/// A reading begins at least this often, and must be given up before the next is due.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reads until `stop`. While `what` cannot be read, this process keeps to what it last read, and
/// says so once.
pub async fn keep_reading<F>(stop: CancellationToken, what: &'static str, read: impl Fn() -> F)
where
    F: Future<Output = Result<(), Problem>>,
{
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut readable = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let result = read().await;
        if let Err(problem) = &result
            && readable
        {
            let error = problem.source_chain();
            tracing::warn!(error, "{what} cannot be read; they stay as they are");
        }
        readable = result.is_ok();
    }
}
