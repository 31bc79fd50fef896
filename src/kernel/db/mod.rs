//! The only way to the database. A connection starts in `halfhour_none`, which may do nothing; a [`Tx`] opens in one
//! round trip with a role, the users it may touch and a statement timeout; every statement is timed and its outcome
//! kept for the request line (`statements`). A transaction that is dropped unfinished takes its connection with it.

mod statements;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool, Postgres};
use uuid::Uuid;

use super::call::{Call, Evidence, Upstream, problem_code};
use super::problem::{Code, Problem};

/// Acquiring a connection may take at most this long, and so may opening a transaction on it.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// The part of the database a transaction may touch.
#[derive(Clone, Debug)]
pub enum Access<'a> {
    /// `halfhour_api`, and only these users' rows. Ids come from principals, never from rows.
    Users(&'a [Uuid]),
    /// `halfhour_worker`: the relay and operators' reads, over all users.
    Worker,
}

impl Access<'_> {
    /// `halfhour_api` and nobody's rows: enough to authenticate.
    pub const NOBODY: Self = Access::Users(&[]);
}

/// How a transaction sees the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read committed, for changes.
    ReadWrite,
    /// One snapshot for the whole transaction: `repeatable read, read only`.
    Snapshot,
}

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

/// For statements that look rows up by keys they were given, a few at a time. There is one good plan for that, whatever the
/// tables hold. It is made once, for making it costs as much as a post, and more with every key (measured).
const BY_KEY: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

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
    pub async fn begin(&self, call: &Call, access: Access<'_>, mode: Mode) -> Result<Tx, Problem> {
        // A connection may have been lost since it was last used. To open a transaction on it changes nothing, so that
        // another one is tried: all may have been lost together, but no more than there are.
        let mut others = self.max;
        loop {
            let remaining = call.remaining();
            if remaining.is_zero() {
                return Err(Problem::new(
                    Code::DeadlineExceeded,
                    "The request's time was used up before the database was asked.",
                ));
            }
            let connection = self.acquire(call, remaining).await?;
            let in_use = InUse::count(&self.in_use);
            let mut tx = Tx { connection: Some(connection), upstream: call.upstream.clone(), _in_use: in_use };
            let opened = tx.run(opening(&access, mode, remaining));
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

    async fn acquire(&self, call: &Call, remaining: Duration) -> Result<PoolConnection<Postgres>, Problem> {
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
            call.upstream.not_asked(Evidence::PoolExhausted);
            return Err(Problem::new(Code::Overloaded, "All database connections are busy.").because(error));
        }
        call.upstream.answered(503, started.elapsed());
        Err(Problem::new(Code::DatabaseUnavailable, "The database cannot be reached.").because(error))
    }
}

/// A pool at one moment, in connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLoad {
    /// What the pool is for.
    pub name: &'static str,
    /// It may open as many.
    pub max: u32,
    /// It has opened as many.
    pub open: u32,
    /// As many have a transaction.
    pub in_use: u32,
}

/// Counts a connection as busy while it lives.
#[derive(Debug)]
struct InUse(Arc<AtomicU32>);

impl InUse {
    fn count(counter: &Arc<AtomicU32>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `begin` and everything a transaction needs, as one simple query. All of it is typed: nothing here can be injected.
fn opening(access: &Access<'_>, mode: Mode, remaining: Duration) -> String {
    let mut sql = match mode {
        Mode::ReadWrite => "begin isolation level read committed".to_owned(),
        Mode::Snapshot => "begin isolation level repeatable read read only".to_owned(),
    };
    match access {
        Access::Users(users) => {
            sql.push_str("; set local role halfhour_api; set local app.user_ids = '");
            for (position, user) in users.iter().enumerate() {
                let separator = if position == 0 { "" } else { "," };
                // Writing to a String cannot fail.
                let _ = write!(sql, "{separator}{user}");
            }
            sql.push('\'');
        }
        Access::Worker => sql.push_str("; set local role halfhour_worker"),
    }
    // A little before the caller's own deadline, so that the database's word comes first and the connection stays
    // usable. A zero would mean "no limit".
    let timeout_ms = (remaining / 20 * 19).as_millis().clamp(1, 3_600_000);
    let _ = write!(sql, "; set local statement_timeout = {timeout_ms}");
    sql
}

/// A zero would mean "no limit".
fn lock_timeout(patience: Duration) -> String {
    format!("set local lock_timeout = {}", patience.as_millis().max(1))
}

/// An open transaction. Statements run on `&mut tx` like on any sqlx executor.
///
/// Dropped without [`Tx::commit`] or [`Tx::rollback`], it closes its connection: PostgreSQL then rolls back, and a
/// statement that overran its caller cannot hold the pool.
#[derive(Debug)]
pub struct Tx {
    /// `None` once finished.
    connection: Option<PoolConnection<Postgres>>,
    upstream: Upstream,
    _in_use: InUse,
}

impl Tx {
    /// Makes the changes durable.
    pub async fn commit(mut self) -> Result<(), Problem> {
        self.run("commit".to_owned()).await?;
        self.connection = None;
        Ok(())
    }

    /// Makes the changes visible at once, and durable with the next commit that waits for the disk, or by itself within a
    /// second: for work that is done again from where it was, should the database die before. Whatever is durable, so is
    /// all that it builds on: the log has one order.
    pub async fn commit_asynchronously(mut self) -> Result<(), Problem> {
        self.run("set local synchronous_commit = off; commit".to_owned()).await?;
        self.connection = None;
        Ok(())
    }

    /// Gives the changes up and keeps the connection. After a failure the call stays known by that, unless this fails too.
    pub async fn rollback(mut self) -> Result<(), Problem> {
        self.undo("rollback").await?;
        self.connection = None;
        Ok(())
    }

    /// A point to return to with [`Tx::rollback_to_savepoint`].
    pub async fn savepoint(&mut self) -> Result<(), Problem> {
        self.run("savepoint step".to_owned()).await
    }

    /// Undoes everything since the savepoint and forgets it.
    pub async fn rollback_to_savepoint(&mut self) -> Result<(), Problem> {
        Ok(self.undo("rollback to savepoint step; release savepoint step").await?)
    }

    /// Keeps everything since the savepoint and forgets it.
    pub async fn release_savepoint(&mut self) -> Result<(), Problem> {
        self.run("release savepoint step".to_owned()).await
    }

    /// From here on a lock that another transaction holds is waited for so long at most.
    pub async fn giving_way(&mut self, patience: Duration) -> Result<(), Problem> {
        self.run(lock_timeout(patience)).await
    }

    /// The same, and rows are looked up by keys: for large batches beside small ones.
    pub async fn by_key_and_giving_way(&mut self, patience: Duration) -> Result<(), Problem> {
        let mut sql = lock_timeout(patience);
        for (name, value) in BY_KEY {
            // Writing to a String cannot fail.
            let _ = write!(sql, "; set local {name} = {value}");
        }
        self.run(sql).await
    }

    async fn run(&mut self, sql: String) -> Result<(), Problem> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self).await?;
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl From<sqlx::Error> for Problem {
    /// For failures that no slice expects. Expected ones (a named constraint) are matched before they come here.
    fn from(error: sqlx::Error) -> Self {
        let code = problem_code(&error);
        let detail = match code {
            Code::DatabaseUnavailable => "The database did not answer.",
            Code::DatabaseConflict => "A competing change won.",
            Code::DeadlineExceeded => "The database did not finish in time; its work was undone.",
            _ => "Something failed inside halfhour.",
        };
        Self::new(code, detail).because(error)
    }
}

/// The name of the constraint that a statement broke, where that is why it failed.
pub fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_opens_with_its_role_its_users_and_a_timeout_in_one_statement() {
        let (a, b) = (Uuid::nil(), Uuid::max());
        let sql = opening(&Access::Users(&[a, b]), Mode::Snapshot, Duration::from_millis(1500));
        assert_eq!(
            sql,
            format!(
                "begin isolation level repeatable read read only; set local role halfhour_api; \
                 set local app.user_ids = '{a},{b}'; set local statement_timeout = 1425"
            )
        );
    }

    #[test]
    fn nobody_is_named_by_an_empty_setting_and_a_spent_deadline_never_means_no_timeout() {
        let sql = opening(&Access::NOBODY, Mode::ReadWrite, Duration::ZERO);
        assert!(sql.contains("app.user_ids = ''"), "{sql}");
        assert!(sql.ends_with("statement_timeout = 1"), "{sql}");
    }
}
