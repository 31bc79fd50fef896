//! Which version of a bucket wins: the greatest in the order that `usage::snapshot` describes.
//! Stamped snapshots end in the same rows in any order, however they are batched and repeated. One
//! statement decides under the row's lock.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::entry::{Cause, Entry};
use super::pre_images::absorb;
use super::verdict::Verdict;
use crate::kernel::bucket::{BucketKeyRef, CountColumns};
use crate::kernel::clock::Clock;
use crate::kernel::database::{BucketKeyColumns, Tx, counters_of_row, query_file_columns};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::Lane;
use crate::kernel::usage::snapshot::Bucket;

/// What differs between trackers' snapshots and an operator's corrections.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteOptions<'a> {
    /// Each user of the entries, once.
    pub(super) causes: &'a [Cause],
    /// Of the events.
    pub(super) lane: Lane,
    /// The job whose corrections these are; `None` for trackers' snapshots.
    pub(super) backfill_id: Option<Uuid>,
    /// Whether every bucket that stands is left alone, whatever its version.
    pub(super) only_inserts: bool,
    pub(super) clock: &'a Clock,
}

/// Writes snapshots and their events in the caller's transaction. Returns one verdict for each
/// entry, in order. A tracker's snapshot that loses only against a correction is merged into the
/// correction's pre-image.
pub(super) async fn write_in(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    options: WriteOptions<'_>,
) -> Result<Vec<Verdict>, Problem> {
    let mut verdicts = vec![Verdict::Superseded; entries.len()];
    let mut hidden = Vec::new();
    let mut candidates = candidates_by_key(entries);
    // One turn nearly always does. A second turn follows where the winner was erased, because a
    // runner-up of the same commit may be newer than the erasure. It follows, too, where an unstamped
    // winner met a correction, because a stamped runner-up may still outweigh the correction.
    while !candidates.is_empty() {
        let batch: Vec<(BucketKeyRef<'_>, usize)> =
            candidates.iter().filter_map(|(key, ranked)| Some((*key, *ranked.last()?))).collect();
        let outcomes = upsert_buckets(tx, entries, &batch, options).await?;
        let mut losers = Vec::new();
        for ((key, position), outcome) in batch.iter().copied().zip(outcomes) {
            let ranked = &candidates[&key];
            match outcome {
                UpsertOutcome::Written(verdict) => {
                    for other in ranked {
                        let equal = entries[*other].bucket.counts == entries[position].bucket.counts;
                        verdicts[*other] = if equal { Verdict::Unchanged } else { Verdict::Superseded };
                    }
                    verdicts[position] = verdict;
                }
                // The horizon goes by the half hour, which all entries of a key share.
                UpsertOutcome::LeftOut(Verdict::BeforeRetentionHorizon) => {
                    for other in ranked {
                        verdicts[*other] = Verdict::BeforeRetentionHorizon;
                    }
                }
                UpsertOutcome::LeftOut(verdict) if ranked.len() == 1 => verdicts[position] = verdict,
                // No entry of this key won, so each is told what stands.
                UpsertOutcome::LeftOut(_) | UpsertOutcome::Lost => {
                    losers.extend(ranked.iter().map(|ranked| (key, *ranked)));
                }
            }
        }
        let behind_corrections = standing_buckets(tx, entries, &losers, &mut verdicts).await?;
        let met: BTreeSet<usize> = behind_corrections.iter().map(|(position, _)| *position).collect();
        candidates.retain(|_, ranked| {
            let Some(tried) = ranked.pop() else { return false };
            if verdicts[tried] == Verdict::Erased {
                ranked.retain(|position| verdicts[*position] != Verdict::Erased);
                return !ranked.is_empty();
            }
            ranked.retain(|position| entries[*position].bucket.stamp.stamped);
            !entries[tried].bucket.stamp.stamped && met.contains(&tried) && !ranked.is_empty()
        });
        hidden.extend(behind_corrections);
    }
    if options.backfill_id.is_none() {
        absorb(tx, entries, hidden).await?;
    }
    Ok(verdicts)
}

/// The positions of every key's entries, the strongest version last; at equal versions the first to
/// arrive.
fn candidates_by_key<'a>(entries: &[Entry<'a>]) -> BTreeMap<BucketKeyRef<'a>, Vec<usize>> {
    let mut candidates = BTreeMap::<BucketKeyRef<'a>, Vec<usize>>::new();
    for (position, entry) in entries.iter().enumerate() {
        candidates.entry(entry.key()).or_default().push(position);
    }
    for ranked in candidates.values_mut() {
        ranked.sort_by_key(|position| (entries[*position].version(), std::cmp::Reverse(*position)));
    }
    candidates
}

/// What the upsert did with a key's strongest version.
#[derive(Clone, Copy, Debug)]
enum UpsertOutcome {
    /// It stands now.
    Written(Verdict),
    /// The same or a greater version stood already.
    LeftOut(Verdict),
    /// It lost under the lock, to a correction, or was erased.
    Lost,
}

/// Runs the upsert. Returns what became of each key of the batch, which is sorted by key.
async fn upsert_buckets(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    batch: &[(BucketKeyRef<'_>, usize)],
    WriteOptions { causes, lane, backfill_id, only_inserts, clock }: WriteOptions<'_>,
) -> Result<Vec<UpsertOutcome>, Problem> {
    let keys: BucketKeyColumns<'_> = batch.iter().map(|(key, _)| *key).collect();
    let buckets = || batch.iter().map(|(_, position)| entries[*position].bucket);
    let counts: CountColumns = buckets().map(|bucket| bucket.counts).collect();
    let rows = query_file_columns!(
        "src/kernel/usage/writer/upsert_buckets.sql",
        key_columns = keys,
        count_columns = counts,
        &buckets().map(|bucket| bucket.stamp.observed_at).collect::<Vec<_>>(),
        &buckets().map(|bucket| bucket.stamp.stamped).collect::<Vec<_>>(),
        &buckets().map(|bucket| bucket.stamp.rank.number()).collect::<Vec<_>>(),
        clock.change_time(),
        lane.as_str(),
        &causes.iter().map(|cause| cause.user_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.request_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.traceparent.clone()).collect::<Vec<_>>(),
        backfill_id,
        only_inserts,
    )
    .fetch_all(tx)
    .await?;
    let others_are_new = rows.iter().any(|row| row.user_id.is_none());
    let other = if others_are_new { UpsertOutcome::Written(Verdict::Inserted) } else { UpsertOutcome::Lost };
    let mut outcomes = vec![other; batch.len()];
    for row in &rows {
        let (Some(user_id), Some(hour_start), Some(device_id), Some(source), Some(model)) =
            (row.user_id, row.hour_start, row.device_id, &row.source, &row.model)
        else {
            continue;
        };
        let key = BucketKeyRef { user_id, hour_start, device_id, source, model };
        if let Ok(index) = batch.binary_search_by(|(candidate, _)| candidate.cmp(&key)) {
            let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == row.verdict);
            outcomes[index] = match verdict {
                Some(verdict) if row.written => UpsertOutcome::Written(verdict),
                Some(verdict) => UpsertOutcome::LeftOut(verdict),
                None => UpsertOutcome::Lost,
            };
        }
    }
    Ok(outcomes)
}

/// Says of each loser why it lost. Returns the entries that a correction hides, by position, each
/// with the correction's job.
async fn standing_buckets(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    losers: &[(BucketKeyRef<'_>, usize)],
    verdicts: &mut [Verdict],
) -> Result<Vec<(usize, Uuid)>, Problem> {
    let mut hidden = Vec::new();
    if losers.is_empty() {
        return Ok(hidden);
    }
    let keys: BucketKeyColumns<'_> = losers.iter().map(|(key, _)| *key).collect();
    let rows =
        query_file_columns!("src/kernel/usage/writer/standing_buckets.sql", key_columns = keys,).fetch_all(tx).await?;
    for row in rows {
        let index = usize::try_from(row.position - 1).map_err(Problem::internal)?;
        let Some((_, position)) = losers.get(index) else {
            continue;
        };
        let Entry { bucket: Bucket { counts, stamp, .. }, .. } = &entries[*position];
        verdicts[*position] = if row.erased_at.is_some_and(|erased_at| stamp.observed_at <= erased_at) {
            Verdict::Erased
        } else if row.stands && counters_of_row!(row) == *counts {
            Verdict::Unchanged
        } else if row.backfill_id.is_some() && !stamp.stamped {
            Verdict::Corrected
        } else if row.observed_at.is_some_and(|standing| standing < stamp.observed_at) {
            Verdict::Kept
        } else {
            Verdict::Stale
        };
        if verdicts[*position] != Verdict::Erased {
            hidden.extend(row.backfill_id.map(|backfill_id| (*position, backfill_id)));
        }
    }
    Ok(hidden)
}
