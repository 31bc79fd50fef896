//! A process of an earlier release that goes on while the new one migrates: it takes posts with that release's own
//! statement, in the role that it had.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio_util::sync::CancellationToken;

use super::sample::Sample;

/// `deadlock_detected`.
const DEADLOCK: &str = "40P01";

/// What it has acknowledged.
#[derive(Debug, Default)]
pub struct Acknowledged {
    pub posts: u64,
    pub input_tokens: u64,
    /// How often PostgreSQL refused a statement, for its trackers to post again.
    pub refused: Vec<String>,
}

/// Posts until `stop`: a bucket of another half hour each time, as laptop of ann.
pub async fn run(options: PgConnectOptions, sample: &Sample, stop: CancellationToken) -> Acknowledged {
    let upsert = sample.statement("kernel/usage/writer/upsert_buckets.sql").unwrap();
    let (user, device) = (sample.text("/users/ann"), sample.text("/devices/ann laptop"));
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let prepare = format!("set role halfhour_api; prepare upsert as {upsert}; set role halfhour_none");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut number = 0;
    while !stop.is_cancelled() {
        let post = format!(
            "begin isolation level read committed; set local role halfhour_api; set local app.user_ids = '{user}';
             set local lock_timeout = '5s';
             execute upsert(array['{user}']::uuid[],
                 array['2025-01-01T00:00Z'::timestamptz + {number} * interval '30 minutes'], array['{device}']::uuid[],
                 array['codex'], array['old'], array[{tokens}]::bigint[], array[0]::bigint[], array[0]::bigint[],
                 array[0]::bigint[], array[0]::bigint[], array[0]::bigint[], array[0]::bigint[], array[0]::bigint[],
                 array[now()], array[true], clock_timestamp(), 'live', array['{user}']::uuid[],
                 array['{user}']::uuid[], array[null]::text[], null, false);
             commit",
            tokens = number + 1,
        );
        match connection.execute(sqlx::raw_sql(AssertSqlSafe(post))).await {
            Ok(_) => {
                acknowledged.posts += 1;
                number += 1;
                acknowledged.input_tokens += number;
            }
            Err(error) => {
                connection.execute("rollback").await.unwrap();
                // That release's writer tries again where it met a migration's locks the other way round.
                let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
                if code.as_deref() != Some(DEADLOCK) {
                    acknowledged.refused.push(error.to_string());
                    number += 1;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    connection.close().await.unwrap();
    acknowledged
}
