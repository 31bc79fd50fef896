//! Whether a new device repeats what another device of its user has sent. A machine that was
//! installed anew links itself as another device and sends its logs again, and the account counts
//! them twice until somebody merges the two. So the answer to the post says so.
//!
//! It is a hint and costs next to nothing. It is asked for after the commit, with a limit, and what
//! fails there fails no post. Only devices that were made within a week are looked at, which their
//! ids tell without a query, and of each only the first posts. One process looks at most twenty
//! times a second. What was looked at and said is in memory: another process, or the same one after
//! a restart, may say it once more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::kernel::access::Device;
use crate::kernel::bucket::{BucketKeyRef, CountColumns, TokenCounts};
use crate::kernel::call::{RequestContext, Trace};
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, BucketKeyColumns, Mode, Pool, Tx, query_file_columns};
use crate::kernel::problem::Problem;
use crate::kernel::usage::snapshot::Bucket;

/// A device is new for so long.
const NEW_FOR: TimeDelta = TimeDelta::days(7);
/// A device is told at most so often.
const TOLD_EVERY: TimeDelta = TimeDelta::days(1);
/// So many posts of a device are looked at a day, until it is told.
const LOOKS: u32 = 5;
/// A process looks at most so often a second.
const LOOKS_A_SECOND: u32 = 20;
/// So many buckets of a post are compared.
const COMPARED: usize = 100;
/// A post waits so long for its hint.
const PATIENCE: Duration = Duration::from_millis(250);
/// So many devices are remembered; while there are more, no other one is looked at.
const REMEMBERED: usize = 10_000;

/// What a new device repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// The other device.
    pub device_id: Uuid,
    /// How many buckets of the post it has, too, with the same counts.
    pub equal_buckets: i64,
}

/// Looks at the posts of new devices. Clones share what they remember.
#[derive(Clone, Debug)]
pub struct RepeatLookups {
    pool: Pool,
    clock: Clock,
    memory: Arc<Mutex<Memory>>,
}

/// The first buckets of a post that is worth a look.
#[derive(Debug)]
pub(super) struct Sample(Vec<Bucket>);

impl RepeatLookups {
    /// Looks through `pool`.
    pub fn new(pool: Pool, clock: Clock) -> Self {
        Self { pool, clock, memory: Arc::default() }
    }

    /// What to keep of a post for a look; `None` for an old device, and where it was looked enough.
    pub(super) fn sample(&self, device_id: Uuid, buckets: &[Bucket]) -> Option<Sample> {
        let age = self.clock.now().signed_duration_since(made_at(device_id)?);
        let is_due = age <= NEW_FOR && self.memory().may_look(device_id, self.clock.now(), Instant::now());
        is_due.then(|| Sample(buckets.iter().take(COMPARED).cloned().collect()))
    }

    /// Looks for another device that has at least half of what the post has inserted. `inserted` says so of each
    /// bucket, in order. `None` where there is none, and where the look fails or takes too long.
    pub(super) async fn look(
        &self,
        device: &Device,
        Sample(buckets): Sample,
        inserted: impl Iterator<Item = bool>,
    ) -> Option<Repeats> {
        let device_id = device.device_id();
        let inserted = buckets.into_iter().zip(inserted).filter(|(bucket, inserted)| *inserted && !is_empty(bucket));
        let buckets: Vec<Bucket> = inserted.map(|(bucket, _)| bucket).collect();
        if buckets.is_empty() || !self.memory().take_look(device_id, self.clock.now(), Instant::now()) {
            return None;
        }
        let found = match tokio::time::timeout(PATIENCE, self.find(device, &buckets)).await {
            Ok(Ok(found)) => found?,
            Ok(Err(problem)) => {
                tracing::debug!(error = problem.source_chain(), "a hint was not looked for");
                return None;
            }
            Err(_) => return None,
        };
        let repeats_most = usize::try_from(found.equal_buckets).is_ok_and(|equal| equal * 2 >= buckets.len());
        repeats_most.then(|| {
            self.memory().told(device_id, self.clock.now());
            found
        })
    }

    async fn find(&self, device: &Device, buckets: &[Bucket]) -> Result<Option<Repeats>, Problem> {
        let context = RequestContext::new(device.context().request_id, Trace::mint(), PATIENCE);
        let users = [device.user_id()];
        let mut tx = self.pool.begin(&context, Access::Users(&users), Mode::Snapshot).await?;
        let found = repeated_buckets(&mut tx, device, buckets).await?;
        tx.rollback().await?;
        Ok(found)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was looked at.
#[derive(Debug, Default)]
struct Memory {
    devices: HashMap<Uuid, Looked>,
    /// The second that has begun, and the looks in it.
    second: Option<(Instant, u32)>,
}

/// What is remembered of a device.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// The first look, or when it was told.
    since: DateTime<Utc>,
    looks: u32,
}

impl Memory {
    fn may_look(&mut self, device_id: Uuid, now: DateTime<Utc>, instant: Instant) -> bool {
        let is_over = |looked: &Looked| now.signed_duration_since(looked.since) >= TOLD_EVERY;
        if self.second.is_some_and(|(begun, looks)| {
            looks >= LOOKS_A_SECOND && instant.saturating_duration_since(begun) < Duration::from_secs(1)
        }) {
            return false;
        }
        if let Some(looked) = self.devices.get(&device_id) {
            return looked.looks < LOOKS || is_over(looked);
        }
        if self.devices.len() >= REMEMBERED {
            self.devices.retain(|_, looked| !is_over(looked));
        }
        self.devices.len() < REMEMBERED
    }

    fn take_look(&mut self, device_id: Uuid, now: DateTime<Utc>, instant: Instant) -> bool {
        if !self.may_look(device_id, now, instant) {
            return false;
        }
        let (begun, looks) = self.second.unwrap_or((instant, 0));
        let goes_on = instant.saturating_duration_since(begun) < Duration::from_secs(1);
        self.second = Some(if goes_on { (begun, looks + 1) } else { (instant, 1) });
        let looked = self.devices.entry(device_id).or_insert(Looked { since: now, looks: 0 });
        if now.signed_duration_since(looked.since) >= TOLD_EVERY {
            *looked = Looked { since: now, looks: 0 };
        }
        looked.looks += 1;
        true
    }

    fn told(&mut self, device_id: Uuid, now: DateTime<Utc>) {
        self.devices.insert(device_id, Looked { since: now, looks: LOOKS });
    }
}

/// When a device was made, as its id says.
fn made_at(device_id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = device_id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

/// Two devices that have used nothing repeat nothing.
fn is_empty(bucket: &Bucket) -> bool {
    bucket.counts == TokenCounts::default()
}

async fn repeated_buckets(tx: &mut Tx, device: &Device, buckets: &[Bucket]) -> Result<Option<Repeats>, Problem> {
    let keys: BucketKeyColumns<'_> = buckets.iter().map(|bucket| key(device, bucket)).collect();
    let counts: CountColumns = buckets.iter().map(|bucket| bucket.counts).collect();
    let found = query_file_columns!(
        "src/kernel/usage/intake/repeated_buckets.sql",
        key_columns = keys,
        count_columns = counts,
    )
    .fetch_optional(tx)
    .await?;
    Ok(found.map(|row| Repeats { device_id: row.device_id, equal_buckets: row.equal_buckets }))
}

fn key<'a>(device: &Device, bucket: &'a Bucket) -> BucketKeyRef<'a> {
    BucketKeyRef {
        user_id: device.user_id(),
        hour_start: bucket.hour_start.start(),
        device_id: device.device_id(),
        source: bucket.source.as_str(),
        model: bucket.model.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_looked_at_a_few_times_until_it_is_told_and_again_a_day_later() {
        let (mut memory, device, other) = (Memory::default(), Uuid::now_v7(), Uuid::now_v7());
        let (day, later) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TOLD_EVERY);
        let instant = Instant::now();
        for _ in 0..LOOKS {
            assert!(memory.take_look(device, day, instant));
        }
        assert!(!memory.take_look(device, day, instant) && memory.take_look(other, day, instant));
        memory.told(other, day);
        assert!(!memory.may_look(other, day + TimeDelta::hours(23), instant));
        assert!(memory.take_look(other, later, instant) && memory.take_look(device, later, instant));
    }

    #[test]
    fn a_process_looks_so_often_a_second_and_remembers_so_many_devices() {
        let (mut memory, now, mut instant) = (Memory::default(), DateTime::UNIX_EPOCH, Instant::now());
        let looks = (0..LOOKS_A_SECOND * 3).filter(|_| memory.take_look(Uuid::now_v7(), now, instant)).count();
        assert_eq!(looks, usize::try_from(LOOKS_A_SECOND).unwrap());
        instant += Duration::from_secs(2);
        while memory.devices.len() < REMEMBERED {
            instant += Duration::from_millis(60);
            assert!(memory.take_look(Uuid::now_v7(), now, instant));
        }
        instant += Duration::from_secs(2);
        assert!(!memory.take_look(Uuid::now_v7(), now, instant));
        assert!(memory.take_look(Uuid::now_v7(), now + TOLD_EVERY, instant));
        assert_eq!(memory.devices.len(), 1, "what is over is forgotten when there is no room");
    }

    #[test]
    fn an_id_says_when_its_device_was_made() {
        let made_at = made_at("01980000-0000-7000-8000-000000000001".parse().unwrap()).unwrap();
        assert_eq!(made_at.to_rfc3339(), "2025-07-12T18:57:36.768+00:00");
        assert_eq!(super::made_at(Uuid::nil()), None);
    }
}
