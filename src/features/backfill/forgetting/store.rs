//! The SQL of forgetting a person in jobs.

use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// How many rows and exceptions jobs have of a user.
pub async fn count_job_rows(tx: &mut Tx, user_id: Uuid) -> Result<i64, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/forgetting/count_job_rows.sql", user_id);
    Ok(query.fetch_one(tx).await?)
}

/// Waits until no plan is being staged, and keeps others from beginning until the transaction ends. Errors: 503 where
/// that takes too long.
pub async fn wait_for_plans(tx: &mut Tx, planning_lock: i64) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/forgetting/wait_for_plans.sql", planning_lock).execute(tx).await?;
    Ok(())
}

/// Holds the jobs that have rows of a user, and those that are at work, until the transaction ends.
pub async fn lock_jobs_of(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/forgetting/lock_jobs_of.sql", user_id);
    query.fetch_all(tx).await?;
    Ok(())
}

/// Removes up to `limit` plan rows, and has the jobs count what is left. Returns how many rows there were.
pub async fn forget_plan_rows(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<u64, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/forgetting/forget_plan_rows.sql", user_id, limit);
    Ok(query.fetch_one(tx).await?.unsigned_abs())
}

/// Removes up to `limit` exceptions. Returns how many there were.
pub async fn forget_exceptions(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<u64, Problem> {
    let query = sqlx::query_file!("src/features/backfill/forgetting/forget_exceptions.sql", user_id, limit);
    Ok(query.execute(tx).await?.rows_affected())
}

/// Removes a user from what verifications list. Returns how many jobs had listed it.
pub async fn forget_findings(tx: &mut Tx, user_id: Uuid) -> Result<u64, Problem> {
    let query = sqlx::query_file!("src/features/backfill/forgetting/forget_findings.sql", user_id);
    Ok(query.execute(tx).await?.rows_affected())
}

/// Removes a user from where jobs that have ended stood. Returns how many jobs stood there.
pub async fn forget_cursors(tx: &mut Tx, user_id: Uuid) -> Result<u64, Problem> {
    let query = sqlx::query_file!("src/features/backfill/forgetting/forget_cursors.sql", user_id);
    Ok(query.execute(tx).await?.rows_affected())
}
