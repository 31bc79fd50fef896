//! Statements in a transaction. Each one has a limit on this side, is timed, and how it ended is kept for the log line. In
//! a call that is recorded it is a span too.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, PgConnection, Postgres, SqlSafeStr, SqlStr};
use tokio::time::{Sleep, sleep, timeout};

use super::failure::{is_silence, spoils_connection, upstream_status};
use super::health::InUse;
use super::limits::Wait;
use super::statement_spans::StatementSpan;
use super::tx::{Fate, Tx};
use crate::kernel::call::Upstream;

impl Tx {
    /// The connection for one statement, and what notes how that ends. Errors: on this connection nothing comes back any
    /// more.
    fn ask(&mut self, sql: &str, wait: Wait) -> Result<(&mut PgConnection, Answer<'_>), sqlx::Error> {
        if self.fate == Fate::Silent {
            return Err(wait.given_up_after(Duration::ZERO).into());
        }
        let Self { connection: Some(connection), upstream, spans, fate, in_use, is_open, .. } = self else {
            unreachable!("commit and rollback take the transaction by value")
        };
        upstream.asked();
        let counted = is_open.then_some(&*in_use);
        let span = spans.as_ref().map(|spans| spans.begin(sql));
        let (upstream, started) = (upstream.clone(), Instant::now());
        let answer = Answer { upstream, wait, started, fate, counted, outcome: None, undoes: false, span };
        Ok((&mut *connection, answer))
    }

    /// Runs what needs no parameters, and returns the rows of it.
    pub(super) async fn run_raw(
        &mut self,
        sql: impl SqlSafeStr,
        wait: Wait,
        undoes: bool,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let sql = sql.into_sql_str();
        let (connection, mut answer) = self.ask(sql.as_str(), wait)?;
        answer.undoes = undoes;
        answer.within(sqlx::raw_sql(sql).fetch_all(connection)).await
    }
}

/// Notes how one statement ended. Dropped without an outcome, the statement was overrun: its caller stopped waiting.
#[derive(Debug)]
struct Answer<'tx> {
    upstream: Upstream,
    wait: Wait,
    started: Instant,
    fate: &'tx mut Fate,
    /// Where a silence is counted; nowhere before the transaction is open.
    counted: Option<&'tx InUse>,
    outcome: Option<u16>,
    /// It undoes work. Where that succeeds, nothing is noted but the time: what the work failed with stands.
    undoes: bool,
    /// Ends with this; `None` where nothing is recorded.
    span: Option<StatementSpan>,
}

impl Answer<'_> {
    /// Waits for the result, but not for longer than it may take.
    async fn within<T>(mut self, result: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let result = timeout(self.wait.limit(), result).await.unwrap_or_else(|_| Err(self.given_up()));
        self.note(&result);
        result
    }

    fn given_up(&self) -> sqlx::Error {
        self.wait.given_up_after(self.started.elapsed()).into()
    }

    fn note<T>(&mut self, result: &Result<T, sqlx::Error>) {
        if let Some(span) = &mut self.span {
            span.note(result);
        }
        let Err(error) = result else {
            self.outcome = Some(200);
            return;
        };
        self.outcome = Some(upstream_status(error));
        if is_silence(error) {
            *self.fate = Fate::Silent;
            self.upstream.gave_up();
            if let Some(counted) = self.counted {
                counted.health().fell_silent();
            }
        } else if spoils_connection(error) {
            // That one was lost says nothing of others: the next opening does.
            *self.fate = Fate::Spoiled;
        }
        if let Some(span) = &mut self.span {
            span.note(result);
        }
        self.outcome = Some(match result {
            Ok(_) => 200,
            Err(error) => upstream_status(error),
        });
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let latency = self.started.elapsed();
        if self.outcome.is_none() && *self.fate == Fate::Usable {
            *self.fate = Fate::Spoiled;
        }
        match self.outcome.unwrap_or(504) {
            200 if self.undoes => self.upstream.undone(latency),
            status => self.upstream.answered(status, latency),
        }
    }
}

/// A statement taken apart, so that its text can be looked at before it runs.
struct Statement {
    sql: SqlStr,
    arguments: Result<Option<PgArguments>, BoxDynError>,
    persistent: bool,
}

impl Statement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Self {
        let (arguments, persistent) = (query.take_arguments(), query.persistent());
        Self { sql: query.sql(), arguments, persistent }
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// A statement's results, watched until they end or take too long.
struct Watched<'e, T> {
    results: BoxStream<'e, Result<T, sqlx::Error>>,
    answer: Answer<'e>,
    /// Set as soon as something has to be waited for.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<'e, T: Send + 'e> Stream for Watched<'e, T> {
    type Item = Result<T, sqlx::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut next = this.results.as_mut().poll_next(context);
        if next.is_pending() {
            let left = || this.answer.wait.limit().saturating_sub(this.answer.started.elapsed());
            let limit = this.limit.get_or_insert_with(|| Box::pin(sleep(left())));
            if limit.poll_unpin(context).is_ready() {
                next = Poll::Ready(Some(Err(this.answer.given_up())));
                this.results = stream::empty().boxed();
            }
        }
        match &next {
            Poll::Ready(Some(result @ Err(_))) => this.answer.note(result),
            Poll::Ready(None) if this.answer.outcome.is_none() => this.answer.note(&Ok(())),
            _ => {}
        }
        next
    }
}

impl<'c> Executor<'c> for &'c mut Tx {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + sqlx::Execute<'q, Postgres>,
    {
        let query = Statement::of(query);
        match self.ask(query.sql.as_str(), self.limits.for_statement()) {
            Ok((connection, answer)) => {
                Box::pin(Watched { results: connection.fetch_many(query), answer, limit: None })
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + sqlx::Execute<'q, Postgres>,
    {
        let query = Statement::of(query);
        match self.ask(query.sql.as_str(), self.limits.for_statement()) {
            Ok((connection, answer)) => Box::pin(answer.within(connection.fetch_optional(query))),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.ask(sql.as_str(), self.limits.for_statement()) {
            Ok((connection, answer)) => Box::pin(answer.within(connection.prepare_with(sql, parameters))),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.ask(sql.as_str(), self.limits.for_statement()) {
            Ok((connection, answer)) => Box::pin(answer.within(connection.describe(sql))),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }
}
