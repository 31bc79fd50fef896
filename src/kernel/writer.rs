//! The only code that writes `usage.bucket`, and which version of a bucket wins: the greatest `observed_at`, at equal
//! stamps the greater counts. Any order, batching and repetition of stamped snapshots ends in the same rows.
//!
//! [`Writer::write`] is the door for trackers: one transaction, the acknowledgement after its commit. [`write_in`]
//! works inside a transaction of the caller's.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::auth::Device;
use super::bucket::{Bucket, TokenCounts};
use super::call::Call;
use super::clock::Clock;
use super::db::{Access, Mode, Pool, Tx};
use super::outbox::{Lane, Signal};
use super::problem::Problem;

/// What became of one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The first version of this bucket.
    Inserted,
    /// It replaced an older version with other counts.
    Updated,
    /// The same counts stand.
    Unchanged,
    /// A newer version stands.
    Stale,
    /// Another entry of the same commit won.
    Superseded,
    /// Unstamped, against an operator's standing correction.
    Corrected,
    /// Taken at or before its owner erased it.
    Erased,
}

impl Verdict {
    /// As replies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Corrected => "corrected",
            Self::Erased => "erased",
        }
    }
}

/// A snapshot and whose it is.
#[derive(Clone, Debug)]
pub struct Entry {
    user_id: Uuid,
    device_id: Uuid,
    bucket: Bucket,
}

/// The primary key, in its order: `source` and `model` compare by bytes, as collation "C" does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    user_id: Uuid,
    hour_start: chrono::DateTime<chrono::Utc>,
    device_id: Uuid,
    source: String,
    model: String,
}

impl Entry {
    fn key(&self) -> Key {
        Key {
            user_id: self.user_id,
            hour_start: self.bucket.hour_start.start(),
            device_id: self.device_id,
            source: self.bucket.source.as_str().to_owned(),
            model: self.bucket.model.as_str().to_owned(),
        }
    }

    const fn version(&self) -> (chrono::DateTime<chrono::Utc>, TokenCounts, bool) {
        (self.bucket.stamp.observed_at, self.bucket.counts, self.bucket.stamp.stamped)
    }
}

/// The tracker's door to the writer.
#[derive(Clone, Debug)]
pub struct Writer {
    pool: Pool,
    clock: Clock,
    signal: Signal,
}

impl Writer {
    /// Writes through `pool` and wakes the relay through `signal`.
    pub fn new(pool: Pool, clock: Clock, signal: Signal) -> Self {
        Self { pool, clock, signal }
    }

    /// Writes a device's snapshots in one transaction; when it returns `Ok` they are durable. One verdict a bucket, in
    /// order. Errors: 503, 504 of the database; then nothing was written, or sending the same again is safe.
    pub async fn write(&self, device: &Device, buckets: Vec<Bucket>) -> Result<Vec<Verdict>, Problem> {
        if buckets.is_empty() {
            return Ok(Vec::new());
        }
        let (user_id, device_id) = (device.user_id(), device.device_id());
        let entries: Vec<_> = buckets.into_iter().map(|bucket| Entry { user_id, device_id, bucket }).collect();
        let mut tx = self.pool.begin(device.call(), Access::Users(&[user_id]), Mode::ReadWrite).await?;
        let verdicts = write_in(&mut tx, &entries, device.call(), Lane::Live, &self.clock).await?;
        tx.commit().await?;
        self.signal.wake();
        Ok(verdicts)
    }
}

/// Writes snapshots and their events in the caller's transaction. One verdict an entry, in order.
pub async fn write_in(
    tx: &mut Tx,
    entries: &[Entry],
    call: &Call,
    lane: Lane,
    clock: &Clock,
) -> Result<Vec<Verdict>, Problem> {
    let mut verdicts = vec![Verdict::Superseded; entries.len()];
    let mut candidates = candidates_by_key(entries);
    // Nearly always one turn. A second one comes when an unstamped winner met a correction, which a stamped runner-up
    // of the same commit may still outweigh.
    while !candidates.is_empty() {
        let batch: Vec<(Key, usize)> =
            candidates.iter().filter_map(|(key, ranked)| Some((key.clone(), *ranked.last()?))).collect();
        let written = upsert_buckets(tx, entries, &batch, call, lane, clock).await?;
        let mut losers = Vec::new();
        for (key, position) in batch {
            match written.get(&key) {
                Some(verdict) => verdicts[position] = *verdict,
                None => losers.push((key, position)),
            }
        }
        standing_buckets(tx, entries, &losers, &mut verdicts).await?;
        candidates.retain(|_, ranked| {
            let corrected = ranked.pop().is_some_and(|position| verdicts[position] == Verdict::Corrected);
            ranked.retain(|position| entries[*position].bucket.stamp.stamped);
            corrected && !ranked.is_empty()
        });
    }
    Ok(verdicts)
}

/// The positions of every key's entries, the strongest version last; at equal versions the first to arrive.
fn candidates_by_key(entries: &[Entry]) -> BTreeMap<Key, Vec<usize>> {
    let mut candidates = BTreeMap::<Key, Vec<usize>>::new();
    for (position, entry) in entries.iter().enumerate() {
        candidates.entry(entry.key()).or_default().push(position);
    }
    for ranked in candidates.values_mut() {
        ranked.sort_by_key(|position| (entries[*position].version(), std::cmp::Reverse(*position)));
    }
    candidates
}

/// The five key columns of a batch, one array each.
#[derive(Debug, Default)]
struct Keys<'a> {
    user_ids: Vec<Uuid>,
    hour_starts: Vec<chrono::DateTime<chrono::Utc>>,
    device_ids: Vec<Uuid>,
    sources: Vec<&'a str>,
    models: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(batch: &'a [(Key, usize)]) -> Self {
        let mut keys = Self::default();
        for (key, _) in batch {
            keys.user_ids.push(key.user_id);
            keys.hour_starts.push(key.hour_start);
            keys.device_ids.push(key.device_id);
            keys.sources.push(&key.source);
            keys.models.push(&key.model);
        }
        keys
    }
}

async fn upsert_buckets(
    tx: &mut Tx,
    entries: &[Entry],
    batch: &[(Key, usize)],
    call: &Call,
    lane: Lane,
    clock: &Clock,
) -> Result<HashMap<Key, Verdict>, Problem> {
    let keys = Keys::of(batch);
    let bucket = |position: &usize| &entries[*position].bucket;
    let column = |field: fn(&TokenCounts) -> i64| -> Vec<i64> {
        batch.iter().map(|(_, position)| field(&bucket(position).counts)).collect()
    };
    let observed_ats: Vec<_> = batch.iter().map(|(_, position)| bucket(position).stamp.observed_at).collect();
    let stamped: Vec<_> = batch.iter().map(|(_, position)| bucket(position).stamp.stamped).collect();
    let rows = sqlx::query_file!(
        "src/kernel/upsert_buckets.sql",
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
        call.request_id,
        call.trace.traceparent(),
    )
    .fetch_all(tx)
    .await?;
    let verdict = |inserted, changed| match (inserted, changed) {
        (true, _) => Verdict::Inserted,
        (false, true) => Verdict::Updated,
        (false, false) => Verdict::Unchanged,
    };
    let key = |user_id, hour_start, device_id, source, model| Key { user_id, hour_start, device_id, source, model };
    Ok(rows
        .into_iter()
        .map(|row| {
            let key = key(row.user_id, row.hour_start, row.device_id, row.source, row.model);
            (key, verdict(row.inserted, row.changed))
        })
        .collect())
}

/// Why the losers lost.
async fn standing_buckets(
    tx: &mut Tx,
    entries: &[Entry],
    losers: &[(Key, usize)],
    verdicts: &mut [Verdict],
) -> Result<(), Problem> {
    if losers.is_empty() {
        return Ok(());
    }
    let keys = Keys::of(losers);
    let rows = sqlx::query_file!(
        "src/kernel/standing_buckets.sql",
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
        let Bucket { counts, stamp, .. } = &entries[*position].bucket;
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
        } else if row.corrected && !stamp.stamped {
            Verdict::Corrected
        } else {
            Verdict::Stale
        };
    }
    Ok(())
}
