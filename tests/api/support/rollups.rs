//! Buckets to post, and the rollup that they must fold to, computed without the server and without PostgreSQL.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use halfhour::kernel::database::{Access, Mode};
use halfhour::kernel::usage::outbox::{self, Lane};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::{TestApp, TestDevice, TestUser, context, instant};

/// The counters that a tracker sends, in column order, and then the two that the server adds.
pub const COUNTERS: [&str; 10] = [
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "request_count",
    "total_tokens",
    "bucket_count",
];

/// Sums in the order of [`COUNTERS`].
pub type Sums = [u64; 10];

/// A bucket as a tracker keeps it.
#[derive(Clone, Debug)]
pub struct Usage {
    pub hour_start: DateTime<Utc>,
    pub source: &'static str,
    pub model: &'static str,
    /// The first eight of [`COUNTERS`].
    pub counts: [u64; 8],
}

impl Usage {
    /// A bucket of `codex` and `gpt` that only has input.
    pub fn input(hour_start: &str, tokens: u64) -> Self {
        let counts = [tokens, 0, 0, 0, 0, 0, 0, 0];
        Self { hour_start: instant(hour_start), source: "codex", model: "gpt", counts }
    }

    /// The `number`th of many that differ in everything.
    pub fn numbered(hour_start: DateTime<Utc>, number: u64) -> Self {
        let sources = ["codex", "claude-code", "other"];
        let models = ["gpt", "opus", "Opus-B", "z/z:1"];
        let pick = |length: usize| usize::try_from(number).unwrap() % length;
        let counts = [number, 7 * number, 3, 5 * number, 11 + number, number % 11, 2 * number, 1];
        Self { hour_start, source: sources[pick(3)], model: models[pick(4)], counts }
    }

    /// What it adds to a rollup.
    pub fn sums(&self) -> Sums {
        let [reasoning, requests] = [self.counts[5], self.counts[7]];
        // Reasoning is inside output, and requests are no tokens.
        let total = self.counts.iter().sum::<u64>() - reasoning - requests;
        let mut sums = Sums::default();
        sums[..8].copy_from_slice(&self.counts);
        sums[8..].copy_from_slice(&[total, 1]);
        sums
    }

    /// As a tracker posts it.
    pub fn json(&self) -> Value {
        let mut bucket = json!({"hour_start": self.hour_start, "source": self.source, "model": self.model});
        for (counter, count) in COUNTERS.into_iter().zip(self.counts) {
            bucket[counter] = count.into();
        }
        bucket
    }
}

/// Every half hour from `first` (inclusive) to `last` (exclusive).
pub fn half_hours(first: &str, last: &str) -> impl Iterator<Item = DateTime<Utc>> {
    let last = instant(last);
    std::iter::successors(Some(instant(first)), |hour| Some(*hour + TimeDelta::minutes(30)))
        .take_while(move |hour| *hour < last)
}

/// Sums by label and by (source, model).
pub type GroupsByDay = BTreeMap<String, BTreeMap<(String, String), Sums>>;

/// What the rollup must be.
pub fn fold(buckets: &[Usage], zone: Tz) -> GroupsByDay {
    let mut days = GroupsByDay::new();
    for bucket in buckets {
        let day = bucket.hour_start.with_timezone(&zone).date_naive().to_string();
        let group = (bucket.source.to_owned(), bucket.model.to_owned());
        add(days.entry(day).or_default().entry(group).or_default(), &bucket.sums());
    }
    days
}

/// What a reply that was grouped by source and model says.
pub fn groups_of(reply: &Value) -> GroupsByDay {
    let mut days = GroupsByDay::new();
    for interval in reply["data"].as_array().unwrap() {
        let day = days.entry(interval["label"].as_str().unwrap().to_owned()).or_default();
        for result in interval["results"].as_array().unwrap() {
            let text = |name: &str| result[name].as_str().unwrap().to_owned();
            let before = day.insert((text("source"), text("model")), sums_of(result));
            assert!(before.is_none(), "a group comes twice in {interval}");
        }
    }
    days
}

/// The counters of one object of a reply.
pub fn sums_of(object: &Value) -> Sums {
    COUNTERS.map(|counter| object[counter].as_u64().unwrap_or_else(|| panic!("{counter} is missing in {object}")))
}

/// What a rollup holds, by local day, device, source and model.
pub type Rows = BTreeMap<(NaiveDate, Uuid, String, String), Sums>;

/// The rows that buckets fold to in a zone; what is before `frozen_before` counts to that day.
pub fn fold_rows<'a>(
    buckets: impl Iterator<Item = (Uuid, &'a Usage)>,
    zone: Tz,
    frozen_before: Option<NaiveDate>,
) -> Rows {
    let mut rows = Rows::new();
    for (device_id, bucket) in buckets {
        let day = bucket.hour_start.with_timezone(&zone).date_naive();
        let day = frozen_before.map_or(day, |first| day.max(first));
        let key = (day, device_id, bucket.source.to_owned(), bucket.model.to_owned());
        add(rows.entry(key).or_default(), &bucket.sums());
    }
    rows
}

/// Adds sums to sums.
pub fn add(sums: &mut Sums, more: &Sums) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// When a local day begins: its first instant on a quarter of an hour.
pub fn day_start(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    let mut at = Utc.from_utc_datetime(&day.checked_sub_days(Days::new(1)).unwrap().and_hms_opt(0, 0, 0).unwrap());
    while at.with_timezone(&zone).date_naive() < day {
        at += TimeDelta::minutes(15);
    }
    at
}

impl TestApp {
    /// Posts buckets, as many requests as it takes.
    pub async fn post_usage(&self, device: &TestDevice, buckets: &[Usage]) {
        for chunk in buckets.chunks(500) {
            let buckets: Vec<_> = chunk.iter().map(Usage::json).collect();
            self.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
        }
    }

    /// What the rollup of a user holds.
    pub async fn rollup_rows(&self, user_id: Uuid) -> Rows {
        let sql = format!("select * from rollup.daily where user_id = '{user_id}'");
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&self.admin).await.unwrap();
        let sums = |row: &PgRow| COUNTERS.map(|counter| u64::try_from(row.get::<i64, _>(counter)).unwrap());
        rows.iter()
            .map(|row| ((row.get("day"), row.get("device_id"), row.get("source"), row.get("model")), sums(row)))
            .collect()
    }

    /// The user wants another zone: as `PATCH /v1/me` stores it.
    pub async fn want_zone(&self, user: &TestUser, time_zone: &str) {
        let mut tx = self.pools.read.begin(&context(), Access::Users(&[user.user_id]), Mode::ReadWrite).await.unwrap();
        let sql = format!("update account.user set time_zone = '{time_zone}' where user_id = '{}'", user.user_id);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut tx).await.unwrap();
        outbox::publish_rebuild(&mut tx, user.user_id, &context()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The half hours of a user are to be folded again, those of the last one included. Returns the number of events.
    pub async fn replay(&self, user: &TestUser, first: &str, last: &str) -> i64 {
        let mut tx = self.pools.worker.begin(&context(), Access::Worker, Mode::ReadWrite).await.unwrap();
        let (users, hours) = ([user.user_id], [first, last].map(instant));
        let events = outbox::publish_replay(&mut tx, &users, hours[0], hours[1], Lane::Bulk, &context()).await.unwrap();
        tx.commit().await.unwrap();
        events
    }

    /// Runs SQL as the superuser.
    pub async fn tell(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.admin).await.unwrap();
    }

    /// What SQL of one text column answers the superuser.
    pub async fn ask(&self, sql: &str) -> Vec<String> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&self.admin).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until SQL of one text column answers anything.
    pub async fn wait_for(&self, sql: &str) -> String {
        let answer = async {
            loop {
                if let Some(first) = self.ask(sql).await.into_iter().next() {
                    return first;
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), answer).await.expect(sql)
    }

    /// Ends every connection of one of the servers' pools, all at once, and returns when they are gone. What they counted
    /// is in the database's statistics then.
    pub async fn cut_connections(&self, pool: &str) {
        let pids = format!(
            "select pid::text from pg_stat_activity
             where datname = current_database() and application_name = 'halfhour {pool}'"
        );
        let pids = self.ask(&pids).await.join(", ");
        self.tell(&format!("select pg_terminate_backend(pid) from unnest(array[{pids}]::integer[]) as pid")).await;
        let left = format!("select 1 from pg_stat_activity where pid = any(array[{pids}]::integer[])");
        self.wait_for(&format!("select 'none' where not exists ({left})")).await;
    }
}
