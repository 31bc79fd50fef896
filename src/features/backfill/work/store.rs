//! The SQL of the worker's steps.

use uuid::Uuid;

use super::super::job::{Cursor, Job, State};
use crate::kernel::bucket::BucketKey;
use crate::kernel::database::{BucketKeyColumns, Tx, query_file_columns};
use crate::kernel::problem::Problem;

/// Leases a job that has work to do: the one named, or any.
pub async fn take_lease(tx: &mut Tx, lease_token: Uuid, job_id: Option<Uuid>) -> Result<Option<Uuid>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/work/take_lease.sql", lease_token, job_id);
    Ok(query.fetch_optional(tx).await?)
}

/// Begins a step. False where the lease is lost, or the job is not where this worker has left it.
pub async fn fence(tx: &mut Tx, job: &Job, lease_token: Uuid) -> Result<bool, Problem> {
    let state = job.state.as_str();
    let held = sqlx::query_file!("src/features/backfill/work/fence.sql", job.job_id, lease_token, state, job.done)
        .execute(tx)
        .await?;
    Ok(held.rows_affected() > 0)
}

/// How far a step has come.
#[derive(Debug, Default)]
pub struct Advance {
    /// Rows or users it stepped over.
    pub rows: i64,
    /// The last of them.
    pub cursor: Cursor,
    /// How many could not be written.
    pub poisoned: i64,
    /// How many had moved.
    pub skipped: i64,
    /// What a verification has found up to here.
    pub drift: Option<serde_json::Value>,
}

/// Moves the cursor.
pub async fn advance(tx: &mut Tx, job_id: Uuid, step: &Advance) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/features/backfill/work/advance.sql",
        job_id,
        step.rows,
        step.cursor.user_id,
        step.cursor.hour_start,
        step.cursor.device_id,
        step.cursor.source.as_deref(),
        step.cursor.model.as_deref(),
        step.poisoned,
        step.skipped,
        step.drift.as_ref(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How many events of backfills wait to be folded, counted up to `limit`.
pub async fn count_waiting_events(tx: &mut Tx, limit: i64) -> Result<i64, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/work/count_waiting_events.sql", limit);
    Ok(query.fetch_one(tx).await?)
}

/// How many events of a job are not folded, and how many of these are parked.
pub async fn count_own_events(tx: &mut Tx, job_id: Uuid) -> Result<(i64, i64), Problem> {
    let row = sqlx::query_file!("src/features/backfill/work/count_own_events.sql", job_id).fetch_one(tx).await?;
    Ok((row.unfolded, row.parked))
}

/// The next users of a replay or a verification.
pub async fn next_users(
    tx: &mut Tx,
    user_ids: Option<&[Uuid]>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/work/next_users.sql", user_ids, after, limit);
    Ok(query.fetch_all(tx).await?)
}

/// Whether a user was erased. After the fence.
pub async fn is_erased(tx: &mut Tx, user_id: Uuid) -> Result<bool, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/backfill/work/is_erased.sql", user_id).fetch_one(tx).await?)
}

/// Ends a phase of a job.
pub async fn finish_job(tx: &mut Tx, job_id: Uuid, state: State, failure: Option<&str>) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/work/finish_job.sql", job_id, state.as_str(), failure).execute(tx).await?;
    Ok(())
}

/// Gives a lease back.
pub async fn release_lease(tx: &mut Tx, job_id: Uuid, lease_token: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/work/release_lease.sql", job_id, lease_token).execute(tx).await?;
    Ok(())
}

/// Which of these rows the execution had not written, by position.
pub async fn untouched_rows(tx: &mut Tx, job_id: Uuid, keys: &[BucketKey]) -> Result<Vec<usize>, Problem> {
    let keys: BucketKeyColumns<'_> = keys.iter().map(BucketKey::borrowed).collect();
    let rows = query_file_columns!("src/features/backfill/work/untouched_rows.sql", job_id, key_columns = keys,)
        .fetch_all(tx)
        .await?;
    rows.into_iter().map(|row| usize::try_from(row.position - 1).map_err(Problem::internal)).collect()
}

/// Takes rows off the list of those that a rollback kept.
pub async fn strike_kept_rows(tx: &mut Tx, job_id: Uuid, keys: &[BucketKey]) -> Result<(), Problem> {
    let keys: BucketKeyColumns<'_> = keys.iter().map(BucketKey::borrowed).collect();
    query_file_columns!("src/features/backfill/work/strike_kept_rows.sql", job_id, key_columns = keys,)
        .execute(tx)
        .await?;
    Ok(())
}
