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
