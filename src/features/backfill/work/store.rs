//! The SQL of the worker's steps.

use uuid::Uuid;

use super::super::job::{Cursor, Job, State};
use super::super::store::{RowPosition, beginning, key, seen_of_row};
use crate::kernel::bucket::{BucketKey, PerCounter};
use crate::kernel::database::{BucketKeyColumns, Tx, counters_of_row, query_file_columns};
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::corrections::Version;
use crate::kernel::usage::writer::moves::Move;

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

/// The next pairs of a merge, after the pair of a position.
pub async fn list_pairs(
    tx: &mut Tx,
    job_id: Uuid,
    from_device_id: Uuid,
    after: Option<&RowPosition>,
    limit: i64,
) -> Result<Vec<Move>, Problem> {
    let beginning = beginning();
    let (user_id, hour_start, device_id, source, model) = after.unwrap_or(&beginning);
    let rows = sqlx::query_file!(
        "src/features/backfill/work/list_pairs.sql",
        job_id,
        user_id,
        hour_start,
        device_id,
        source,
        model,
        from_device_id,
        limit,
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let seen = seen_of_row!(row);
            let from_seen = Version {
                counts: PerCounter {
                    input_tokens: row.from_input_tokens,
                    cache_read_tokens: row.from_cache_read_tokens,
                    cache_write_5m_tokens: row.from_cache_write_5m_tokens,
                    cache_write_1h_tokens: row.from_cache_write_1h_tokens,
                    output_tokens: row.from_output_tokens,
                    reasoning_tokens: row.from_reasoning_tokens,
                    unclassified_tokens: row.from_unclassified_tokens,
                    request_count: row.from_request_count,
                },
                observed_at: row.from_observed_at,
            };
            let counts = counters_of_row!(row);
            let key = key(row.user_id, row.hour_start, row.device_id, &row.source, &row.model)?;
            Ok(Move { key, counts, seen, from_device_id, from_seen })
        })
        .collect()
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
