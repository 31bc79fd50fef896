//! Rollups to read and events to fold, made by SQL.
#![expect(clippy::disallowed_methods, reason = "a benchmark of statements runs them as they are")]

use std::time::{Duration, Instant};

use halfhour::features::dashboard_rollup::FOLD_LOCK;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::support::posts::KINDS;

const FOLD_USER_DAYS: &str = include_str!("../../src/features/dashboard_rollup/relay/fold_user_days.sql");
const FILL_BUCKETS_OF_STRANGERS: &str = include_str!("fill_buckets_of_strangers.sql");
const FILL_DAYS: &str = include_str!("fill_days.sql");
const FILL_EVENTS: &str = include_str!("fill_events.sql");
const FILL_ROLLUPS: &str = include_str!("fill_rollups.sql");
const FILL_STRANGERS: &str = include_str!("fill_strangers.sql");
const FILL_VIEWERS: &str = include_str!("fill_viewers.sql");

/// As many events as the relay takes in one round.
const BATCH: i64 = 5000;

/// A superuser's connection.
#[derive(Debug)]
pub struct Rollups(PgConnection);

impl Rollups {
    pub async fn connect(database: &PgConnectOptions) -> anyhow::Result<Self> {
        let options = database.clone().application_name("bench rollups").options([
            ("jit", "off"),
            ("synchronous_commit", "on"),
            ("plan_cache_mode", "force_custom_plan"),
        ]);
        Ok(Self(PgConnection::connect_with(&options).await?))
    }

    async fn run(&mut self, sql: &'static str) -> anyhow::Result<()> {
        sqlx::raw_sql(sql).execute(&mut self.0).await?;
        Ok(())
    }

    /// Gives every user with an account so many days of past, 32 buckets each.
    pub async fn fill_days(&mut self, days: i32) -> anyhow::Result<()> {
        sqlx::query(FILL_DAYS)
            .bind(days)
            .bind(KINDS.map(|(source, _)| source).to_vec())
            .bind(KINDS.map(|(_, model)| model).to_vec())
            .execute(&mut self.0)
            .await?;
        self.run("vacuum analyze usage.bucket").await
    }

    /// Gives users the demo's year.
    pub async fn fill_viewers(&mut self, user_ids: Vec<Uuid>) -> anyhow::Result<()> {
        sqlx::query(FILL_VIEWERS).bind(user_ids).execute(&mut self.0).await?;
        self.run("vacuum analyze usage.bucket").await
    }

    /// Buckets of users that nobody reads, a month of 32 a day each.
    pub async fn fill_buckets_of_strangers(&mut self, buckets: i64) -> anyhow::Result<()> {
        sqlx::query(FILL_BUCKETS_OF_STRANGERS).bind(buckets / (30 * 32)).execute(&mut self.0).await?;
        self.run("vacuum analyze usage.bucket").await
    }

    /// Rollups of everything that is there, without the relay.
    pub async fn fold_all(&mut self) -> anyhow::Result<()> {
        self.run(FILL_ROLLUPS).await?;
        self.run("vacuum analyze rollup.daily").await?;
        self.run("vacuum analyze rollup.user_state").await?;
        self.run("checkpoint").await
    }

    /// Rollups of users that nobody reads: 30 days each.
    pub async fn fill_strangers(&mut self, users: i32) -> anyhow::Result<()> {
        sqlx::query(FILL_STRANGERS).bind(users).execute(&mut self.0).await?;
        self.run("vacuum analyze rollup.daily").await?;
        self.run("checkpoint").await
    }

    /// Nothing is folded, and every user has an event for each of the last days. The relay waits until
    /// [`Rollups::let_the_relay_go`]. Returns how many user-days there are to fold.
    pub async fn unfold(&mut self, days: i32) -> anyhow::Result<i64> {
        sqlx::query("select pg_advisory_lock($1)").bind(FOLD_LOCK).execute(&mut self.0).await?;
        self.run("truncate rollup.daily, usage.outbox").await?;
        let events = sqlx::query(FILL_EVENTS).bind(days).execute(&mut self.0).await?.rows_affected();
        self.run("vacuum analyze usage.outbox").await?;
        self.run("checkpoint").await?;
        Ok(i64::try_from(events)?)
    }

    pub async fn let_the_relay_go(&mut self) -> anyhow::Result<()> {
        sqlx::query("select pg_advisory_unlock($1)").bind(FOLD_LOCK).execute(&mut self.0).await?;
        Ok(())
    }

    /// Takes all events as the relay does, and nothing else: its statement, then the deletion, a commit for each batch.
    pub async fn fold_as_bare_sql(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let mut tx = self.0.begin().await?;
            let events: Vec<(Uuid, i64)> = sqlx::query_as("select user_id, id from usage.outbox order by id limit $1")
                .bind(BATCH)
                .fetch_all(&mut *tx)
                .await?;
            if events.is_empty() {
                return Ok(begun.elapsed());
            }
            let (user_ids, ids): (Vec<Uuid>, Vec<i64>) = events.into_iter().unzip();
            sqlx::query(FOLD_USER_DAYS).bind(&user_ids).bind(&ids).execute(&mut *tx).await?;
            sqlx::query("delete from usage.outbox where user_id = any($1) and id = any($2)")
                .bind(&user_ids)
                .bind(&ids)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
    }
}
