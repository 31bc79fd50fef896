//! Pools of connections that may do nothing until a transaction opens on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{PgPool, Postgres};

use super::breaker::BreakerState;
use super::failure::is_unreachable;
use super::health::{InUse, PoolHealth};
use super::retries::RetryBudget;
use super::statement_spans::{StatementNames, StatementSpans};
use super::tx::{Access, BY_KEY, Mode, Opening, Tx};
use crate::kernel::call::{Evidence, PerThread, RequestContext, Threads, Tracer};
use crate::kernel::problem::{Code, Problem};

/// Acquiring a connection may take at most this long, and so may opening a transaction on it.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// Closing a pool may take this long: whoever uses a connection keeps it for no longer.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// When a refused caller may come back: the database is asked more often than that.
const RETRY_AFTER_S: u64 = 1;

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
    parts: Arc<Parts>,
    health: Arc<PoolHealth>,
    retries: RetryBudget,
    tracer: Tracer,
    /// `None` where nothing is traced.
    names: Option<StatementNames>,
}

#[derive(Debug)]
struct Parts {
    all: Vec<Part>,
    /// Which part is each thread's; `None` where there is but one.
    places: Option<PerThread<usize>>,
}

/// Connections that are opened, waited for and used by the same threads.
#[derive(Debug)]
struct Part {
    connections: PgPool,
    max: u32,
    in_use: Arc<AtomicU32>,
}

impl Part {
    fn new(health: &Arc<PoolHealth>, options: PgConnectOptions, max: u32) -> Self {
        let judge = health.clone();
        let connections = PgPoolOptions::new()
            .max_connections(max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_mins(10))
            // Whether a connection is still there shows when a transaction opens.
            .test_before_acquire(false)
            .before_acquire(move |_, meta| {
                let trusted = judge.trusts_idle_for(meta.idle_for);
                Box::pin(async move { Ok(trusted) })
            })
            .connect_lazy_with(options);
        Self { connections, max, in_use: Arc::default() }
    }

    /// How many connections are in a transaction.
    fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Relaxed)
    }
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
            // PostgreSQL's side finds out that this one is gone, and gives locks back. Over a Unix socket these mean
            // nothing.
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "15s"),
        ]);
        let health = PoolHealth::new(name, options.clone());
        let parts = Arc::new(Parts { all: vec![Part::new(&health, options, max)], places: None });
        let (retries, tracer) = (RetryBudget::default(), Tracer::off());
        Self { name, parts, health, retries, tracer, names: None }
    }

    /// As many connections, divided among threads: each thread opens its own and uses no other's. Where there are fewer
    /// connections than threads, some threads share one.
    #[must_use]
    pub fn divided_among(self, threads: &Threads) -> Self {
        let all = self.max_connections();
        let count = u32::try_from(threads.runtimes().len()).map_or(all, |count| count.min(all));
        if count < 2 {
            return self;
        }
        let options = self.part().connections.connect_options();
        let share = |number| all / count + u32::from(number < all % count);
        let part = |number| Part::new(&self.health, (*options).clone(), share(number));
        let all: Vec<Part> = (0..count).map(part).collect();
        let places = Some(PerThread::new(threads, |number| number % all.len()));
        Self { parts: Arc::new(Parts { all, places }), ..self }
    }

    /// The same, whose statements are spans of the calls that `tracer` records.
    #[must_use]
    pub fn traced(self, tracer: &Tracer) -> Self {
        let names = tracer.is_on().then(StatementNames::read);
        Self { tracer: tracer.clone(), names, ..self }
    }

    /// What begins the spans of those who work through this pool.
    pub const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Opens a transaction for this call. Errors: 503 when no connection is to be had, at once where that was so several
    /// times in a row; 504 when the call is overdue, or has less time than it would take to find out.
    pub async fn begin(&self, context: &RequestContext, access: Access<'_>, mode: Mode) -> Result<Tx, Problem> {
        let opening = Opening::Transaction { access: &access, mode, before: None };
        Ok(self.open(context, &opening, ACQUIRE_TIMEOUT).await?.0)
    }

    /// The same, and in the same round trip the answer to a question. A connection and that may take so long each.
    pub(super) async fn begin_asking(
        &self,
        context: &RequestContext,
        (access, mode): (&Access<'_>, Mode),
        question: &str,
        patience: Duration,
    ) -> Result<(Tx, Option<PgRow>), Problem> {
        self.open(context, &Opening::Transaction { access, mode, before: Some(question) }, patience).await
    }

    /// Asks a question that needs no rights. A connection and the answer may take so long each. Errors: as of [`Pool::begin`].
    pub(super) async fn ask(
        &self,
        context: &RequestContext,
        question: &str,
        patience: Duration,
    ) -> Result<Option<PgRow>, Problem> {
        let (tx, answer) = self.open(context, &Opening::Question(question), patience).await?;
        tx.give_back();
        Ok(answer)
    }

    async fn open(
        &self,
        context: &RequestContext,
        opening: &Opening<'_>,
        patience: Duration,
    ) -> Result<(Tx, Option<PgRow>), Problem> {
        if context.remaining().is_zero() {
            return Err(overdue("The request's time was used up before the database was asked."));
        }
        if !self.health.admits() {
            context.upstream.not_asked(Evidence::BreakerOpen);
            let detail = "The database does not answer, and is asked again as soon as it does.";
            return Err(Problem::new(Code::DatabaseUnavailable, detail).retry_after(RETRY_AFTER_S));
        }
        self.retries.worked();
        // A connection may have been lost since it was last used. To open a transaction on it changes nothing, so that
        // another one is tried: all may have been lost together, but no more than there are.
        let own = self.part();
        let mut others = own.max;
        loop {
            let limit = context.remaining().min(patience);
            let (part, connection) = self.acquire(own, context, limit, limit < patience).await?;
            let spans = StatementSpans::of(self.names.as_ref(), &context.span);
            let mut tx = Tx::on(connection, context, spans, InUse::of(&part.in_use, &self.health));
            match tx.open(opening, context.remaining().min(patience)).await {
                Ok(answer) => {
                    self.health.answered();
                    return Ok((tx, answer));
                }
                Err(Some(problem)) if problem.code() == Code::DatabaseUnavailable && others > 0 => others -= 1,
                Err(Some(problem)) => {
                    if problem.code() == Code::DatabaseUnavailable {
                        self.health.failed();
                    }
                    return Err(problem);
                }
                Err(None) if context.remaining().is_zero() => {
                    return Err(overdue("The request's time was used up before the database answered."));
                }
                Err(None) => {
                    context.upstream.gave_up();
                    self.health.fell_silent();
                    return Err(Problem::new(Code::DatabaseUnavailable, "The database did not answer."));
                }
            }
        }
    }

    /// Whether work that failed in passing may be begun again, as far as the budget for that goes.
    pub fn may_retry(&self) -> bool {
        self.retries.take()
    }

    /// How many connections it may open.
    pub fn max_connections(&self) -> u32 {
        self.max_of_parts().sum()
    }

    /// The same of each part, in the order of the threads.
    pub fn max_of_parts(&self) -> impl Iterator<Item = u32> {
        self.parts.all.iter().map(|part| part.max)
    }

    /// How busy it is just now.
    pub fn load(&self) -> PoolLoad {
        PoolLoad {
            name: self.name,
            max: self.max_connections(),
            open: self.parts.all.iter().map(|part| part.connections.size()).sum(),
            in_use: self.parts.all.iter().map(Part::in_use).sum(),
            breaker: self.health.state(),
        }
    }

    /// Waits until the connections are closed: at shutdown. What is not closed in time ends with the process.
    pub async fn close(&self) {
        let all = join_all(self.parts.all.iter().map(|part| part.connections.close()));
        let _ = tokio::time::timeout(CLOSE_LIMIT, all).await;
    }

    /// The pool itself, or this thread's part of it: for who listens, outside of transactions, and for tests that show what
    /// is not allowed there.
    pub fn connections(&self) -> &PgPool {
        &self.part().connections
    }

    fn part(&self) -> &Part {
        let Parts { all, places } = &*self.parts;
        &all[places.as_ref().map_or(0, |places| *places.here())]
    }

    /// A connection of this thread's `part`. Where none is to be had, one of another part that nobody uses is better than
    /// none. `is_hurried` where the caller's time is the limit.
    async fn acquire<'a>(
        &'a self,
        part: &'a Part,
        context: &RequestContext,
        limit: Duration,
        is_hurried: bool,
    ) -> Result<(&'a Part, PoolConnection<Postgres>), Problem> {
        context.upstream.waits_for_turn();
        let started = Instant::now();
        let acquired = tokio::time::timeout(limit, part.connections.acquire()).await;
        let error = match acquired {
            Ok(Ok(connection)) => return Ok((part, connection)),
            Ok(Err(error)) => error,
            Err(_overdue) => sqlx::Error::PoolTimedOut,
        };
        let mut others = self.parts.all.iter().filter(|other| !std::ptr::eq(*other, part));
        if let Some(idle) = others.find_map(|other| Some((other, other.connections.try_acquire()?))) {
            return Ok(idle);
        }
        let timed_out = matches!(error, sqlx::Error::PoolTimedOut);
        let hurried = timed_out && is_hurried;
        // The pool says "timed out" both when all connections are busy and when none can be opened. Only the first
        // means that the database was not asked.
        if timed_out && part.in_use() >= part.max {
            context.upstream.not_asked(Evidence::PoolExhausted);
            return Err(if hurried {
                overdue("The request's time was used up while all database connections were busy.")
            } else {
                Problem::new(Code::Overloaded, "All database connections are busy.").because(error)
            });
        }
        context.upstream.answered(if hurried { 504 } else { 503 }, started.elapsed());
        if hurried {
            return Err(overdue("The request's time was used up before the database was reached."));
        }
        if timed_out {
            context.upstream.gave_up();
        }
        if is_unreachable(&error) {
            self.health.failed();
        }
        Err(Problem::new(Code::DatabaseUnavailable, "The database cannot be reached.").because(error))
    }
}

fn overdue(detail: &'static str) -> Problem {
    Problem::new(Code::DeadlineExceeded, detail)
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
    /// Whether callers may ask the database.
    pub breaker: BreakerState,
}
