//! How an operator's corrections are written and taken back. They are written by the statement that
//! writes trackers' posts, in the caller's transaction. Every version that a correction replaces is
//! kept as its pre-image.
//!
//! A correction is stamped later than the version that it replaces, ranks as if it retracted, and
//! marks the bucket with its job. A tracker's newer stamped snapshot still wins, unless it is late
//! and silent. A snapshot that loses only against the correction is merged into the pre-image.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::entry::{Cause, Entry};
use super::verdict::Verdict;
use super::versions::{WriteOptions, write_in};
use crate::kernel::bucket::{BucketKey, BucketKeyRef, TokenCounts};
use crate::kernel::call::Trace;
use crate::kernel::clock::Clock;
use crate::kernel::database::{BucketKeyColumns, Tx, counters_of_row, query_file_columns};
use crate::kernel::problem::Problem;
use crate::kernel::usage::erasure;
use crate::kernel::usage::outbox::Lane;
use crate::kernel::usage::snapshot::{Bucket, Rank, Stamp};

/// What a bucket says, and as of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its counts.
    pub counts: TokenCounts,
    /// Its stamp.
    pub observed_at: DateTime<Utc>,
}

/// What one bucket is to say.
#[derive(Clone, Debug)]
pub struct Correction {
    /// The bucket.
    pub key: BucketKey,
    /// The counts it is to have.
    pub counts: TokenCounts,
    /// The version that it replaces: another one is left alone. `None` where there is to be no
    /// bucket yet.
    pub seen: Option<Version>,
}

/// Whose corrections these are.
#[derive(Clone, Copy, Debug)]
pub struct Correcting<'a> {
    /// The job: it marks the buckets and their events.
    pub backfill_id: Uuid,
    /// Start of the execution: the stamp of corrections, unless what they replace is newer.
    pub executed_at: DateTime<Utc>,
    /// Of the step.
    pub trace: &'a Trace,
    /// For the time of the change.
    pub clock: &'a Clock,
}

/// What became of a correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// It stands.
    Written,
    /// Another version stands than the one that was seen; it was left alone.
    Moved,
    /// Not taken, whatever stands: the owner has erased this usage since the execution began, or
    /// retention has.
    Refused(Verdict),
}

/// What stands under a lock.
pub(super) struct LockedBucket {
    pub(super) version: Version,
    pub(super) backfill_id: Option<Uuid>,
}

/// Writes corrections, their pre-images and their events. Returns one outcome for each correction,
/// in order; `None` while an owner erases usage, so that the caller undoes its transaction and
/// tries again.
///
/// A bucket that is to be replaced is locked and compared with the version that was seen. A bucket
/// that was absent is inserted without a look, and left alone where a tracker has sent it
/// meanwhile.
pub async fn correct_in(
    tx: &mut Tx,
    job: Correcting<'_>,
    corrections: &[Correction],
) -> Result<Option<Vec<Corrected>>, Problem> {
    let mut owners: Vec<Uuid> = corrections.iter().map(|correction| correction.key.user_id).collect();
    owners.sort_unstable();
    owners.dedup();
    // A correction and an erasure of the same usage would not see each other.
    if !erasure::hold_off_erasures(tx, &owners).await?.is_empty() {
        return Ok(None);
    }
    let (replacing, inserting): (Vec<usize>, Vec<usize>) =
        (0..corrections.len()).partition(|at| corrections[*at].seen.is_some());
    let key = |at: &usize| corrections[*at].key.borrowed();
    let standing = lock_buckets(tx, replacing.iter().map(key)).await?;
    let due = |(place, at): (usize, usize)| {
        let version = standing.get(&place).map(|standing| standing.version);
        (version == corrections[at].seen).then_some(at)
    };
    let replacing: Vec<usize> = replacing.into_iter().enumerate().filter_map(due).collect();
    save_pre_images(tx, replacing.iter().map(key), job.backfill_id).await?;

    let mut outcomes = vec![Corrected::Moved; corrections.len()];
    for (positions, only_inserts) in [(replacing, false), (inserting, true)] {
        let verdicts = write_corrections(tx, &job, corrections, &positions, only_inserts).await?;
        for (at, verdict) in positions.into_iter().zip(verdicts) {
            outcomes[at] = match verdict {
                Verdict::Inserted if only_inserts => Corrected::Written,
                Verdict::Updated | Verdict::Unchanged if !only_inserts => Corrected::Written,
                Verdict::Erased | Verdict::BeforeRetentionHorizon => Corrected::Refused(verdict),
                _ if only_inserts => Corrected::Moved,
                other => {
                    return Err(Problem::internal(format!("a locked bucket took a correction as {}", other.as_str())));
                }
            };
        }
    }
    Ok(Some(outcomes))
}

/// Writes those at the positions.
async fn write_corrections(
    tx: &mut Tx,
    job: &Correcting<'_>,
    corrections: &[Correction],
    positions: &[usize],
    only_inserts: bool,
) -> Result<Vec<Verdict>, Problem> {
    let buckets: Vec<Bucket> = positions.iter().map(|at| stamped(&corrections[*at], job.executed_at)).collect();
    let entry = |(at, bucket): (&usize, _)| {
        let BucketKey { user_id, device_id, .. } = corrections[*at].key;
        Entry { user_id, device_id, bucket }
    };
    let entries: Vec<Entry<'_>> = positions.iter().zip(&buckets).map(entry).collect();
    let causes = causes(&entries, job);
    let backfill_id = Some(job.backfill_id);
    write_in(
        tx,
        &entries,
        WriteOptions { causes: &causes, lane: Lane::Bulk, backfill_id, only_inserts, clock: job.clock },
    )
    .await
}

/// Takes the job's corrections of these buckets back. Returns for each bucket, in order, whether
/// the correction still stood. A bucket with another version is left alone.
pub async fn restore_in(tx: &mut Tx, job: Correcting<'_>, keys: &[BucketKey]) -> Result<Vec<bool>, Problem> {
    let standing = lock_buckets(tx, keys.iter().map(BucketKey::borrowed)).await?;
    let ours = |at: &usize| standing.get(at).is_some_and(|standing| standing.backfill_id == Some(job.backfill_id));
    let marked: Vec<usize> = (0..keys.len()).filter(ours).collect();
    restore_buckets(tx, marked.iter().map(|at| keys[*at].borrowed()), job).await?;
    let mut restored = vec![false; keys.len()];
    for at in marked {
        restored[at] = true;
    }
    Ok(restored)
}

/// Removes up to `limit` pre-images of jobs that can no longer be rolled back. Returns how many
/// there were.
pub async fn purge_pre_images(tx: &mut Tx, backfill_ids: &[Uuid], limit: i64) -> Result<u64, Problem> {
    let purged =
        sqlx::query_file!("src/kernel/usage/writer/purge_pre_images.sql", backfill_ids, limit).execute(tx).await?;
    Ok(purged.rows_affected())
}

/// A stamp that is later than that of the version it replaces, even where a tracker's clock was ahead.
pub(super) fn stamp_after(seen: Option<Version>, executed_at: DateTime<Utc>) -> DateTime<Utc> {
    let after = seen.map(|version| version.observed_at + TimeDelta::microseconds(1));
    after.map_or(executed_at, |after| after.max(executed_at))
}

/// The bucket that a correction makes. Its stamp is later than that of the version it replaces,
/// even where a tracker's clock was ahead. So it is late where that version is, and outranks it or
/// has its rank.
fn stamped(Correction { key, counts, seen }: &Correction, executed_at: DateTime<Utc>) -> Bucket {
    let observed_at = stamp_after(*seen, executed_at);
    Bucket {
        hour_start: key.hour_start,
        source: key.source,
        model: key.model.clone(),
        counts: *counts,
        stamp: Stamp { observed_at, stamped: true, rank: Rank::of(key.hour_start, observed_at, true) },
    }
}

fn causes(entries: &[Entry<'_>], job: &Correcting<'_>) -> Vec<Cause> {
    let mut users: Vec<Uuid> = entries.iter().map(|entry| entry.user_id).collect();
    users.sort_unstable();
    users.dedup();
    let cause = |user_id| Cause { user_id, request_id: job.backfill_id, traceparent: job.trace.traceparent() };
    users.into_iter().map(cause).collect()
}

/// Locks the buckets that exist. Returns what stands, by the position of its key.
pub(super) async fn lock_buckets<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = BucketKeyRef<'a>>,
) -> Result<BTreeMap<usize, LockedBucket>, Problem> {
    let keys: BucketKeyColumns<'_> = keys.collect();
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows =
        query_file_columns!("src/kernel/usage/writer/lock_buckets.sql", key_columns = keys,).fetch_all(tx).await?;
    rows.into_iter()
        .map(|row| {
            let position = usize::try_from(row.position - 1).map_err(Problem::internal)?;
            let version = Version { counts: counters_of_row!(row), observed_at: row.observed_at };
            Ok((position, LockedBucket { version, backfill_id: row.backfill_id }))
        })
        .collect()
}

pub(super) async fn save_pre_images<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = BucketKeyRef<'a>>,
    backfill_id: Uuid,
) -> Result<(), Problem> {
    let keys: BucketKeyColumns<'_> = keys.collect();
    if keys.is_empty() {
        return Ok(());
    }
    query_file_columns!("src/kernel/usage/writer/save_pre_images.sql", key_columns = keys, backfill_id,)
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn restore_buckets<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = BucketKeyRef<'a>>,
    job: Correcting<'_>,
) -> Result<(), Problem> {
    let keys: BucketKeyColumns<'_> = keys.collect();
    query_file_columns!(
        "src/kernel/usage/writer/restore_buckets.sql",
        key_columns = keys,
        job.backfill_id,
        job.clock.change_time(),
        job.trace.traceparent(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
