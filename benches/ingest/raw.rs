//! The same writes without the product: straight SQL over its own connections, durable commits all the same.
#![expect(clippy::disallowed_methods, reason = "a benchmark of statements runs them as they are")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use halfhour::kernel::bucket::CountColumns;
use halfhour::kernel::clock::Clock;
use halfhour::kernel::usage::snapshot::Rank;
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::Query;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::support::load::Window;
use super::support::posts::{Device, KINDS, Sample};

const UPSERT_ONE: &str = include_str!("upsert_one.sql");
const UPSERT_SENT: &str = include_str!("upsert_sent.sql");
const UPSERT_MADE: &str = include_str!("upsert_made.sql");
const INSERT_NEW_BUCKETS: &str = include_str!("../../src/kernel/usage/writer/newness/insert_new_buckets.sql");

/// What one transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// One bucket by a plain upsert, as the superuser, which row-level security does not bind: the least there is.
    OneUpsert,
    /// So many buckets of one device by a plain upsert of rows that are sent, as the superuser.
    SentRows(u32),
    /// The same of rows that the database makes itself, so that nobody has to send or read any.
    MadeRows(u32),
    /// The product's statement for new buckets over so many of one device, events included, as the superuser.
    Statement(u32),
}

/// Writes new buckets over `connections`. Returns transactions a second, and all of them, those before and behind the window
/// too.
pub async fn run(
    database: &PgConnectOptions,
    devices: &[Arc<Device>],
    connections: usize,
    transaction: Transaction,
    window: Window,
) -> anyhow::Result<(f64, u32)> {
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
    let (mut counted, mut all) = (0, 0);
    while let Some(part) = tasks.join_next().await {
        let (within, whole) = part??;
        (counted, all) = (counted + within, all + whole);
    }
    Ok((f64::from(counted) / window.measured.as_secs_f64(), all))
}

async fn write(
    mut connection: PgConnection,
    devices: Vec<Arc<Device>>,
    transaction: Transaction,
    measured: Range<Instant>,
) -> anyhow::Result<(u32, u32)> {
    let (mut counted, mut all) = (0, 0);
    for device in devices.iter().cycle() {
        match transaction {
            Transaction::OneUpsert => {
                upsert_one(device).execute(&mut connection).await?;
            }
            Transaction::SentRows(buckets) => {
                Batch::new(device, buckets).upsert_sent().execute(&mut connection).await?;
            }
            Transaction::MadeRows(buckets) => {
                upsert_made(device, buckets)?.execute(&mut connection).await?;
            }
            Transaction::Statement(buckets) => {
                Batch::new(device, buckets).insert_new().fetch_all(&mut connection).await?;
            }
        }
        all += 1;
        let now = Instant::now();
        if now >= measured.end {
            break;
        }
        counted += u32::from(measured.contains(&now));
    }
    connection.close().await?;
    Ok((counted, all))
}

fn upsert_one(device: &Device) -> Query<'static, Postgres, PgArguments> {
    let sample = device.sample(device.take(1).start);
    let query = sqlx::query(UPSERT_ONE)
        .bind(device.user_id)
        .bind(sample.hour_start)
        .bind(device.device_id)
        .bind(sample.source)
        .bind(sample.model);
    sample.counts.into_values().into_iter().fold(query, Query::bind).bind(sample.observed_at())
}

/// Eight kinds of bucket in a half hour, as [`Device::sample`] has them.
fn upsert_made(device: &Device, buckets: u32) -> anyhow::Result<Query<'static, Postgres, PgArguments>> {
    let places = device.take(buckets);
    let (sources, models): (Vec<_>, Vec<_>) = KINDS.into_iter().unzip();
    Ok(sqlx::query(UPSERT_MADE)
        .bind(device.user_id)
        .bind(device.device_id)
        .bind(device.epoch)
        .bind(i32::try_from(places.start)?)
        .bind(i32::try_from(places.end)? - 1)
        .bind(sources)
        .bind(models))
}

/// One device's buckets, an array a column.
#[derive(Debug)]
struct Batch {
    user_ids: Vec<Uuid>,
    hour_starts: Vec<DateTime<Utc>>,
    device_ids: Vec<Uuid>,
    sources: Vec<&'static str>,
    models: Vec<&'static str>,
    counts: CountColumns,
    observed_ats: Vec<DateTime<Utc>>,
}

impl Batch {
    /// Sorted by key, because places are.
    fn new(device: &Device, buckets: u32) -> Self {
        let samples: Vec<Sample> = device.take(buckets).map(|place| device.sample(place)).collect();
        Self {
            user_ids: vec![device.user_id; samples.len()],
            hour_starts: samples.iter().map(|sample| sample.hour_start).collect(),
            device_ids: vec![device.device_id; samples.len()],
            sources: samples.iter().map(|sample| sample.source).collect(),
            models: samples.iter().map(|sample| sample.model).collect(),
            counts: samples.iter().map(|sample| sample.counts).collect(),
            observed_ats: samples.iter().map(Sample::observed_at).collect(),
        }
    }

    fn upsert_sent(self) -> Query<'static, Postgres, PgArguments> {
        let query = sqlx::query(UPSERT_SENT)
            .bind(self.user_ids)
            .bind(self.hour_starts)
            .bind(self.device_ids)
            .bind(self.sources)
            .bind(self.models);
        self.counts.into_values().into_iter().fold(query, Query::bind).bind(self.observed_ats)
    }

    fn insert_new(self) -> Query<'static, Postgres, PgArguments> {
        let cause = self.user_ids[0];
        let stamped = vec![true; self.observed_ats.len()];
        let ranks = vec![Rank::OnTime.number(); self.observed_ats.len()];
        let query = sqlx::query(INSERT_NEW_BUCKETS)
            .bind(self.user_ids)
            .bind(self.hour_starts)
            .bind(self.device_ids)
            .bind(self.sources)
            .bind(self.models);
        self.counts
            .into_values()
            .into_iter()
            .fold(query, Query::bind)
            .bind(self.observed_ats)
            .bind(stamped)
            .bind(ranks)
            .bind(Clock::machine_now())
            .bind("live")
            .bind(vec![cause])
            .bind(vec![Uuid::now_v7()])
            .bind(vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
    }
}
