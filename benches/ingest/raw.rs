//! The same writes without the product: straight SQL over its own connections, durable commits all the same.
#![expect(clippy::disallowed_methods, reason = "a benchmark of statements runs them as they are")]

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use halfhour::features::dashboard_rollup::FOLD_LOCK;
use halfhour::kernel::clock::Clock;
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::load::Window;
use super::posts::{Device, KINDS};

const UPSERT_ONE: &str = include_str!("upsert_one.sql");
const UPSERT_BUCKETS: &str = include_str!("../../src/kernel/writer/upsert_buckets.sql");
const FILL_HISTORY: &str = include_str!("fill_history.sql");

/// What one transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// One bucket by a plain upsert, as the superuser, which row-level security does not bind: the least there is.
    OneUpsert,
    /// The product's statement over so many buckets of one device, events included, as the superuser.
    Statement(u32),
    /// The same, opened as the product opens its transactions: three round trips, and row-level security binds.
    Confined(u32),
}

/// Writes new buckets over `connections` and returns transactions a second.
pub async fn run(
    database: &PgConnectOptions,
    devices: &[Arc<Device>],
    connections: usize,
    transaction: Transaction,
    window: Window,
) -> anyhow::Result<f64> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        let options = database.clone().application_name("raw").options([("jit", "off"), ("synchronous_commit", "on")]);
        opened.push(PgConnection::connect_with(&options).await?);
    }
    let begun = Instant::now() + window.warm_up;
    let measured = begun..begun + window.measured;
    let mut tasks = JoinSet::new();
    for (index, connection) in opened.into_iter().enumerate() {
        let devices = devices.iter().skip(index).step_by(connections).cloned().collect();
        tasks.spawn(write(connection, devices, transaction, measured.clone()));
    }
    let mut transactions = 0;
    while let Some(part) = tasks.join_next().await {
        transactions += part??;
    }
    Ok(f64::from(transactions) / window.measured.as_secs_f64())
}

async fn write(
    mut connection: PgConnection,
    devices: Vec<Arc<Device>>,
    transaction: Transaction,
    measured: Range<Instant>,
) -> anyhow::Result<u32> {
    let mut transactions = 0;
    for device in devices.iter().cycle() {
        match transaction {
            Transaction::OneUpsert => {
                upsert_one(device).execute(&mut connection).await?;
            }
            Transaction::Statement(buckets) => {
                Batch::new(device, buckets).upsert().fetch_all(&mut connection).await?;
            }
            Transaction::Confined(buckets) => {
                let opening = format!(
                    "begin isolation level read committed; set local role halfhour_api; \
                     set local app.user_ids = '{}'; set local statement_timeout = 5000",
                    device.user_id
                );
                sqlx::raw_sql(AssertSqlSafe(opening)).execute(&mut connection).await?;
                Batch::new(device, buckets).upsert().fetch_all(&mut connection).await?;
                sqlx::raw_sql("commit").execute(&mut connection).await?;
            }
        }
        let now = Instant::now();
        if now >= measured.end {
            break;
        }
        transactions += u32::from(measured.contains(&now));
    }
    connection.close().await?;
    Ok(transactions)
}

fn upsert_one(device: &Device) -> Query<'static, Postgres, PgArguments> {
    let sample = device.sample(device.take(1).start);
    let query = sqlx::query(UPSERT_ONE)
        .bind(device.user_id)
        .bind(sample.hour_start)
        .bind(device.device_id)
        .bind(sample.source)
        .bind(sample.model);
    sample.counts.into_iter().fold(query, Query::bind).bind(sample.observed_at())
}

/// One device's buckets, an array a column.
#[derive(Debug, Default)]
struct Batch {
    user_ids: Vec<Uuid>,
    hour_starts: Vec<DateTime<Utc>>,
    device_ids: Vec<Uuid>,
    sources: Vec<&'static str>,
    models: Vec<&'static str>,
    counts: [Vec<i64>; 8],
    observed_ats: Vec<DateTime<Utc>>,
}

impl Batch {
    /// Sorted by key, because places are.
    fn new(device: &Device, buckets: u32) -> Self {
        let mut batch = Self::default();
        for place in device.take(buckets) {
            let sample = device.sample(place);
            batch.user_ids.push(device.user_id);
            batch.hour_starts.push(sample.hour_start);
            batch.device_ids.push(device.device_id);
            batch.sources.push(sample.source);
            batch.models.push(sample.model);
            batch.counts.iter_mut().zip(sample.counts).for_each(|(column, count)| column.push(count));
            batch.observed_ats.push(sample.observed_at());
        }
        batch
    }

    fn upsert(self) -> Query<'static, Postgres, PgArguments> {
        let cause = self.user_ids[0];
        let stamped = vec![true; self.observed_ats.len()];
        let query = sqlx::query(UPSERT_BUCKETS)
            .bind(self.user_ids)
            .bind(self.hour_starts)
            .bind(self.device_ids)
            .bind(self.sources)
            .bind(self.models);
        self.counts
            .into_iter()
            .fold(query, Query::bind)
            .bind(self.observed_ats)
            .bind(stamped)
            .bind(Clock::machine_now())
            .bind("live")
            .bind(vec![cause])
            .bind(vec![Uuid::now_v7()])
            .bind(vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
    }
}

/// The superuser's own connection, to look and to prepare.
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

    async fn number(&mut self, sql: &'static str) -> anyhow::Result<i64> {
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

    /// Keeps the relay from folding until [`Admin::let_the_relay_go`].
    pub async fn hold_the_relay(&mut self) -> anyhow::Result<()> {
        self.run(format!("select pg_advisory_lock({FOLD_LOCK})")).await
    }

    /// Drops the events that came meanwhile: they are of rows that are nobody's.
    pub async fn let_the_relay_go(&mut self) -> anyhow::Result<()> {
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

    /// The database's processes and what each works for.
    pub async fn processes(&mut self) -> anyhow::Result<Vec<(i32, String)>> {
        Ok(sqlx::query_as(include_str!("database_processes.sql")).fetch_all(&mut self.0).await?)
    }
}
