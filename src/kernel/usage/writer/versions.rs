//! Which version of a bucket wins: the greatest `observed_at`, at equal stamps the greater counts. Any order, batching
//! and repetition of stamped snapshots ends in the same rows. One statement decides, under the row's lock.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::entry::{Cause, Entry, Key, Keys};
use super::pre_images::absorb;
use super::verdict::Verdict;
use crate::kernel::bucket::{Bucket, TokenCounts};
use crate::kernel::clock::Clock;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::Lane;

/// Through which of its two doors a statement writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteOptions<'a> {
    /// Each user of the entries, once.
    pub(super) causes: &'a [Cause],
    /// Of the events.
    pub(super) lane: Lane,
    /// The job whose corrections these are; `None` for trackers' snapshots.
    pub(super) backfill_id: Option<Uuid>,
    /// Nothing that stands is replaced, whatever its version.
    pub(super) only_inserts: bool,
    pub(super) clock: &'a Clock,
}

/// Writes snapshots and their events in the caller's transaction. One verdict an entry, in order. What a tracker sent
/// in vain against a correction goes to the correction's pre-image.
pub(super) async fn write_in(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    door: WriteOptions<'_>,
) -> Result<Vec<Verdict>, Problem> {
    let mut verdicts = vec![Verdict::Superseded; entries.len()];
    let mut hidden = Vec::new();
    let mut candidates = candidates_by_key(entries);
    // Nearly always one turn. A second one comes when an unstamped winner met a correction, which a stamped runner-up
    // of the same commit may still outweigh.
    while !candidates.is_empty() {
        let batch: Vec<(Key<'_>, usize)> =
            candidates.iter().filter_map(|(key, ranked)| Some((*key, *ranked.last()?))).collect();
        let outcomes = upsert_buckets(tx, entries, &batch, door).await?;
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
                // It goes by the half hour, which they share.
                UpsertOutcome::LeftOut(Verdict::BeforeRetentionHorizon) => {
                    for other in ranked {
                        verdicts[*other] = Verdict::BeforeRetentionHorizon;
                    }
                }
                UpsertOutcome::LeftOut(verdict) if ranked.len() == 1 => verdicts[position] = verdict,
                // Nobody else of this commit won either: each is told what stands.
                UpsertOutcome::LeftOut(_) | UpsertOutcome::Lost => {
                    losers.extend(ranked.iter().map(|ranked| (key, *ranked)));
                }
            }
        }
        hidden.extend(standing_buckets(tx, entries, &losers, &mut verdicts).await?);
        candidates.retain(|_, ranked| {
            let corrected = ranked.pop().is_some_and(|position| verdicts[position] == Verdict::Corrected);
            ranked.retain(|position| entries[*position].bucket.stamp.stamped);
            corrected && !ranked.is_empty()
        });
    }
    if door.backfill_id.is_none() {
        absorb(tx, entries, hidden).await?;
    }
    Ok(verdicts)
}

/// The positions of every key's entries, the strongest version last; at equal versions the first to arrive.
fn candidates_by_key<'a>(entries: &[Entry<'a>]) -> BTreeMap<Key<'a>, Vec<usize>> {
    let mut candidates = BTreeMap::<Key<'a>, Vec<usize>>::new();
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
    /// The same or a newer version stood already.
    LeftOut(Verdict),
    /// It lost under the lock, to a correction, or was erased.
    Lost,
}

/// What became of each key of a batch, which is sorted by key.
async fn upsert_buckets(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    batch: &[(Key<'_>, usize)],
    WriteOptions { causes, lane, backfill_id, only_inserts, clock }: WriteOptions<'_>,
) -> Result<Vec<UpsertOutcome>, Problem> {
    let keys = Keys::of(batch.iter().map(|(key, _)| *key));
    let bucket = |position: &usize| entries[*position].bucket;
    let column = |field: fn(&TokenCounts) -> i64| -> Vec<i64> {
        batch.iter().map(|(_, position)| field(&bucket(position).counts)).collect()
    };
    let observed_ats: Vec<_> = batch.iter().map(|(_, position)| bucket(position).stamp.observed_at).collect();
    let stamped: Vec<_> = batch.iter().map(|(_, position)| bucket(position).stamp.stamped).collect();
    let rows = sqlx::query_file!(
        "src/kernel/usage/writer/upsert_buckets.sql",
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
        clock.stamp(),
        lane.as_str(),
        &causes.iter().map(|cause| cause.user_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.request_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.traceparent.clone()).collect::<Vec<_>>(),
        backfill_id,
        only_inserts,
    )
    .fetch_all(tx)
    .await?;
    let mut outcomes = vec![UpsertOutcome::Lost; batch.len()];
    for row in &rows {
        let key = Key {
            user_id: row.user_id,
            hour_start: row.hour_start,
            device_id: row.device_id,
            source: &row.source,
            model: &row.model,
        };
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

/// Why the losers lost. Returns those that a correction hides, by position, with the correction's job.
async fn standing_buckets(
    tx: &mut Tx,
    entries: &[Entry<'_>],
    losers: &[(Key<'_>, usize)],
    verdicts: &mut [Verdict],
) -> Result<Vec<(usize, Uuid)>, Problem> {
    let mut hidden = Vec::new();
    if losers.is_empty() {
        return Ok(hidden);
    }
    let keys = Keys::of(losers.iter().map(|(key, _)| *key));
    let rows = sqlx::query_file!(
        "src/kernel/usage/writer/standing_buckets.sql",
        &keys.user_ids,
        &keys.hour_starts,
        &keys.device_ids,
        &keys.sources as &[&str],
        &keys.models as &[&str],
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        let index = usize::try_from(row.position - 1).map_err(Problem::internal)?;
        let Some((_, position)) = losers.get(index) else {
            continue;
        };
        let Entry { bucket: Bucket { counts, stamp, .. }, .. } = &entries[*position];
        let standing = TokenCounts {
            input_tokens: row.input_tokens,
            cache_read_tokens: row.cache_read_tokens,
            cache_write_5m_tokens: row.cache_write_5m_tokens,
            cache_write_1h_tokens: row.cache_write_1h_tokens,
            output_tokens: row.output_tokens,
            reasoning_tokens: row.reasoning_tokens,
            unclassified_tokens: row.unclassified_tokens,
            request_count: row.request_count,
        };
        verdicts[*position] = if row.erased_at.is_some_and(|erased_at| stamp.observed_at <= erased_at) {
            Verdict::Erased
        } else if row.stands && standing == *counts {
            Verdict::Unchanged
        } else if row.backfill_id.is_some() && !stamp.stamped {
            Verdict::Corrected
        } else {
            Verdict::Stale
        };
        if verdicts[*position] != Verdict::Erased {
            hidden.extend(row.backfill_id.map(|backfill_id| (*position, backfill_id)));
        }
    }
    Ok(hidden)
}
