//! The SQL of verification.

use uuid::Uuid;

use super::report::{Drift, LISTED, Orphan, UnknownSource, Window};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// The next `limit` users after `after` who have buckets or rollup rows, whether they exist or not.
pub async fn users_with_usage(tx: &mut Tx, after: Uuid, limit: i64) -> Result<Vec<Uuid>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/verify/users_with_usage.sql", after, limit);
    Ok(query.fetch_all(tx).await?)
}

/// One day that drifted, beside the counts of all days, which are the same in each. At least one, perhaps without a day.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Days that were compared.
    pub compared: u64,
    /// Days with an event that is not folded yet.
    pub pending: u64,
    /// The day.
    pub drift: Option<Drift>,
}

/// Compares the days of a window of a user.
pub async fn compare_user_days(tx: &mut Tx, user_id: Uuid, window: &Window) -> Result<Vec<Compared>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/verify/compare_user_days.sql",
        user_id,
        window.from,
        window.to,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Compared {
            compared: row.compared.unsigned_abs(),
            pending: row.pending.unsigned_abs(),
            drift: row.day.map(|day| Drift {
                user_id,
                day,
                missing_rows: row.missing_rows,
                extra_rows: row.extra_rows,
                different_rows: row.different_rows,
                expected_tokens: row.expected_tokens,
                actual_tokens: row.actual_tokens,
            }),
        })
        .collect())
}

/// The user, or those of its devices, that have buckets or rollup rows and do not exist.
pub async fn find_orphans(tx: &mut Tx, user_id: Uuid) -> Result<Vec<Orphan>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/verify/find_orphans.sql", user_id);
    Ok(query.fetch_all(tx).await?.into_iter().map(|device_id| Orphan { user_id, device_id }).collect())
}

/// How many buckets of the user are of tools that were never allowed, and the first of these tools.
pub async fn find_unknown_sources(tx: &mut Tx, user_id: Uuid) -> Result<(u64, Vec<UnknownSource>), Problem> {
    let limit = i64::try_from(LISTED).map_err(Problem::internal)?;
    let query = sqlx::query_file!("src/features/dashboard_rollup/verify/find_unknown_sources.sql", user_id, limit);
    let rows = query.fetch_all(tx).await?;
    let all = rows.first().map_or(0, |row| row.all_buckets.unsigned_abs());
    let found =
        rows.into_iter().map(|row| UnknownSource { user_id, source: row.source, buckets: row.buckets.unsigned_abs() });
    Ok((all, found.collect()))
}
