//! How often a device reports less for old half hours than was reported in time. A viewer sees by
//! it that a tool deletes its logs. Posts in which that does not happen pay nothing for it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::entry::Entry;
use super::verdict::Verdict;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Counts the entries that were kept out, in the transaction that answers them.
pub(super) async fn count_kept(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    verdicts: &[Verdict],
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if !verdicts.contains(&Verdict::Kept) {
        return Ok(());
    }
    let mut devices = BTreeMap::<(Uuid, Uuid), i64>::new();
    for (entry, _) in entries.iter().zip(verdicts).filter(|(_, verdict)| **verdict == Verdict::Kept) {
        *devices.entry((entry.user_id, entry.device_id)).or_default() += 1;
    }
    let (user_ids, device_ids): (Vec<Uuid>, Vec<Uuid>) = devices.keys().copied().unzip();
    let snapshots: Vec<i64> = devices.into_values().collect();
    sqlx::query_file!("src/kernel/usage/writer/count_kept.sql", &user_ids, &device_ids, &snapshots, now)
        .execute(tx)
        .await?;
    Ok(())
}

/// What was carried from a device to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedKept {
    /// How many snapshots.
    pub snapshots: i64,
    /// When the last of them arrived.
    pub last_kept_at: DateTime<Utc>,
    /// When the last one of the other device had arrived; `None` where it had none.
    pub into_last_kept_at: Option<DateTime<Utc>>,
}

/// Carries what is counted of a device to another one of the user; `None` where there is nothing.
pub async fn carry_kept(
    tx: &mut Tx,
    user_id: Uuid,
    from_device_id: Uuid,
    into_device_id: Uuid,
) -> Result<Option<CarriedKept>, Problem> {
    let carried = sqlx::query_file_as!(
        CarriedKept,
        "src/kernel/usage/writer/carry_kept.sql",
        user_id,
        from_device_id,
        into_device_id,
    );
    Ok(carried.fetch_optional(tx).await?)
}

/// Gives it back.
pub async fn return_kept(
    tx: &mut Tx,
    user_id: Uuid,
    from_device_id: Uuid,
    into_device_id: Uuid,
    carried: CarriedKept,
) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/kernel/usage/writer/return_kept.sql",
        user_id,
        from_device_id,
        into_device_id,
        carried.snapshots,
        carried.last_kept_at,
        carried.into_last_kept_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}
