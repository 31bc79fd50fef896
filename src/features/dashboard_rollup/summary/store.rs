//! The SQL of the summary.

use chrono::NaiveDate;

use crate::features::dashboard_rollup::cost::RatedSums;
use crate::features::dashboard_rollup::range::{DayRange, Scope};
use crate::features::dashboard_rollup::receipt::Pair;
use crate::features::dashboard_rollup::store::{Sum, sums_of_row};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What falls under one rate of one tool and model in one of the two ranges.
#[derive(Clone, Debug)]
pub struct RangePart {
    /// In the range, not in the one before it.
    pub is_current: bool,
    /// The sums.
    pub rated: RatedSums<Pair>,
    /// Whether the book has a name for the model. It is only looked up where the range has tokens without a rate.
    pub is_named: bool,
}

/// The parts of the scope's range, and then those of the one `before` it, by source, model and rate: the first `limit`.
pub async fn range_parts(
    tx: &mut Tx,
    scope: &Scope<'_>,
    before: DayRange,
    book: Option<i32>,
    limit: i64,
) -> Result<Vec<RangePart>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/summary/range_parts.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        before.from,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        book,
        limit,
    )
    .fetch_all(tx)
    .await?;
    let range_parts = rows.into_iter().map(|row| {
        let sums = sums_of_row!(row);
        let key = Pair { source: row.source, model: row.model };
        let rated = RatedSums { key, rate_id: row.rate_id, sums };
        RangePart { is_current: row.is_current, rated, is_named: row.is_named }
    });
    Ok(range_parts.collect())
}

/// What one of the two ranges is summed by: a source, a model, or everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeKey {
    /// Of the range, not of the one before it.
    pub is_current: bool,
    /// The tool.
    pub source: Option<String>,
    /// The model.
    pub model: Option<String>,
}

/// Sums of the scope's range and of the one `before` it, as a whole, by source and by model, in parts of one rate:
/// the first `limit` sums, in this order.
pub async fn range_sums(
    tx: &mut Tx,
    scope: &Scope<'_>,
    before: DayRange,
    limit: i64,
) -> Result<Vec<RatedSums<RangeKey>>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/summary/range_sums.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        before.from,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        limit,
    )
    .fetch_all(tx)
    .await?;
    let range_sums = rows.into_iter().map(|row| {
        let sums = sums_of_row!(row);
        let key = RangeKey { is_current: row.is_current, source: row.source, model: row.model };
        RatedSums { key, rate_id: row.rate_id, sums }
    });
    Ok(range_sums.collect())
}

/// How regularly the user works, in days.
#[derive(Clone, Copy, Debug)]
pub struct Streaks {
    /// Active days of the range.
    pub active_days: i64,
    /// Active days of the range before.
    pub active_days_before: i64,
    /// The run of active days that reaches to today or yesterday.
    pub current_streak: i64,
    /// The longest run ever.
    pub longest_streak: i64,
}

/// Counts active days, and finds streaks in the whole history.
pub async fn streaks(tx: &mut Tx, scope: &Scope<'_>, before: DayRange, today: NaiveDate) -> Result<Streaks, Problem> {
    let row = sqlx::query_file!(
        "src/features/dashboard_rollup/summary/streaks.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        before.from,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        today,
    )
    .fetch_one(tx)
    .await?;
    Ok(Streaks {
        active_days: row.active_days,
        active_days_before: row.active_days_before,
        current_streak: row.current_streak,
        longest_streak: row.longest_streak,
    })
}
