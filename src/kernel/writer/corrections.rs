//! The operator's door: corrections of buckets, and the way back. It ends in the statement that trackers' posts end in,
//! works in the caller's transaction, and keeps what it replaces.
//!
//! A correction is stamped later than what it replaces and marks the bucket with its job. A stamped snapshot that is
//! newer still wins; what loses only against the correction is merged into its pre-image.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::versions::{Cause, Door, Entry, Key, Keys, Verdict, write_in};
use crate::kernel::bucket::{Bucket, HalfHour, Model, Source, Stamp, TokenCounts};
use crate::kernel::call::Trace;
use crate::kernel::clock::Clock;
use crate::kernel::db::Tx;
use crate::kernel::erasure;
use crate::kernel::outbox::Lane;
use crate::kernel::problem::Problem;

/// The five dimensions of a bucket, ordered as its primary key is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketKey {
    /// The owner.
    pub user_id: Uuid,
    /// The half hour.
    pub hour_start: HalfHour,
    /// The device.
    pub device_id: Uuid,
    /// The tool.
    pub source: Source,
    /// The model.
    pub model: Model,
}

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
    /// The version that it replaces: another one is left alone. `None` where there is to be no bucket yet.
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
    /// Not taken, whatever stands: the owner has erased this usage since the execution began, or retention has.
    Refused(Verdict),
}

/// What stands under a lock.
struct Standing {
    version: Version,
    backfill_id: Option<Uuid>,
}

/// Writes corrections, their pre-images and their events. One outcome a correction, in order.
///
/// `None` when a bucket that was absent came while this was at work, or its owner is erasing usage at this moment: the
/// caller undoes its transaction and tries again.
pub async fn correct_in(
    tx: &mut Tx,
    job: Correcting<'_>,
    corrections: &[Correction],
) -> Result<Option<Vec<Corrected>>, Problem> {
    let mut owners: Vec<Uuid> = corrections.iter().map(|correction| correction.key.user_id).collect();
    owners.sort_unstable();
    owners.dedup();
    // Not beside an erasure of the same usage, which would neither be seen nor see this.
    if !erasure::hold_off(tx, &owners).await?.is_empty() {
        return Ok(None);
    }
    let standing = lock_buckets(tx, corrections.iter().map(|correction| key_of(&correction.key))).await?;
    let due: Vec<usize> = (0..corrections.len())
        .filter(|at| standing.get(at).map(|standing| standing.version) == corrections[*at].seen)
        .collect();
    let replaced = due.iter().filter(|at| corrections[**at].seen.is_some());
    save_pre_images(tx, replaced.map(|at| key_of(&corrections[*at].key)), job.backfill_id).await?;

    let buckets: Vec<Bucket> = due.iter().map(|at| stamped(&corrections[*at], job.executed_at)).collect();
    let owner = |at: &usize| (corrections[*at].key.user_id, corrections[*at].key.device_id);
    let entries: Vec<Entry<'_>> = due
        .iter()
        .zip(&buckets)
        .map(|(at, bucket)| {
            let (user_id, device_id) = owner(at);
            Entry { user_id, device_id, bucket }
        })
        .collect();
    let causes = causes(&entries, &job);
    let door = Door { causes: &causes, lane: Lane::Bulk, backfill_id: Some(job.backfill_id), clock: job.clock };
    let verdicts = write_in(tx, &entries, door).await?;

    let mut outcomes = vec![Corrected::Moved; corrections.len()];
    for (at, verdict) in due.into_iter().zip(verdicts) {
        outcomes[at] = match (verdict, corrections[at].seen) {
            (Verdict::Inserted, None) | (Verdict::Updated | Verdict::Unchanged, Some(_)) => Corrected::Written,
            (refusal @ (Verdict::Erased | Verdict::BeforeRetentionHorizon), _) => Corrected::Refused(refusal),
            (_, None) => return Ok(None),
            (other, Some(_)) => {
                return Err(Problem::internal(format!("a locked bucket took a correction as {}", other.as_str())));
            }
        };
    }
    Ok(Some(outcomes))
}

/// Takes the job's corrections of these buckets back. True, in order, where one stood; where another version stands by
/// now it is left alone.
pub async fn restore_in(tx: &mut Tx, job: Correcting<'_>, keys: &[BucketKey]) -> Result<Vec<bool>, Problem> {
    let standing = lock_buckets(tx, keys.iter().map(key_of)).await?;
    let ours = |at: &usize| standing.get(at).is_some_and(|standing| standing.backfill_id == Some(job.backfill_id));
    let marked: Vec<usize> = (0..keys.len()).filter(ours).collect();
    restore_buckets(tx, marked.iter().map(|at| key_of(&keys[*at])), job).await?;
    let mut restored = vec![false; keys.len()];
    for at in marked {
        restored[at] = true;
    }
    Ok(restored)
}

/// Removes up to `limit` pre-images of jobs that can no longer be rolled back. Returns how many there were.
pub async fn purge_pre_images(tx: &mut Tx, backfill_ids: &[Uuid], limit: i64) -> Result<u64, Problem> {
    let purged = sqlx::query_file!("src/kernel/writer/purge_pre_images.sql", backfill_ids, limit).execute(tx).await?;
    Ok(purged.rows_affected())
}

fn key_of(key: &BucketKey) -> Key<'_> {
    Key {
        user_id: key.user_id,
        hour_start: key.hour_start.start(),
        device_id: key.device_id,
        source: key.source.as_str(),
        model: key.model.as_str(),
    }
}

/// Later than the version it replaces, however far ahead that one's clock was.
fn stamped(Correction { key, counts, seen }: &Correction, executed_at: DateTime<Utc>) -> Bucket {
    let after = seen.map(|version| version.observed_at + TimeDelta::microseconds(1));
    Bucket {
        hour_start: key.hour_start,
        source: key.source,
        model: key.model.clone(),
        counts: *counts,
        stamp: Stamp { observed_at: after.map_or(executed_at, |after| after.max(executed_at)), stamped: true },
    }
}

fn causes(entries: &[Entry<'_>], job: &Correcting<'_>) -> Vec<Cause> {
    let mut users: Vec<Uuid> = entries.iter().map(|entry| entry.user_id).collect();
    users.sort_unstable();
    users.dedup();
    let cause = |user_id| Cause { user_id, request_id: job.backfill_id, traceparent: job.trace.traceparent() };
    users.into_iter().map(cause).collect()
}

/// Locks the buckets that are there. What stands, by the position of its key.
async fn lock_buckets<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = Key<'a>>,
) -> Result<BTreeMap<usize, Standing>, Problem> {
    let keys = Keys::of(keys);
    let rows = sqlx::query_file!(
        "src/kernel/writer/lock_buckets.sql",
        &keys.user_ids,
        &keys.hour_starts,
        &keys.device_ids,
        &keys.sources as &[&str],
        &keys.models as &[&str],
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let counts = TokenCounts {
                input_tokens: row.input_tokens,
                cache_read_tokens: row.cache_read_tokens,
                cache_write_5m_tokens: row.cache_write_5m_tokens,
                cache_write_1h_tokens: row.cache_write_1h_tokens,
                output_tokens: row.output_tokens,
                reasoning_tokens: row.reasoning_tokens,
                unclassified_tokens: row.unclassified_tokens,
                request_count: row.request_count,
            };
            let position = usize::try_from(row.position - 1).map_err(Problem::internal)?;
            let version = Version { counts, observed_at: row.observed_at };
            Ok((position, Standing { version, backfill_id: row.backfill_id }))
        })
        .collect()
}

async fn save_pre_images<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = Key<'a>>,
    backfill_id: Uuid,
) -> Result<(), Problem> {
    let keys = Keys::of(keys);
    if keys.user_ids.is_empty() {
        return Ok(());
    }
    sqlx::query_file!(
        "src/kernel/writer/save_pre_images.sql",
        &keys.user_ids,
        &keys.hour_starts,
        &keys.device_ids,
        &keys.sources as &[&str],
        &keys.models as &[&str],
        backfill_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn restore_buckets<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = Key<'a>>,
    job: Correcting<'_>,
) -> Result<(), Problem> {
    let keys = Keys::of(keys);
    sqlx::query_file!(
        "src/kernel/writer/restore_buckets.sql",
        &keys.user_ids,
        &keys.hour_starts,
        &keys.device_ids,
        &keys.sources as &[&str],
        &keys.models as &[&str],
        job.backfill_id,
        job.clock.stamp(),
        job.trace.traceparent(),
    )
    .execute(tx)
    .await?;
    Ok(())
}
