//! The superuser's own connection, to look and to prepare.
#![expect(clippy::disallowed_methods, reason = "a benchmark of statements runs them as they are")]

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use halfhour::features::dashboard_rollup::FOLD_LOCK;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::posts::KINDS;

const FILL_HISTORY: &str = include_str!("fill_history.sql");

/// One connection.
#[derive(Debug)]
pub struct Admin(PgConnection);

impl Admin {
    pub async fn connect(database: &PgConnectOptions) -> anyhow::Result<Self> {
        let options = database.clone().application_name("bench");
        Ok(Self(PgConnection::connect_with(&options).await?))
    }

    /// Runs one fixed statement without a result.
    pub async fn run(&mut self, sql: String) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await?;
        Ok(())
    }

    pub async fn number(&mut self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.0).await?)
    }

    pub async fn version(&mut self) -> anyhow::Result<String> {
        Ok(sqlx::query_scalar("show server_version").fetch_one(&mut self.0).await?)
    }

    /// Buckets of devices that have an account: what the product wrote, and the past that was filled in.
    pub async fn buckets(&mut self) -> anyhow::Result<i64> {
        self.number("select count(*) from usage.bucket b join account.device d using (user_id, device_id)").await
    }

    /// Events that are not folded yet.
    pub async fn backlog(&mut self) -> anyhow::Result<i64> {
        self.number("select count(*) from usage.outbox").await
    }

    /// Rows of `usage.bucket` written so far, whether inserted or updated. Other connections report theirs when they end.
    pub async fn rows_written(&mut self) -> anyhow::Result<i64> {
        self.number(
            "select n_tup_ins + n_tup_upd + n_tup_del from pg_catalog.pg_stat_user_tables \
             where schemaname = 'usage' and relname = 'bucket'",
        )
        .await
    }

    /// Waits until everything is folded and returns how long that took.
    pub async fn wait_for_the_relay(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        while self.backlog().await? > 0 {
            anyhow::ensure!(begun.elapsed() < Duration::from_mins(5), "the relay does not come to an end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(begun.elapsed())
    }

    /// Keeps the relay from folding until [`Admin::drop_events_and_let_the_relay_go`].
    pub async fn hold_the_relay(&mut self) -> anyhow::Result<()> {
        self.run(format!("select pg_advisory_lock({FOLD_LOCK})")).await
    }

    /// Drops the events that came meanwhile: they are of rows that are nobody's.
    pub async fn drop_events_and_let_the_relay_go(&mut self) -> anyhow::Result<()> {
        self.run(format!("truncate usage.outbox; select pg_advisory_unlock({FOLD_LOCK})")).await
    }

    /// Gives every device a past of so many half hours.
    pub async fn fill_history(&mut self, until: DateTime<Utc>, half_hours: i64) -> anyhow::Result<()> {
        sqlx::query(FILL_HISTORY)
            .bind(until)
            .bind(half_hours)
            .bind(KINDS.map(|(source, _)| source).to_vec())
            .bind(KINDS.map(|(_, model)| model).to_vec())
            .execute(&mut self.0)
            .await?;
        self.run("vacuum analyze usage.bucket".to_owned()).await?;
        self.run("checkpoint".to_owned()).await
    }

    /// PostgreSQL's first process, the parent of the others.
    pub async fn postmaster(&mut self) -> anyhow::Result<u32> {
        let first_line = "select split_part(pg_catalog.pg_read_file('postmaster.pid'), E'\\n', 1)::bigint";
        Ok(u32::try_from(self.number(first_line).await?)?)
    }

    /// The database's processes and what each works for.
    pub async fn processes(&mut self) -> anyhow::Result<Vec<(i32, String)>> {
        Ok(sqlx::query_as(include_str!("database_processes.sql")).fetch_all(&mut self.0).await?)
    }
}
