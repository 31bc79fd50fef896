//! The SQL of forgetting a person's rollup.

use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// How many rows a user's rollup has.
pub async fn count_rollup_rows(tx: &mut Tx, user_id: Uuid) -> Result<i64, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/forgetting/count_rollup_rows.sql", user_id);
    Ok(query.fetch_one(tx).await?)
}

/// Removes up to `limit` rows. Returns how many there were.
pub async fn forget_rollup_rows(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<u64, Problem> {
    let query = sqlx::query_file!("src/features/dashboard_rollup/forgetting/forget_rollup_rows.sql", user_id, limit);
    Ok(query.execute(tx).await?.rows_affected())
}

/// Removes the state of the rollup. Returns how many there were.
pub async fn forget_user_state(tx: &mut Tx, user_id: Uuid) -> Result<u64, Problem> {
    let query = sqlx::query_file!("src/features/dashboard_rollup/forgetting/forget_user_state.sql", user_id);
    Ok(query.execute(tx).await?.rows_affected())
}
