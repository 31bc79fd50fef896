//! The SQL of the reads.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::request::{DayRange, Filters, GroupBy};
use crate::kernel::bucket::Model;
use crate::kernel::db::Tx;
use crate::kernel::problem::Problem;

/// What a user's rollup is in, and how fresh it is.
#[derive(Clone, Debug)]
pub struct RollupState {
    /// The start of this transaction.
    pub read_at: DateTime<Utc>,
    /// When the user's oldest change began that is not folded yet.
    pub oldest_event_at: Option<DateTime<Utc>>,
    /// The zone of the rollup's days.
    pub time_zone: String,
    /// Rises when a row changes.
    pub version: i64,
    /// The local date of now.
    pub today: NaiveDate,
}

/// Reads the state of a user's rollup.
pub async fn rollup_state(tx: &mut Tx, user_id: Uuid, now: DateTime<Utc>) -> Result<RollupState, Problem> {
    let row = sqlx::query_file!("src/features/dashboard_rollup/rollup_state.sql", user_id, now).fetch_one(tx).await?;
    Ok(RollupState {
        read_at: row.read_at,
        oldest_event_at: row.oldest_event_at,
        time_zone: row.time_zone,
        version: row.version,
        today: row.today,
    })
}

/// Sums of every counter. Wider than the columns: a thousand large days do not fit into 63 bits.
#[derive(Clone, Copy, Debug)]
pub struct Sums {
    pub input_tokens: u128,
    pub cache_read_tokens: u128,
    pub cache_write_5m_tokens: u128,
    pub cache_write_1h_tokens: u128,
    pub output_tokens: u128,
    pub reasoning_tokens: u128,
    pub unclassified_tokens: u128,
    pub total_tokens: u128,
    pub request_count: u128,
    pub bucket_count: u128,
}

/// The sums of a row, whose sums are text.
macro_rules! sums {
    ($row:ident) => {
        Sums {
            input_tokens: sum(&$row.input_tokens)?,
            cache_read_tokens: sum(&$row.cache_read_tokens)?,
            cache_write_5m_tokens: sum(&$row.cache_write_5m_tokens)?,
            cache_write_1h_tokens: sum(&$row.cache_write_1h_tokens)?,
            output_tokens: sum(&$row.output_tokens)?,
            reasoning_tokens: sum(&$row.reasoning_tokens)?,
            unclassified_tokens: sum(&$row.unclassified_tokens)?,
            total_tokens: sum(&$row.total_tokens)?,
            request_count: sum(&$row.request_count)?,
            bucket_count: sum(&$row.bucket_count)?,
        }
    };
}

fn sum(text: &str) -> Result<u128, Problem> {
    text.parse().map_err(Problem::internal)
}

/// Which rows of whose rollup.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The owner.
    pub user_id: Uuid,
    /// Local days.
    pub days: DayRange,
    /// The buckets that count.
    pub filters: &'a Filters,
}

impl Scope<'_> {
    fn sources(&self) -> Vec<&str> {
        self.filters.sources.iter().map(|source| source.as_str()).collect()
    }

    fn models(&self) -> Vec<&str> {
        self.filters.models.iter().map(Model::as_str).collect()
    }
}

/// The sums over the whole scope.
pub async fn rollup_totals(tx: &mut Tx, scope: &Scope<'_>) -> Result<Sums, Problem> {
    let row = sqlx::query_file!(
        "src/features/dashboard_rollup/rollup_totals.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.sources() as &[&str],
        &scope.models() as &[&str],
        &scope.filters.devices,
    )
    .fetch_one(tx)
    .await?;
    Ok(sums!(row))
}

/// The sums of one group on one local day.
#[derive(Clone, Debug)]
pub struct GroupSums {
    /// The local day.
    pub day: NaiveDate,
    /// Its first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
    /// The tool, where grouped by it.
    pub source: Option<String>,
    /// The model, where grouped by it.
    pub model: Option<String>,
    /// The device, where grouped by it.
    pub device_id: Option<Uuid>,
    /// Its sums.
    pub sums: Sums,
}

/// The scope's sums by day and group, ascending; at most `limit` of them.
pub async fn rollup_days(
    tx: &mut Tx,
    scope: &Scope<'_>,
    group_by: GroupBy,
    limit: i64,
    time_zone: &str,
) -> Result<Vec<GroupSums>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollup_days.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.sources() as &[&str],
        &scope.models() as &[&str],
        &scope.filters.devices,
        group_by.source,
        group_by.model,
        group_by.device,
        limit,
        time_zone,
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(GroupSums {
                day: row.day,
                starts_at: row.starts_at,
                ends_at: row.ends_at,
                sums: sums!(row),
                source: row.source,
                model: row.model,
                device_id: row.device_id,
            })
        })
        .collect()
}
