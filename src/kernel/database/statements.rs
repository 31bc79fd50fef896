//! Statements in a transaction. Each one is timed, and how it ended is kept for the log line.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Executor, PgConnection, Postgres, SqlStr};

use super::failure::upstream_status;
use super::tx::Tx;
use crate::kernel::call::Upstream;

impl Tx {
    /// The connection for one statement, and what notes how that ends.
    fn connection(&mut self) -> (&mut PgConnection, Answer) {
        let answer = Answer { upstream: self.upstream.clone(), started: Instant::now(), outcome: None, undoes: false };
        match &mut self.connection {
            Some(connection) => (&mut *connection, answer),
            None => unreachable!("commit and rollback take the transaction by value"),
        }
    }

    /// Runs what undoes work.
    pub(super) async fn undo(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        let (connection, mut answer) = self.connection();
        answer.undoes = true;
        let result = sqlx::raw_sql(sql).execute(connection).await;
        answer.note(&result);
        result.map(drop)
    }
}

/// Notes how one statement ended. Dropped without an outcome, the statement was overrun: its caller stopped waiting.
#[derive(Debug)]
struct Answer {
    upstream: Upstream,
    started: Instant,
    outcome: Option<u16>,
    /// It undoes work. Where that succeeds, nothing is noted but the time: what the work failed with stands.
    undoes: bool,
}

impl Answer {
    fn note<T>(&mut self, result: &Result<T, sqlx::Error>) {
        self.outcome = Some(match result {
            Ok(_) => 200,
            Err(error) => upstream_status(error),
        });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let latency = self.started.elapsed();
        match self.outcome.unwrap_or(504) {
            200 if self.undoes => self.upstream.undone(latency),
            status => self.upstream.answered(status, latency),
        }
    }
}

/// A statement's results, watched until they end.
struct Watched<'e, T> {
    results: BoxStream<'e, Result<T, sqlx::Error>>,
    answer: Answer,
}

impl<T> Stream for Watched<'_, T> {
    type Item = Result<T, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.results.as_mut().poll_next(context);
        match &next {
            Poll::Ready(Some(result @ Err(_))) => self.answer.note(result),
            Poll::Ready(None) if self.answer.outcome.is_none() => self.answer.note(&Ok(())),
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
        let (connection, answer) = self.connection();
        Box::pin(Watched { results: connection.fetch_many(query), answer })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + sqlx::Execute<'q, Postgres>,
    {
        let (connection, mut answer) = self.connection();
        let row = connection.fetch_optional(query);
        Box::pin(async move {
            let result = row.await;
            answer.note(&result);
            result
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection().0.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection().0.describe(sql)
    }
}
