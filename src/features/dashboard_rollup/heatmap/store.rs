//! The SQL of the heatmap.

use chrono::NaiveDate;

use crate::features::dashboard_rollup::range::Scope;
use crate::features::dashboard_rollup::store::Sum;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What one day adds up to.
#[derive(Clone, Copy, Debug)]
pub struct DaySums {
    /// The local day.
    pub day: NaiveDate,
    /// All tokens.
    pub total_tokens: u128,
    /// Model requests.
    pub request_count: u128,
}

/// Every day of a range, with or without usage.
pub async fn heatmap_days(tx: &mut Tx, scope: &Scope<'_>) -> Result<Vec<DaySums>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/heatmap/heatmap_days.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
    )
    .fetch_all(tx)
    .await?;
    let day_sums = |day, Sum(total_tokens), Sum(request_count)| DaySums { day, total_tokens, request_count };
    Ok(rows.into_iter().map(|row| day_sums(row.day, row.total_tokens, row.request_count)).collect())
}
