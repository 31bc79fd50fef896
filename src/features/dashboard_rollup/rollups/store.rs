//! The SQL of sums by interval and group.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::request::{GroupBy, ResultKey};
use super::width::Width;
use crate::features::dashboard_rollup::cost::{PricedSums, RatedSums};
use crate::features::dashboard_rollup::range::Scope;
use crate::features::dashboard_rollup::store::{Sum, sums_of_row};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What a page is made of.
#[derive(Clone, Copy, Debug)]
pub struct ResultsPage<'a> {
    /// How long an interval is.
    pub width: Width,
    /// The groups within an interval.
    pub group_by: GroupBy,
    /// The last result of the page before.
    pub after: Option<&'a ResultKey>,
    /// At most so many results.
    pub limit: i64,
}

/// The sums of one group in one interval.
#[derive(Clone, Debug)]
pub struct GroupSums {
    /// Which interval, and which group; a column that is no group is empty.
    pub key: ResultKey,
    /// Its sums, and what they cost.
    pub priced: PricedSums,
}

/// One interval of a range.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// How results name it: its first local day, or for half hours and hours its first half hour in UTC.
    pub at: NaiveDateTime,
    /// Its local start, before a range or a change of clocks cuts it.
    pub local_start: NaiveDateTime,
    /// Its first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
}

macro_rules! group_sums {
    ($rows:expr) => {
        $rows.into_iter().map(|row| {
            let sums = sums_of_row!(row);
            let key = ResultKey { at: row.at, source: row.source, model: row.model, device: row.device_id };
            RatedSums { key, rate_id: row.rate_id, sums }
        })
    };
}

macro_rules! total_sums {
    ($rows:expr) => {
        $rows.into_iter().map(|row| RatedSums { key: (), rate_id: row.rate_id, sums: sums_of_row!(row) })
    };
}

/// The sums of the rollup over the whole scope, by rate.
pub async fn daily_totals(tx: &mut Tx, scope: &Scope<'_>) -> Result<Vec<RatedSums<()>>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/daily_totals.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
    )
    .fetch_all(tx)
    .await?;
    Ok(total_sums!(rows).collect())
}

/// The sums of the buckets over the whole scope, by rate of a book.
pub async fn bucket_totals(tx: &mut Tx, scope: &Scope<'_>, book: Option<i32>) -> Result<Vec<RatedSums<()>>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/bucket_totals.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        scope.time_zone,
        book,
    )
    .fetch_all(tx)
    .await?;
    Ok(total_sums!(rows).collect())
}

/// A page of the rollup's sums by interval and group, ascending.
pub async fn daily_results(
    tx: &mut Tx,
    scope: &Scope<'_>,
    page: &ResultsPage<'_>,
) -> Result<Vec<RatedSums<ResultKey>>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/daily_results.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        page.group_by.source,
        page.group_by.model,
        page.group_by.device,
        page.width.as_str(),
        page.after.map(|after| after.at),
        page.after.map(|after| after.source.as_str()),
        page.after.map(|after| after.model.as_str()),
        page.after.map(|after| after.device),
        page.limit,
        page.width.days_before_monday(),
    )
    .fetch_all(tx)
    .await?;
    Ok(group_sums!(rows).collect())
}

/// A page of the buckets' sums by interval and group, ascending.
pub async fn bucket_results(
    tx: &mut Tx,
    scope: &Scope<'_>,
    page: &ResultsPage<'_>,
    book: Option<i32>,
) -> Result<Vec<RatedSums<ResultKey>>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/bucket_results.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        page.group_by.source,
        page.group_by.model,
        page.group_by.device,
        page.width.as_str(),
        page.after.map(|after| after.at),
        page.after.map(|after| after.source.as_str()),
        page.after.map(|after| after.model.as_str()),
        page.after.map(|after| after.device),
        page.limit,
        scope.time_zone,
        page.width.days_before_monday(),
        book,
    )
    .fetch_all(tx)
    .await?;
    Ok(group_sums!(rows).collect())
}

/// The days, weeks or months of the scope's range, ascending.
pub async fn calendar_intervals(tx: &mut Tx, scope: &Scope<'_>, width: Width) -> Result<Vec<Span>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/calendar_intervals.sql",
        scope.days.from,
        scope.days.to,
        width.as_str(),
        scope.time_zone,
        width.days_before_monday(),
    )
    .fetch_all(tx)
    .await?;
    let span = |at, starts_at, ends_at| Span { at, local_start: at, starts_at, ends_at };
    Ok(rows.into_iter().map(|row| span(row.at, row.starts_at, row.ends_at)).collect())
}

/// The half hours or hours of the scope's range, ascending.
pub async fn clock_intervals(tx: &mut Tx, scope: &Scope<'_>, width: Width) -> Result<Vec<Span>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/clock_intervals.sql",
        scope.days.from,
        scope.days.to,
        width.as_str(),
        scope.time_zone,
    )
    .fetch_all(tx)
    .await?;
    let span = |at, local_start, starts_at, ends_at| Span { at, local_start, starts_at, ends_at };
    Ok(rows.into_iter().map(|row| span(row.at, row.local_start, row.starts_at, row.ends_at)).collect())
}
