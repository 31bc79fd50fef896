//! The SQL of hours of the week.

use chrono::{DateTime, Utc};

use crate::features::dashboard_rollup::range::Scope;
use crate::features::dashboard_rollup::store::Sum;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct HourRows {
    /// The newest half hour that was left out, where not every bucket was read.
    pub behind: Option<DateTime<Utc>>,
    /// The weekday from 0 for Monday on, the hour, and its tokens.
    pub hours: Vec<(i32, i32, u128)>,
}

/// The tokens of each hour of the week that has any, from the newest buckets since an instant, at most `limit` of them.
pub async fn week_hours(
    tx: &mut Tx,
    scope: &Scope<'_>,
    since: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<HourRows, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/week_hours/week_hours.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        scope.time_zone,
        since,
        limit,
    )
    .fetch_all(tx)
    .await?;
    let behind = rows.first().and_then(|row| row.behind);
    let hours = rows.into_iter().filter_map(|row| Some((row.weekday?, row.hour?, row.total_tokens?.0)));
    Ok(HourRows { behind, hours: hours.collect() })
}
