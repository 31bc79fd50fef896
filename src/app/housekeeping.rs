//! What a server does from time to time, whoever calls: it follows the database's clock, removes what
//! has expired, writes down when tokens were used, and looks how full the disk is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::features::accounts::{Devices, LinkCodes, Tokens};
use crate::features::backfill::Backfills;
use crate::features::operations::{DiskSpace, Metrics};
use crate::kernel::access::TokenUses;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Pool, follow_database_clock, watch_machine_clock};
use crate::kernel::idempotency;
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::HeardDevices;
use crate::kernel::usage::ledger;

/// How often measurements are gathered into their buckets.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// How often the clocks are looked at: a jump is noticed within a second, though an answer takes a while.
const CLOCK_INTERVAL: Duration = Duration::from_millis(500);

/// How often expired records are removed.
const INTERVAL: Duration = Duration::from_mins(1);

/// Keeps what was measured small, whether or not somebody asks for it.
pub(super) async fn tidy(metrics: Metrics, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TIDY_INTERVAL) => metrics.tidy(),
        }
    }
}

/// Follows the database's clock until `stop`. Where that cannot be read, which is said once, the last
/// offset stays in place.
pub(super) async fn follow_clock(pool: Pool, clock: Clock, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CLOCK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut readable = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        watch_machine_clock(&clock);
        let followed = follow_database_clock(&pool, &clock).await;
        if let Err(problem) = &followed
            && readable
        {
            let error = problem.source_chain();
            tracing::warn!(error, "the database's clock cannot be read; the last offset stays in place");
        }
        readable = followed.is_ok();
    }
}

/// Once a minute it removes what has expired, and writes down when tokens were used. When it stops,
/// it writes the uses down once more.
#[derive(Clone, Debug)]
pub(super) struct Housekeeper {
    pub pool: Pool,
    pub clock: Clock,
    pub tokens: Tokens,
    pub link_codes: LinkCodes,
    pub uses: TokenUses,
    pub devices: Devices,
    pub heard: HeardDevices,
    pub backfills: Backfills,
    /// Where the private PostgreSQL keeps its data.
    pub data_dir: Option<PathBuf>,
}

impl Housekeeper {
    /// Works until `stop`. What fails is tried again the next time.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.keep().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        complain("the last uses of tokens could not be written down", self.note_token_uses().await);
        complain("the last reports of devices could not be written down", self.note_reports().await);
    }

    async fn keep(&self) {
        let context = RequestContext::step("housekeeping", self.pool.tracer(), INTERVAL);
        if let Some(data_dir) = self.data_dir.clone() {
            // A network disk may keep whoever asks waiting: the others do not wait for it.
            tokio::task::spawn_blocking(move || measure_disk(&data_dir));
        }
        let purged = idempotency::purge(&self.pool, &context).await.map(|_rows| ());
        complain("expired idempotency records could not be removed", purged);
        let purged = ledger::purge(&self.pool, &context, &self.clock).await.map(|_rows| ());
        complain("old records of the ledger could not be removed", purged);
        complain("expired link codes could not be removed", self.link_codes.purge(&context).await);
        let purged = self.tokens.purge(&context, self.clock.now()).await;
        complain("tokens that ended long ago could not be removed", purged);
        complain("what is kept no longer of jobs could not be removed", self.backfills.purge(&context).await);
        complain("the last uses of tokens could not be written down", self.note_token_uses().await);
        complain("the last reports of devices could not be written down", self.note_reports().await);
    }

    /// Writes down when tokens were last used. Uses that could not be written are tried again the
    /// next time.
    pub async fn note_token_uses(&self) -> Result<(), Problem> {
        let noted = self.uses.take();
        let result = self.tokens.note_uses(&RequestContext::internal(Duration::from_secs(1)), &noted).await;
        match &result {
            Ok(expiring) => {
                let expiring = u32::try_from(*expiring).unwrap_or(u32::MAX);
                metrics::gauge!("halfhour_expiring_tokens_in_use").set(f64::from(expiring));
            }
            Err(_) => self.uses.give_back(noted),
        }
        result.map(drop)
    }

    /// Writes down in which protocol devices reported last. What could not be written is tried again the next time.
    pub async fn note_reports(&self) -> Result<(), Problem> {
        let heard = self.heard.take();
        let result = self.devices.note_reports(&RequestContext::internal(Duration::from_secs(1)), &heard).await;
        if result.is_err() {
            self.heard.give_back(heard);
        }
        result
    }
}

fn measure_disk(data_dir: &Path) {
    match DiskSpace::of(data_dir) {
        Ok(space) => {
            metrics::gauge!("halfhour_disk_free_bytes").set(bytes(space.free));
            metrics::gauge!("halfhour_disk_size_bytes").set(bytes(space.size));
        }
        Err(error) => tracing::warn!(%error, "the data directory's disk cannot be looked at"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
const fn bytes(count: u64) -> f64 {
    count as f64
}

fn complain(what: &str, result: Result<(), Problem>) {
    if let Err(problem) = result {
        tracing::warn!(error = problem.source_chain(), "{what}");
    }
}
