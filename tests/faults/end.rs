//! What stands, read past the product as the superuser, in one snapshot of the database.

use std::sync::Mutex;

use chrono::{DateTime, NaiveDate, Utc};
use halfhour::kernel::bucket::TokenCounts;
use halfhour::kernel::usage::snapshot::Rank;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{Executor as _, PgConnection, Row as _};

use crate::history::{End, Key, Keys, RollupRow, Sums};
use crate::snapshots::{UserNumbers, snapshot};

const BUCKETS: &str = "select user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, rank from usage.bucket";
const ROLLUP: &str = "select user_id, day, device_id, source, model, total_tokens, bucket_count from rollup.daily";

/// Every bucket and every row of the rollup. Called when nothing is pending.
pub async fn standing(connection: &mut PgConnection, users: &UserNumbers, keys: &Mutex<Keys>) -> End {
    let buckets = connection.fetch_all(BUCKETS).await.unwrap();
    let rollup = connection.fetch_all(ROLLUP).await.unwrap();
    let buckets = buckets.iter().map(|row| {
        let key = Key {
            user: users[&row.get("user_id")],
            device: row.get("device_id"),
            hour_start: row.get::<DateTime<Utc>, _>("hour_start").timestamp(),
            source: row.get("source"),
            model: row.get("model"),
        };
        let ranks = [Rank::LateAndSilent, Rank::OnTime, Rank::LateAndRetracting];
        let rank = ranks.into_iter().find(|rank| rank.number() == row.get::<i16, _>("rank")).unwrap();
        let counts = TokenCounts::from_values(TokenCounts::NAMES.map(|name| row.get(name)));
        snapshot(keys, &key, row.get::<DateTime<Utc>, _>("observed_at").timestamp_micros(), rank, counts)
    });
    End { buckets: buckets.collect(), rollup: rollup.iter().map(|row| rollup_row(row, users)).collect() }
}

fn rollup_row(row: &PgRow, users: &UserNumbers) -> (RollupRow, Sums) {
    let days = row.get::<NaiveDate, _>("day").signed_duration_since(NaiveDate::default()).num_days();
    let key = RollupRow {
        user: users[&row.get("user_id")],
        day: days,
        device: row.get("device_id"),
        source: row.get("source"),
        model: row.get("model"),
    };
    (key, Sums { total: row.get("total_tokens"), buckets: row.get("bucket_count") })
}

/// Whom a line of the log blames, and for what. `None` where nothing failed.
pub fn blame(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    Some(format!("{} {}", line["attribution"].as_str()?, line["error_code"].as_str()?))
}
