//! What corrections hide: the versions they replaced, and what trackers sent since. A snapshot that loses only against
//! a correction is merged into the correction's pre-image by the rule of versions, in the transaction that answers it,
//! so that a rollback restores the newest version that was ever acknowledged.
//!
//! A correction of a correction has the older one as its pre-image. What loses against that too goes one further down.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::entry::{Entry, Key, Keys};
use crate::kernel::bucket::TokenCounts;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Merges entries, by position, each into the pre-image of the correction that hides it. Ends because each turn takes
/// an entry away or takes it to an older correction.
pub(super) async fn absorb(tx: &mut Tx, entries: &[Entry<'_>], mut hidden: Vec<(usize, Uuid)>) -> Result<(), Problem> {
    while !hidden.is_empty() {
        // A statement takes one version of a bucket only: the others wait for the next turn.
        let mut turn = BTreeMap::<(Key<'_>, Uuid), usize>::new();
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

/// Returns the entries that lost against an older correction in the pre-image, with its job.
async fn merge_pre_images(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    turn: &[(usize, Uuid)],
) -> Result<Vec<(usize, Uuid)>, Problem> {
    let keys = Keys::of(turn.iter().map(|(position, _)| entries[*position].key()));
    let bucket = |position: usize| entries[position].bucket;
    let column = |field: fn(&TokenCounts) -> i64| -> Vec<i64> {
        turn.iter().map(|(position, _)| field(&bucket(*position).counts)).collect()
    };
    let observed_ats: Vec<_> = turn.iter().map(|(position, _)| bucket(*position).stamp.observed_at).collect();
    let stamped: Vec<_> = turn.iter().map(|(position, _)| bucket(*position).stamp.stamped).collect();
    let backfill_ids: Vec<_> = turn.iter().map(|(_, backfill_id)| *backfill_id).collect();
    let rows = sqlx::query_file!(
        "src/kernel/usage/writer/merge_pre_images.sql",
        &keys.user_ids,
        &keys.hour_starts,
        &keys.device_ids,
        &keys.sources as &[&str],
        &keys.models as &[&str],
        &column(|counts| counts.input_tokens),
        &column(|counts| counts.cache_read_tokens),
        &column(|counts| counts.cache_write_5m_tokens),
        &column(|counts| counts.cache_write_1h_tokens),
        &column(|counts| counts.output_tokens),
        &column(|counts| counts.reasoning_tokens),
        &column(|counts| counts.unclassified_tokens),
        &column(|counts| counts.request_count),
        &observed_ats,
        &stamped,
        &backfill_ids,
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
