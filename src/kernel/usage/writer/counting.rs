//! How records are added to buckets, each once. They are entered into the ledger first, and those that
//! were not there yet are added up and written, in one transaction.
//!
//! Two transactions take their locks in the same order: devices, then the ledger's keys, then buckets,
//! each sorted. A transaction has records or snapshots, and never both.
//!
//! What is added goes on top of whatever stands. A correction says what a bucket was to hold when it
//! was made, and whatever arrives later was not in that. So later records are added to the correction,
//! and to every version that it hides: taken back or not, nothing is lost and nothing counts twice.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::entry::Cause;
use super::verdict::Verdict;
use crate::kernel::bucket::{BucketKeyRef, CountColumns, HalfHour, MAX_COUNT, TokenCounts};
use crate::kernel::clock::Clock;
use crate::kernel::database::{BucketKeyColumns, Tx, broken_constraint, query_file_columns};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::record::UsageRecord;
use crate::kernel::usage::snapshot::Rank;

/// A record and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordEntry<'a> {
    pub(super) user_id: Uuid,
    pub(super) device_id: Uuid,
    pub(super) record: &'a UsageRecord,
}

/// The ledger's key.
type LedgerKey = (Uuid, DateTime<Utc>, Uuid);
/// What is added to each bucket, in the order of the keys.
type Sums<'a> = BTreeMap<BucketKeyRef<'a>, TokenCounts>;

impl<'a> RecordEntry<'a> {
    const fn ledger_key(&self) -> LedgerKey {
        (self.user_id, self.record.hour_start.start(), self.record.hash.as_uuid())
    }

    fn key(&self) -> BucketKeyRef<'a> {
        BucketKeyRef {
            user_id: self.user_id,
            hour_start: self.record.hour_start.start(),
            device_id: self.device_id,
            source: self.record.source.as_str(),
            model: self.record.model.as_str(),
        }
    }
}

/// Adds records in the caller's transaction, which has decided that their devices count. Returns one verdict for each
/// record, in order: `inserted` where it was added now, `unchanged` where it had been before.
///
/// Errors: 422 where a bucket would hold more than any may; the database's.
pub(super) async fn count_in(
    tx: &mut Tx,
    entries: &[RecordEntry<'_>],
    causes: &[Cause],
    clock: &Clock,
) -> Result<Vec<Verdict>, Problem> {
    let mut verdicts = vec![Verdict::Unchanged; entries.len()];
    // The first of several equal ones is the one that counts.
    let mut distinct = BTreeMap::<LedgerKey, usize>::new();
    for (position, entry) in entries.iter().enumerate() {
        distinct.entry(entry.ledger_key()).or_insert(position);
    }
    if distinct.is_empty() {
        return Ok(verdicts);
    }
    let judged = enter_records(tx, entries, &distinct).await?;
    let mut sums = Sums::new();
    for (key, position) in distinct {
        let Some(verdict) = judged.get(&key) else { continue };
        verdicts[position] = *verdict;
        let entry = &entries[position];
        if *verdict == Verdict::Inserted {
            let sum = sums.entry(entry.key()).or_default();
            *sum = *sum + entry.record.counts;
        }
    }
    // The others of an equal one that is refused are refused, too.
    for (entry, verdict) in entries.iter().zip(&mut verdicts) {
        if let Some(refused) = judged.get(&entry.ledger_key()).filter(|verdict| **verdict != Verdict::Inserted) {
            *verdict = *refused;
        }
    }
    if sums.values().any(|sum| sum.into_values().into_iter().any(|count| count > MAX_COUNT)) {
        return Err(too_much());
    }
    add(tx, &sums, causes, clock).await?;
    Ok(verdicts)
}

async fn enter_records(
    tx: &mut Tx,
    entries: &[RecordEntry<'_>],
    distinct: &BTreeMap<LedgerKey, usize>,
) -> Result<HashMap<LedgerKey, Verdict>, Problem> {
    let entered = || distinct.values().map(|position| &entries[*position]);
    let rows = sqlx::query_file!(
        "src/kernel/usage/writer/enter_records.sql",
        &distinct.keys().map(|key| key.0).collect::<Vec<_>>(),
        &distinct.keys().map(|key| key.1).collect::<Vec<_>>(),
        &distinct.keys().map(|key| key.2).collect::<Vec<_>>(),
        &entered().map(|entry| entry.device_id).collect::<Vec<_>>(),
        &entered().map(|entry| entry.record.source.as_str()).collect::<Vec<_>>() as &[&str],
        &entered().map(|entry| entry.record.happened_at).collect::<Vec<_>>(),
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == row.verdict);
            let verdict = verdict.ok_or_else(|| Problem::internal("the ledger has an unknown verdict"))?;
            Ok(((row.user_id, row.hour_start, row.record_hash), verdict))
        })
        .collect()
}

async fn add(tx: &mut Tx, sums: &Sums<'_>, causes: &[Cause], clock: &Clock) -> Result<(), Problem> {
    if sums.is_empty() {
        return Ok(());
    }
    let arrived_at = clock.stamp();
    let corrected = add_to_buckets(tx, sums, arrived_at, causes, clock).await?;
    if corrected.is_empty() {
        return Ok(());
    }
    add_to_pre_images(tx, sums, &corrected, arrived_at).await
}

/// Returns the corrections that stand, by the bucket's place in the order of the keys.
async fn add_to_buckets(
    tx: &mut Tx,
    sums: &Sums<'_>,
    arrived_at: DateTime<Utc>,
    causes: &[Cause],
    clock: &Clock,
) -> Result<Vec<(usize, Uuid)>, Problem> {
    let keys: BucketKeyColumns<'_> = sums.keys().copied().collect();
    let counts: CountColumns = sums.values().copied().collect();
    let rows = query_file_columns!(
        "src/kernel/usage/writer/add_to_buckets.sql",
        key_columns = keys,
        count_columns = counts,
        arrived_at,
        &sums.keys().map(|key| rank(key.hour_start, arrived_at)).collect::<Vec<_>>(),
        clock.change_time(),
        &causes.iter().map(|cause| cause.user_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.request_id).collect::<Vec<_>>(),
        &causes.iter().map(|cause| cause.traceparent.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(tx)
    .await
    .map_err(overflown)?;
    let places: HashMap<BucketKeyRef<'_>, usize> = sums.keys().copied().zip(0..).collect();
    let corrected = rows.iter().filter_map(|row| {
        let key = BucketKeyRef {
            user_id: row.user_id,
            hour_start: row.hour_start,
            device_id: row.device_id,
            source: &row.source,
            model: &row.model,
        };
        Some((places.get(&key).copied()?, row.backfill_id))
    });
    Ok(corrected.collect())
}

async fn add_to_pre_images(
    tx: &mut Tx,
    sums: &Sums<'_>,
    corrected: &[(usize, Uuid)],
    arrived_at: DateTime<Utc>,
) -> Result<(), Problem> {
    let all: Vec<(BucketKeyRef<'_>, TokenCounts)> = sums.iter().map(|(key, sum)| (*key, *sum)).collect();
    let keys: BucketKeyColumns<'_> = corrected.iter().map(|(place, _)| all[*place].0).collect();
    let counts: CountColumns = corrected.iter().map(|(place, _)| all[*place].1).collect();
    query_file_columns!(
        "src/kernel/usage/writer/add_to_pre_images.sql",
        key_columns = keys,
        count_columns = counts,
        arrived_at,
        &corrected.iter().map(|(place, _)| rank(all[*place].0.hour_start, arrived_at)).collect::<Vec<_>>(),
        &corrected.iter().map(|(_, backfill_id)| *backfill_id).collect::<Vec<_>>(),
    )
    .execute(tx)
    .await
    .map_err(overflown)?;
    Ok(())
}

/// A record is no scan of what is left of a tool's logs. However late it comes, it was not counted before.
fn rank(hour_start: DateTime<Utc>, arrived_at: DateTime<Utc>) -> i16 {
    HalfHour::new(hour_start).map_or(Rank::OnTime, |hour_start| Rank::of(hour_start, arrived_at, true)).number()
}

/// A sum that no bucket may hold is nobody's bug.
fn overflown(error: sqlx::Error) -> Problem {
    let is_range = broken_constraint(&error).is_some_and(|name| name.ends_with("_is_in_range"));
    if is_range { too_much().because(error) } else { error.into() }
}

fn too_much() -> Problem {
    let detail = format!("A half hour would hold more than {MAX_COUNT} of one counter; none of these was counted.");
    Problem::new(Code::Invalid, detail)
}
