//! The SQL of sums by interval and group.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

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

/// What a ranking ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankBy {
    /// Tools.
    Source,
    /// Models.
    Model,
    /// Devices.
    Device,
}

impl RankBy {
    /// As SQL calls it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Model => "model",
            Self::Device => "device",
        }
    }
}

/// What has most tokens.
#[derive(Clone, Debug, Default)]
pub struct RankedAnswer {
    /// How many there are in all.
    pub count: u64,
    /// The tokens of all of them, and those of the range before.
    pub tokens: (u128, u128),
    /// Those with most tokens, the most first.
    pub groups: Vec<RankedRow>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct RankedRow {
    /// Its name; of a device its id.
    pub name: String,
    /// Its tokens, and those of the range before.
    pub tokens: (u128, u128),
}

macro_rules! ranked {
    ($rows:expr) => {{
        let mut answer = RankedAnswer::default();
        for row in $rows {
            answer.count = u64::try_from(row.groups).map_err(Problem::internal)?;
            answer.tokens = (row.all_tokens.0, row.all_tokens_before.0);
            answer.groups.push(RankedRow { name: row.name, tokens: (row.tokens.0, row.tokens_before.0) });
        }
        Ok(answer)
    }};
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

/// What has most tokens in the scope's range, by the rollup. The range before begins at `before_from`.
pub async fn ranked_groups(
    tx: &mut Tx,
    scope: &Scope<'_>,
    before_from: NaiveDate,
    by: RankBy,
    most: u16,
) -> Result<RankedAnswer, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/ranked_groups.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        before_from,
        by.as_str(),
        i64::from(most),
    )
    .fetch_all(tx)
    .await?;
    ranked!(rows)
}

/// The same by the buckets.
pub async fn ranked_bucket_groups(
    tx: &mut Tx,
    scope: &Scope<'_>,
    before_from: NaiveDate,
    by: RankBy,
    most: u16,
) -> Result<RankedAnswer, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/rollups/ranked_bucket_groups.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        before_from,
        by.as_str(),
        i64::from(most),
        scope.time_zone,
    )
    .fetch_all(tx)
    .await?;
    ranked!(rows)
}
