//! What a pool knows of its database: whether it answers, and since when which connections are suspect.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use super::breaker::{Breaker, BreakerState};
use crate::kernel::clock::jittered;

/// A probe may take this long, from the first packet to an answer.
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// The pause between two probes, at most. With the limit it bounds how long a breaker outlasts an outage.
const PROBE_PAUSE: Duration = Duration::from_millis(400);

/// Shared by a pool, its transactions and its probe.
#[derive(Debug)]
pub(super) struct PoolHealth {
    name: &'static str,
    options: PgConnectOptions,
    breaker: Mutex<Breaker>,
    silent_at: Mutex<Option<Instant>>,
}

impl PoolHealth {
    /// Of a pool of this name. Probes connect by `options`.
    pub(super) fn new(name: &'static str, options: PgConnectOptions) -> Arc<Self> {
        let (breaker, silent_at) = (Mutex::default(), Mutex::default());
        Arc::new(Self { name, options, breaker, silent_at })
    }

    /// Whether a caller may ask the database now.
    pub(super) fn admits(&self) -> bool {
        self.breaker().admits(Instant::now())
    }

    /// PostgreSQL answered.
    pub(super) fn answered(&self) {
        self.breaker().answered();
    }

    /// A connection could not be had, or fell silent. Where that opens the breaker, a probe begins, and closes it as soon as
    /// PostgreSQL answers.
    pub(super) fn failed(self: &Arc<Self>) {
        if !self.breaker().failed(Instant::now()) {
            return;
        }
        tracing::warn!(pool = self.name, "the database does not answer; callers are refused until it does");
        metrics::counter!("halfhour_breaker_openings_total", "pool" => self.name).increment(1);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(probe(Arc::downgrade(self)));
        }
    }

    /// A connection said nothing in the time that it had. Others that were idle then are not trusted any more.
    pub(super) fn fell_silent(self: &Arc<Self>) {
        metrics::counter!("halfhour_database_silences_total", "pool" => self.name).increment(1);
        *self.silent_at() = Some(Instant::now());
        self.failed();
    }

    /// Whether a connection that has been idle for so long may be used.
    pub(super) fn trusts_idle_for(&self, idle_for: Duration) -> bool {
        let silent_at = *self.silent_at();
        silent_at.is_none_or(|silent_at| silent_at.elapsed() > idle_for)
    }

    /// What the breaker is in.
    pub(super) fn state(&self) -> BreakerState {
        self.breaker().state()
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a connection as busy while it lives.
#[derive(Debug)]
pub(super) struct InUse {
    count: Arc<AtomicU32>,
    health: Arc<PoolHealth>,
}

impl InUse {
    /// One busy connection more, of a pool in this health.
    pub(super) fn of(count: &Arc<AtomicU32>, health: &Arc<PoolHealth>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self { count: count.clone(), health: health.clone() }
    }

    /// The pool's.
    pub(super) const fn health(&self) -> &Arc<PoolHealth> {
        &self.health
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Asks on connections of its own until PostgreSQL answers anybody, or nobody has the pool any more.
async fn probe(pool: Weak<PoolHealth>) {
    while let Some(health) = pool.upgrade() {
        if health.state() == BreakerState::Closed {
            tracing::info!(pool = health.name, "the database answers again");
            return;
        }
        let options = health.options.clone();
        drop(health);
        let answered = matches!(tokio::time::timeout(PROBE_LIMIT, ask(&options)).await, Ok(Ok(())));
        if let Some(health) = pool.upgrade()
            && answered
        {
            health.answered();
        } else {
            tokio::time::sleep(jittered(PROBE_PAUSE)).await;
        }
    }
}

async fn ask(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    connection.ping().await?;
    connection.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_idle_when_another_connection_fell_silent_is_not_trusted_and_what_answered_since_is() {
        let health = PoolHealth::new("test", PgConnectOptions::new_without_pgpass());
        let hour = Duration::from_hours(1);
        assert!(health.trusts_idle_for(hour), "nothing was silent");
        health.fell_silent();
        assert!(!health.trusts_idle_for(hour));
        std::thread::sleep(Duration::from_millis(2));
        assert!(health.trusts_idle_for(Duration::ZERO));
    }

    #[test]
    fn a_pool_stops_asking_after_five_failures_in_a_row() {
        let health = PoolHealth::new("test", PgConnectOptions::new_without_pgpass());
        for _ in 0..4 {
            health.failed();
        }
        assert!(health.admits());
        health.answered();
        for _ in 0..5 {
            assert!(health.admits());
            health.failed();
        }
        assert!(!health.admits());
        assert_eq!(health.state(), BreakerState::Open);
    }
}
