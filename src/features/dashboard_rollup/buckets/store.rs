//! The SQL of the user's own buckets.

use chrono::{DateTime, NaiveDate, Utc};

use super::request::RowKey;
use crate::features::dashboard_rollup::range::Scope;
use crate::kernel::bucket::TokenCounts;
use crate::kernel::database::{Tx, counters_of_row};
use crate::kernel::problem::Problem;

/// One bucket as it stands.
#[derive(Clone, Debug)]
pub struct BucketRow {
    /// What it is known by within its user.
    pub key: RowKey,
    /// Its counts and their total, as replies show them.
    pub counts: [i64; TokenCounts::NAMES_WITH_TOTAL.len()],
    /// When the snapshot was taken.
    pub observed_at: DateTime<Utc>,
    /// When the counts last changed.
    pub changed_at: DateTime<Utc>,
    /// Whether the tracker said when it was taken.
    pub stamped: bool,
    /// Whether a backfill's correction stands.
    pub corrected: bool,
}

/// The buckets behind a key, at most `limit` of them.
pub async fn bucket_page(
    tx: &mut Tx,
    scope: &Scope<'_>,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<BucketRow>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/buckets/bucket_page.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        scope.time_zone,
        after.hour_start,
        after.device_id,
        after.source,
        after.model,
        limit,
    )
    .fetch_all(tx)
    .await?;
    let bucket = rows.into_iter().map(|row| BucketRow {
        key: RowKey { hour_start: row.hour_start, device_id: row.device_id, source: row.source, model: row.model },
        counts: counters_of_row!(row).with_total(row.total_tokens),
        observed_at: row.observed_at,
        changed_at: row.changed_at,
        stamped: row.stamped,
        corrected: row.corrected,
    });
    Ok(bucket.collect())
}

/// The first instant of a local day.
pub async fn first_instant(tx: &mut Tx, day: NaiveDate, time_zone: &str) -> Result<DateTime<Utc>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/buckets/first_instant.sql", day, time_zone);
    Ok(query.fetch_one(tx).await?)
}
