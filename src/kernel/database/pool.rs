//! Pools of connections that may do nothing until a transaction opens on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};

use super::tx::{Access, BY_KEY, InUse, Mode, Tx};
use crate::kernel::call::{Evidence, RequestContext};
use crate::kernel::problem::{Code, Problem};

/// Acquiring a connection may take at most this long, and so may opening a transaction on it.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// The pools of one process, by purpose.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Trackers' posts.
    pub ingest: Pool,
    /// Authentication and dashboards' reads.
    pub read: Pool,
    /// The relay, other workers and operators.
    pub worker: Pool,
}

impl Pools {
    /// Waits until all connections are closed: at shutdown.
    pub async fn close(&self) {
        self.ingest.close().await;
        self.read.close().await;
        self.worker.close().await;
    }
}

/// For connections that only ever look rows up by keys.
pub fn by_key(options: PgConnectOptions) -> PgConnectOptions {
    options.options(BY_KEY)
}

/// For connections that read one user's rows by ranges of keys. One plan serves every user. A plan made while a table was
/// nearly empty must not scan it when it has grown.
pub fn by_range(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off")])
}

/// For connections that work through tables by key, a batch at a time. Such a table may be empty one moment and long the
/// next, or just filled and without statistics: a plan made for the one is wrong for the other, and a scan that does not
/// go by the key's order may cost as much as all that is left.
pub fn in_batches(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("plan_cache_mode", "force_custom_plan"), ("enable_seqscan", "off"), ("enable_bitmapscan", "off")])
}

/// A pool for one purpose, so that a flood of one kind of work cannot starve another.
#[derive(Clone, Debug)]
pub struct Pool {
    name: &'static str,
    inner: PgPool,
    max: u32,
    in_use: Arc<AtomicU32>,
}

impl Pool {
    /// A pool of at most `max` connections, opened when first needed. Works only on a migrated database.
    pub fn new(options: PgConnectOptions, name: &'static str, max: u32) -> Self {
        let options = options.application_name(&format!("halfhour {name}")).options([
            ("role", "halfhour_none"),
            ("synchronous_commit", "on"),
            ("idle_in_transaction_session_timeout", "15s"),
            ("lock_timeout", "5s"),
            // Statements are short and repeated: compiling them costs more than it saves (measured).
            ("jit", "off"),
            ("timezone", "UTC"),
        ]);
        let inner = PgPoolOptions::new()
            .max_connections(max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_mins(10))
            // Whether a connection is still there shows when a transaction opens.
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Self { name, inner, max, in_use: Arc::default() }
    }

    /// Opens a transaction for this call. Errors: 503 when no connection is to be had, 504 when the call is overdue.
    pub async fn begin(&self, context: &RequestContext, access: Access<'_>, mode: Mode) -> Result<Tx, Problem> {
        // A connection may have been lost since it was last used. To open a transaction on it changes nothing, so that
        // another one is tried: all may have been lost together, but no more than there are.
        let mut others = self.max;
        loop {
            let remaining = context.remaining();
            if remaining.is_zero() {
                return Err(Problem::new(
                    Code::DeadlineExceeded,
                    "The request's time was used up before the database was asked.",
                ));
            }
            let connection = self.acquire(context, remaining).await?;
            let in_use = InUse::count(&self.in_use);
            let mut tx = Tx::on(connection, context.upstream.clone(), in_use);
            let opened = tx.open(&access, mode, remaining);
            match tokio::time::timeout(remaining.min(ACQUIRE_TIMEOUT), opened).await {
                Ok(Err(problem)) if problem.code() == Code::DatabaseUnavailable && others > 0 => others -= 1,
                Ok(opened) => return opened.map(|()| tx),
                Err(_overdue) => return Err(Problem::new(Code::DatabaseUnavailable, "The database did not answer.")),
            }
        }
    }

    /// How many connections it may open.
    pub const fn max_connections(&self) -> u32 {
        self.max
    }

    /// How busy it is just now.
    pub fn load(&self) -> PoolLoad {
        let in_use = self.in_use.load(Ordering::Relaxed);
        PoolLoad { name: self.name, max: self.max, open: self.inner.size(), in_use }
    }

    /// Waits until the connections are closed: at shutdown.
    pub async fn close(&self) {
        self.inner.close().await;
    }

    /// The pool itself: for who listens, outside of transactions, and for tests that show what is not allowed there.
    pub fn connections(&self) -> &PgPool {
        &self.inner
    }

    async fn acquire(
        &self,
        context: &RequestContext,
        remaining: Duration,
    ) -> Result<PoolConnection<Postgres>, Problem> {
        let started = Instant::now();
        let acquired = tokio::time::timeout(remaining, self.inner.acquire()).await;
        let error = match acquired {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_overdue) => sqlx::Error::PoolTimedOut,
        };
        // The pool says "timed out" both when all connections are busy and when none can be opened. Only the first
        // means that the database was not asked.
        if matches!(error, sqlx::Error::PoolTimedOut) && self.in_use.load(Ordering::Relaxed) >= self.max {
            context.upstream.not_asked(Evidence::PoolExhausted);
            return Err(Problem::new(Code::Overloaded, "All database connections are busy.").because(error));
        }
        context.upstream.answered(503, started.elapsed());
        Err(Problem::new(Code::DatabaseUnavailable, "The database cannot be reached.").because(error))
    }
}

/// A pool at one moment, in connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLoad {
    /// What the pool is for.
    pub name: &'static str,
    /// How many connections it may open.
    pub max: u32,
    /// How many are open.
    pub open: u32,
    /// How many of them are in a transaction.
    pub in_use: u32,
}
