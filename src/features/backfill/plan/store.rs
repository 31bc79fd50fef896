//! The SQL of planning.

use uuid::Uuid;

use super::super::pairing::Resolve;
use super::imported::Imported;
use super::key::PlanKey;
use super::request::Order;
use crate::kernel::bucket::CountColumns;
use crate::kernel::database::{BucketKeyColumns, Tx, query_file_columns};
use crate::kernel::problem::Problem;

/// Stores a job that is being planned. False where there is one under the same key.
pub async fn insert_job(
    tx: &mut Tx,
    job_id: Uuid,
    lease_token: Uuid,
    order: &Order,
    key: Option<&PlanKey>,
) -> Result<bool, Problem> {
    let inserted = sqlx::query_file!(
        "src/features/backfill/plan/insert_job.sql",
        job_id,
        order.action.as_str(),
        order.reason,
        order.days.first,
        order.days.last,
        order.user_ids.as_deref(),
        key.map(|key| key.scope.as_slice()),
        key.and_then(|key| key.fingerprint.as_ref()).map(<[u8; 32]>::as_slice),
        lease_token,
        order.merge.map(|merge| merge.from_device_id),
        order.merge.map(|merge| merge.into_device_id),
        order.merge.and_then(|merge| merge.resolve).map(Resolve::as_str),
        order.book,
    )
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// The job that was made under a key.
pub async fn find_keyed_job(tx: &mut Tx, key: &PlanKey) -> Result<Option<Uuid>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/plan/find_keyed_job.sql", key.scope.as_slice());
    Ok(query.fetch_optional(tx).await?)
}

/// Which of these users do not exist.
pub async fn unknown_users(tx: &mut Tx, user_ids: &[Uuid]) -> Result<Vec<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/backfill/plan/unknown_users.sql", user_ids).fetch_all(tx).await?)
}

/// Begins a batch. False where the job is not being planned by this stream any more.
pub async fn hold_plan(tx: &mut Tx, job_id: Uuid, lease_token: Uuid, poisoned: i64) -> Result<bool, Problem> {
    let held = sqlx::query_file!("src/features/backfill/plan/hold_plan.sql", job_id, lease_token, poisoned)
        .execute(tx)
        .await?;
    Ok(held.rows_affected() > 0)
}

/// Before rows are staged: keeps erasures of persons waiting until the transaction ends, or waits for one. Errors: 503 where
/// that takes too long.
pub async fn hold_off_forgetting(tx: &mut Tx, planning_lock: i64) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/plan/hold_off_forgetting.sql", planning_lock).execute(tx).await?;
    Ok(())
}

/// Stages rows, distinct and sorted by key. Those that could not be staged, by position, with what
/// is wrong.
pub async fn stage_rows(tx: &mut Tx, job_id: Uuid, rows: &[Imported]) -> Result<Vec<(usize, String)>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let keys: BucketKeyColumns<'_> = rows.iter().map(|row| row.key.borrowed()).collect();
    let counts: CountColumns = rows.iter().map(|row| row.counts).collect();
    let found = query_file_columns!(
        "src/features/backfill/plan/stage_rows.sql",
        job_id,
        key_columns = keys,
        count_columns = counts,
    )
    .fetch_all(tx)
    .await?;
    found
        .into_iter()
        .map(|row| Ok((usize::try_from(row.position - 1).map_err(Problem::internal)?, row.wrong)))
        .collect()
}

/// Adds the plan of an import up. False where it is not being planned by this stream any more.
pub async fn complete_plan(
    tx: &mut Tx,
    job_id: Uuid,
    lease_token: Uuid,
    fingerprint: Option<&[u8; 32]>,
) -> Result<bool, Problem> {
    let fingerprint = fingerprint.map(<[u8; 32]>::as_slice);
    let completed = sqlx::query_file!("src/features/backfill/plan/complete_plan.sql", job_id, lease_token, fingerprint)
        .execute(tx)
        .await?;
    Ok(completed.rows_affected() > 0)
}

/// Fixes how many users a replay or a verification has.
pub async fn complete_user_plan(tx: &mut Tx, job_id: Uuid, lease_token: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/plan/complete_user_plan.sql", job_id, lease_token).execute(tx).await?;
    Ok(())
}

/// Gives a plan up.
pub async fn fail_plan(tx: &mut Tx, job_id: Uuid, lease_token: Uuid, failure: &str) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/plan/fail_plan.sql", job_id, lease_token, failure).execute(tx).await?;
    Ok(())
}
