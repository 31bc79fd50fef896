//! The SQL of what is kept no longer.

use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Fails plans that nobody goes on with.
pub async fn fail_abandoned(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/purge/fail_abandoned.sql").execute(tx).await?;
    Ok(())
}

/// Says that jobs that ended long ago can no longer be executed or rolled back.
pub async fn mark_purged(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/purge/mark_purged.sql").execute(tx).await?;
    Ok(())
}

/// The jobs whose rows and pre-images are kept no longer.
pub async fn purged_jobs(tx: &mut Tx) -> Result<Vec<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/backfill/purge/purged_jobs.sql").fetch_all(tx).await?)
}

/// Removes up to `limit` rows of plans. Returns how many there were.
pub async fn purge_rows(tx: &mut Tx, job_ids: &[Uuid], limit: i64) -> Result<u64, Problem> {
    let purged = sqlx::query_file!("src/features/backfill/purge/purge_rows.sql", job_ids, limit).execute(tx).await?;
    Ok(purged.rows_affected())
}

/// Removes up to `limit` lines and rows that did not go as planned. Returns how many there were.
pub async fn purge_exceptions(tx: &mut Tx, job_ids: &[Uuid], limit: i64) -> Result<u64, Problem> {
    let query = sqlx::query_file!("src/features/backfill/purge/purge_exceptions.sql", job_ids, limit);
    Ok(query.execute(tx).await?.rows_affected())
}
