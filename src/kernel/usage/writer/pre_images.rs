//! Pre-images: what stood before a correction, and what trackers have sent since. A snapshot that
//! loses only against a correction is merged into the correction's pre-image by the rule of
//! versions. The merge is in the transaction that answers the snapshot, so a rollback restores the
//! greatest version that was ever acknowledged.
//!
//! Where a job corrects what another job had corrected, the older correction is the pre-image. A
//! snapshot that loses against the older correction too is merged into the pre-image of that one.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::entry::Entry;
use crate::kernel::bucket::{BucketKeyRef, CountColumns};
use crate::kernel::database::{BucketKeyColumns, Tx, query_file_columns};
use crate::kernel::problem::Problem;

/// Merges entries, by position, each into the pre-image of the correction that hides it. The loop
/// ends because each turn merges an entry or moves it on to an older correction.
pub(super) async fn absorb(tx: &mut Tx, entries: &[Entry<'_>], mut hidden: Vec<(usize, Uuid)>) -> Result<(), Problem> {
    while !hidden.is_empty() {
        // A statement takes one version of each bucket. The others wait for the next turn.
        let mut turn = BTreeMap::<(BucketKeyRef<'_>, Uuid), usize>::new();
        let mut waiting = Vec::new();
        for (position, backfill_id) in hidden {
            let held = *turn.entry((entries[position].key(), backfill_id)).or_insert(position);
            if held != position {
                waiting.push((position, backfill_id));
            }
        }
        let turn: Vec<(usize, Uuid)> =
            turn.into_iter().map(|((_, backfill_id), position)| (position, backfill_id)).collect();
        waiting.extend(merge_pre_images(tx, entries, &turn).await?);
        hidden = waiting;
    }
    Ok(())
}

/// Merges one turn. Returns the entries that lost against an older correction in the pre-image,
/// each with that one's job.
async fn merge_pre_images(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    turn: &[(usize, Uuid)],
) -> Result<Vec<(usize, Uuid)>, Problem> {
    let entries = || turn.iter().map(|(position, _)| &entries[*position]);
    let keys: BucketKeyColumns<'_> = entries().map(Entry::key).collect();
    let counts: CountColumns = entries().map(|entry| entry.bucket.counts).collect();
    let rows = query_file_columns!(
        "src/kernel/usage/writer/merge_pre_images.sql",
        key_columns = keys,
        count_columns = counts,
        &entries().map(|entry| entry.bucket.stamp.observed_at).collect::<Vec<_>>(),
        &entries().map(|entry| entry.bucket.stamp.stamped).collect::<Vec<_>>(),
        &entries().map(|entry| entry.bucket.stamp.rank.number()).collect::<Vec<_>>(),
        &turn.iter().map(|(_, backfill_id)| *backfill_id).collect::<Vec<_>>(),
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let place = usize::try_from(row.position - 1).map_err(Problem::internal)?;
            let (position, _) = turn.get(place).ok_or_else(|| Problem::internal("a pre-image of no entry"))?;
            Ok((*position, row.prior_backfill_id))
        })
        .collect()
}
