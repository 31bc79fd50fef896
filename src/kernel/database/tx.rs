//! Transactions: each opens in one round trip with a role, the users it may touch, and a statement timeout.

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Postgres};
use uuid::Uuid;

use super::connection::{abandon, close, give_back};
use super::health::InUse;
use super::limits::{Patience, Wait};
use super::statement_spans::StatementSpans;
use crate::kernel::call::{RequestContext, Upstream};
use crate::kernel::problem::{Code, Problem};

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
    /// The same, for who writes sums of many rows. Groups are hashed where they can be, as in [`Mode::Sums`].
    WriteSums,
    /// One snapshot for the whole transaction: `repeatable read, read only`.
    Snapshot,
    /// The same, for who sums rows of one user. A generic plan expects a handful of rows, whatever there are, and would sort
    /// thousands by their names before it adds them up. So groups are hashed where they can be: a third less processor time
    /// for a year (measured). What has to be in order is sorted all the same.
    Sums,
}

/// For statements that look rows up by keys they were given, a few at a time. There is one good plan for that, whatever the
/// tables hold. It is made once, for making it costs as much as a post, and more with every key (measured).
pub(super) const BY_KEY: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// What is to be done with a connection first, in one round trip.
#[derive(Debug)]
pub(super) enum Opening<'a> {
    /// To begin, with a role, users and a statement timeout. A question `before` has a transaction of its own.
    Transaction { access: &'a Access<'a>, mode: Mode, before: Option<&'a str> },
    /// To answer a question, and no more.
    Question(&'a str),
}

/// A question in a transaction that ends with it.
fn asking(question: &str) -> String {
    format!("begin read only; {question}; commit")
}

/// `begin` and everything a transaction needs, as one simple query. All of it is typed: nothing here can be injected.
fn beginning(access: &Access<'_>, mode: Mode, limits: &Patience) -> String {
    let mut sql = match mode {
        Mode::ReadWrite | Mode::WriteSums => "begin isolation level read committed".to_owned(),
        Mode::Snapshot | Mode::Sums => "begin isolation level repeatable read read only".to_owned(),
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
    if matches!(mode, Mode::Sums | Mode::WriteSums) {
        sql.push_str("; set local enable_sort = off");
    }
    let _ = write!(sql, "; set local statement_timeout = {}", limits.statement_timeout_ms());
    sql
}

/// A zero would mean "no limit".
fn lock_timeout(patience: Duration) -> String {
    format!("set local lock_timeout = {}", patience.as_millis().max(1))
}

/// What may still be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Anything.
    Usable,
    /// A statement was not waited for to its end, or showed that another connection is better: it is closed.
    Spoiled,
    /// Nothing comes back on it any more: it is closed without a word.
    Silent,
}

/// An open transaction. Statements run on `&mut tx` like on any sqlx executor. Each has a limit, on PostgreSQL's side and
/// on this one.
///
/// Dropped without [`Tx::commit`] or [`Tx::rollback`], it closes its connection: PostgreSQL then rolls back, and a
/// statement that overran its caller cannot hold the pool.
#[derive(Debug)]
pub struct Tx {
    /// `None` once finished.
    pub(super) connection: Option<PoolConnection<Postgres>>,
    pub(super) upstream: Upstream,
    /// `None` where nothing is recorded.
    pub(super) spans: Option<StatementSpans>,
    pub(super) limits: Patience,
    pub(super) fate: Fate,
    /// Whether it has opened: what fails before that is judged by the pool.
    pub(super) is_open: bool,
    pub(super) in_use: InUse,
    /// It was opened for named users.
    is_of_users: bool,
}

impl Tx {
    /// On a connection that is counted as busy while the transaction lives. It has to be opened.
    pub(super) fn on(
        connection: PoolConnection<Postgres>,
        context: &RequestContext,
        spans: Option<StatementSpans>,
        in_use: InUse,
    ) -> Self {
        Self {
            connection: Some(connection),
            upstream: context.upstream.clone(),
            spans,
            limits: Patience::of(context),
            fate: Fate::Usable,
            is_open: false,
            in_use,
            is_of_users: false,
        }
    }

    /// Opens it in one round trip, and returns the answer to the question. Errors: `None` where that was not answered in time.
    pub(super) async fn open(
        &mut self,
        opening: &Opening<'_>,
        limit: Duration,
    ) -> Result<Option<PgRow>, Option<Problem>> {
        self.is_of_users = matches!(opening, Opening::Transaction { access: Access::Users(_), .. });
        let sql = match *opening {
            Opening::Question(question) => asking(question),
            Opening::Transaction { access, mode, before: None } => beginning(access, mode, &self.limits),
            Opening::Transaction { access, mode, before: Some(question) } => {
                format!("{}; {}", asking(question), beginning(access, mode, &self.limits))
            }
        };
        let opened = tokio::time::timeout(limit, self.ask_within(sql, self.limits.for_statement())).await;
        match opened {
            Ok(Ok(rows)) => {
                self.is_open = true;
                Ok(rows.into_iter().next())
            }
            Ok(Err(problem)) => Err(Some(problem)),
            Err(_overdue) => {
                self.fate = Fate::Silent;
                Err(None)
            }
        }
    }

    /// From here on as the worker, for what nobody's request may write. Followed by [`Tx::as_opened`], unless it fails.
    pub async fn as_worker(&mut self) -> Result<(), Problem> {
        if !self.is_of_users {
            return Ok(());
        }
        self.run("set local role halfhour_worker".to_owned()).await
    }

    /// Again as the transaction was opened.
    pub async fn as_opened(&mut self) -> Result<(), Problem> {
        if !self.is_of_users {
            return Ok(());
        }
        self.run("set local role halfhour_api".to_owned()).await
    }

    /// Makes the changes durable. Errors: those of the database; where it said nothing, the changes may be durable.
    pub async fn commit(self) -> Result<(), Problem> {
        self.end("commit".to_owned()).await
    }

    /// Makes the changes visible at once, and durable with the next commit that waits for the disk, or by itself within a
    /// second: for work that is done again from where it was, should the database die before. Whatever is durable, so is
    /// all that it builds on: the log has one order.
    pub async fn commit_asynchronously(self) -> Result<(), Problem> {
        self.end("set local synchronous_commit = off; commit".to_owned()).await
    }

    async fn end(mut self, commit: String) -> Result<(), Problem> {
        self.run_within(commit, self.limits.for_commit()).await?;
        self.give_back();
        Ok(())
    }

    /// Gives the changes up and keeps the connection. After a failure the call stays known by that, unless this fails too.
    /// A connection that is of no use any more is closed instead, which does the same.
    pub async fn rollback(mut self) -> Result<(), Problem> {
        if self.fate == Fate::Silent {
            return Err(Problem::new(Code::DatabaseUnavailable, "The database did not answer."));
        }
        self.undo("rollback").await?;
        self.give_back();
        Ok(())
    }

    /// Gives the connection back, on which nothing is open any more.
    pub(super) fn give_back(mut self) {
        match self.connection.take() {
            Some(connection) if self.fate == Fate::Usable => give_back(connection, self.in_use.health()),
            Some(connection) => close(connection),
            None => {}
        }
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
        self.run_within(sql, self.limits.for_statement()).await
    }

    async fn run_within(&mut self, sql: String, wait: Wait) -> Result<(), Problem> {
        self.ask_within(sql, wait).await.map(drop)
    }

    async fn ask_within(&mut self, sql: String, wait: Wait) -> Result<Vec<PgRow>, Problem> {
        Ok(self.run_raw(AssertSqlSafe(sql), wait, false).await?)
    }

    /// Runs what undoes work.
    async fn undo(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.run_raw(sql, Patience::for_undoing(), true).await.map(drop)
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) if self.fate == Fate::Silent => abandon(connection),
            Some(connection) => close(connection),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_opens_with_its_role_its_users_and_a_timeout_in_one_statement() {
        let (a, b) = (Uuid::nil(), Uuid::max());
        let limits = Patience::of(&RequestContext::internal(Duration::from_millis(1500)));
        let sql = beginning(&Access::Users(&[a, b]), Mode::Snapshot, &limits);
        assert_eq!(
            sql,
            format!(
                "begin isolation level repeatable read read only; set local role halfhour_api; \
                 set local app.user_ids = '{a},{b}'; set local statement_timeout = {}",
                limits.statement_timeout_ms()
            )
        );
        assert!((1_400..=1_425).contains(&limits.statement_timeout_ms()), "{limits:?}");
        let of_sums = beginning(&Access::Users(&[a, b]), Mode::Sums, &limits);
        assert_eq!(of_sums.replace("; set local enable_sort = off", ""), sql);
        assert_ne!(of_sums, sql);
        let writing = |mode| beginning(&Access::Worker, mode, &limits);
        assert_eq!(writing(Mode::WriteSums).replace("; set local enable_sort = off", ""), writing(Mode::ReadWrite));
        assert_ne!(writing(Mode::WriteSums), writing(Mode::ReadWrite));
    }

    #[test]
    fn nobody_is_named_by_an_empty_setting_and_a_spent_deadline_never_means_no_timeout() {
        let sql = beginning(&Access::NOBODY, Mode::ReadWrite, &Patience::of(&RequestContext::internal(Duration::ZERO)));
        assert!(sql.contains("app.user_ids = ''"), "{sql}");
        assert!(sql.ends_with("statement_timeout = 1"), "{sql}");
    }
}
