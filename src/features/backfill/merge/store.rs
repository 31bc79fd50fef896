//! The SQL of merges.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::job::Days;
use super::super::pairing::{MergeOrder, Resolve};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::CarriedKept;

/// Those of the devices that the user has, each with whether it is revoked.
pub async fn merged_devices(tx: &mut Tx, user_id: Uuid, device_ids: &[Uuid]) -> Result<Vec<(Uuid, bool)>, Problem> {
    let rows =
        sqlx::query_file!("src/features/backfill/merge/merged_devices.sql", user_id, device_ids).fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.device_id, row.is_revoked)).collect())
}

/// How many buckets of the days a device has, counted up to `limit`, and the newest half hour.
pub async fn measure_device(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Uuid,
    days: Days,
    limit: i64,
) -> Result<(i64, Option<DateTime<Utc>>), Problem> {
    let row = sqlx::query_file!(
        "src/features/backfill/merge/measure_device.sql",
        user_id,
        device_id,
        days.first_hour(),
        days.last_hour(),
        limit,
    )
    .fetch_one(tx)
    .await?;
    Ok((row.buckets, row.newest))
}

/// Stages the pairs of a merge.
pub async fn stage_pairs(
    tx: &mut Tx,
    job_id: Uuid,
    user_id: Uuid,
    order: &MergeOrder,
    days: Days,
) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/features/backfill/merge/stage_pairs.sql",
        job_id,
        user_id,
        order.from_device_id,
        order.into_device_id,
        days.first_hour(),
        days.last_hour(),
        order.resolve.map(Resolve::as_str),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds up how the devices stand to each other.
pub async fn complete_merge(
    tx: &mut Tx,
    job_id: Uuid,
    user_id: Uuid,
    order: &MergeOrder,
    days: Days,
) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/features/backfill/merge/complete_merge.sql",
        job_id,
        user_id,
        order.from_device_id,
        order.into_device_id,
        days.first_hour(),
        days.last_hour(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How many merges of a user were planned and not executed.
pub async fn count_waiting_merges(tx: &mut Tx, user_id: Uuid) -> Result<i64, Problem> {
    let users = [user_id];
    let query = sqlx::query_file_scalar!("src/features/backfill/merge/count_waiting_merges.sql", &users);
    Ok(query.fetch_one(tx).await?)
}

/// Another merge at work on one of the devices.
pub async fn merges_at_work(tx: &mut Tx, job_id: Uuid, device_ids: &[Uuid]) -> Result<Option<Uuid>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/merge/merges_at_work.sql", job_id, device_ids);
    Ok(query.fetch_optional(tx).await?)
}

/// Notes what was carried; `None` once it is given back.
pub async fn note_carried(tx: &mut Tx, job_id: Uuid, carried: Option<CarriedKept>) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/features/backfill/merge/note_carried.sql",
        job_id,
        carried.map(|carried| carried.snapshots),
        carried.map(|carried| carried.last_kept_at),
        carried.and_then(|carried| carried.into_last_kept_at),
    )
    .execute(tx)
    .await?;
    Ok(())
}
