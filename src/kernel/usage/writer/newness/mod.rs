//! Buckets that were never seen before, which is what a tracker sends that begins with its history. They are inserted
//! without being compared with anything, wherever the batches before say that this is likely to do.

use super::entry::{Cause, Entry};
use crate::kernel::bucket::{BucketKeyRef, CountColumns};
use crate::kernel::clock::Clock;
use crate::kernel::database::{BucketKeyColumns, Tx, query_file_columns};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::Lane;

/// After so many batches in a row of which nothing stood before, the next one is expected to be like them.
const ENOUGH: u32 = 4;

/// How many of a writer's last batches in a row were new throughout.
///
/// A wrong guess costs a statement that writes nothing, so whoever mostly changes what stands hardly ever pays for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newness(u32);

impl Newness {
    /// Whether the next batch is worth [`insert_new_buckets`].
    pub(super) const fn is_expected(self) -> bool {
        self.0 >= ENOUGH
    }

    /// Learns from a batch. A guess that was wrong is a batch that was not new.
    pub(super) const fn learn(&mut self, was_new: bool) {
        self.0 = if was_new { self.0.saturating_add(1) } else { 0 };
    }
}

/// How an attempt to insert ended, as the metric names it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Insertion {
    /// All were inserted.
    New,
    /// Nothing was written, because something stood, or could not be taken without a look at the single bucket.
    Declined,
    /// Somebody else inserted one of them at the same moment.
    Raced,
}

impl Insertion {
    pub(super) fn count(self) {
        let outcome = match self {
            Self::New => "new",
            Self::Declined => "declined",
            Self::Raced => "raced",
        };
        metrics::counter!("halfhour_writer_insertions_total", "outcome" => outcome).increment(1);
    }
}

/// Inserts trackers' snapshots and their events in the caller's transaction, provided that none of the buckets stands and
/// nobody has an erasure or a horizon. Returns whether it did; else nothing was written.
///
/// Errors: a unique violation where another transaction inserts one of them meanwhile.
pub(super) async fn insert_new_buckets(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    causes: &[Cause],
    clock: &Clock,
) -> Result<bool, Problem> {
    let mut sorted: Vec<(BucketKeyRef<'_>, &Entry<'_>)> = entries.iter().map(|entry| (entry.key(), entry)).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    // Of two snapshots of one bucket only one can win.
    if sorted.array_windows().any(|[(one, _), (next, _)]| one == next) {
        return Ok(false);
    }
    let keys: BucketKeyColumns<'_> = sorted.iter().map(|(key, _)| *key).collect();
    let buckets = || sorted.iter().map(|(_, entry)| entry.bucket);
    let counts: CountColumns = buckets().map(|bucket| bucket.counts).collect();
    let row = query_file_columns!(
        "src/kernel/usage/writer/newness/insert_new_buckets.sql",
        key_columns = keys,
        count_columns = counts,
        &buckets().map(|bucket| bucket.stamp.observed_at).collect::<Vec<_>>(),
        &buckets().map(|bucket| bucket.stamp.stamped).collect::<Vec<_>>(),
        &buckets().map(|bucket| bucket.stamp.rank.number()).collect::<Vec<_>>(),
        clock.change_time(),
        Lane::Live.as_str(),
        &causes.iter().map(|cause| cause.user_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.request_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.traceparent.clone()).collect::<Vec<_>>(),
    )
    .fetch_one(tx)
    .await?;
    Ok(row.is_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_expected_after_four_batches_of_them_and_not_after_another_one() {
        let mut newness = Newness::default();
        for _ in 0..ENOUGH {
            assert!(!newness.is_expected());
            newness.learn(true);
        }
        assert!(newness.is_expected());
        newness.learn(false);
        assert!(!newness.is_expected());
    }
}
