//! The SQL of the worker's steps.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::job::{Cursor, Job, State};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::corrections::BucketKey;

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

/// The key columns, one array each.
struct Columns<'a> {
    user_ids: Vec<Uuid>,
    hour_starts: Vec<DateTime<Utc>>,
    device_ids: Vec<Uuid>,
    sources: Vec<&'a str>,
    models: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(keys: &'a [BucketKey]) -> Self {
        Self {
            user_ids: keys.iter().map(|key| key.user_id).collect(),
            hour_starts: keys.iter().map(|key| key.hour_start.start()).collect(),
            device_ids: keys.iter().map(|key| key.device_id).collect(),
            sources: keys.iter().map(|key| key.source.as_str()).collect(),
            models: keys.iter().map(|key| key.model.as_str()).collect(),
        }
    }
}

/// Which of these rows the execution had not written, by position.
pub async fn untouched_rows(tx: &mut Tx, job_id: Uuid, keys: &[BucketKey]) -> Result<Vec<usize>, Problem> {
    let columns = Columns::of(keys);
    let positions = sqlx::query_file_scalar!(
        "src/features/backfill/work/untouched_rows.sql",
        job_id,
        &columns.user_ids,
        &columns.hour_starts,
        &columns.device_ids,
        &columns.sources as &[&str],
        &columns.models as &[&str],
    )
    .fetch_all(tx)
    .await?;
    positions.into_iter().map(|position| usize::try_from(position - 1).map_err(Problem::internal)).collect()
}

/// Takes rows off the list of those that a rollback kept.
pub async fn strike_kept_rows(tx: &mut Tx, job_id: Uuid, keys: &[BucketKey]) -> Result<(), Problem> {
    let columns = Columns::of(keys);
    sqlx::query_file!(
        "src/features/backfill/work/strike_kept_rows.sql",
        job_id,
        &columns.user_ids,
        &columns.hour_starts,
        &columns.device_ids,
        &columns.sources as &[&str],
        &columns.models as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}
