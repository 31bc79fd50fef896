//! How a merge moves buckets of one device into another one of the same user, in the caller's
//! transaction, and how it gives them back.
//!
//! A bucket that only the first device has is inserted for the other one as it is, version and rank
//! included. A bucket that both have with the same counts goes from the first device, and the
//! other one's stays. Where the counts differ, the other one's stays or says what was decided.
//! What is written is marked with the job, as a correction is: a snapshot that loses only against
//! it is merged into its pre-image. What goes is kept as a pre-image.
//!
//! A decision outweighs every snapshot that is on time. The other device goes on sending what it
//! alone has counted, and that must not replace what both have. Only a late snapshot that retracts
//! replaces it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::corrections::{
    Corrected, Correcting, LockedBucket, Version, lock_buckets, restore_buckets, save_pre_images, stamp_after,
};
use crate::kernel::bucket::{BucketKey, BucketKeyRef, CountColumns, TokenCounts};
use crate::kernel::database::{BucketKeyColumns, Tx, query_file_columns};
use crate::kernel::problem::Problem;
use crate::kernel::usage::erasure;

/// One bucket on its way from a device into another one.
#[derive(Clone, Debug)]
pub struct Move {
    /// The bucket that it becomes.
    pub key: BucketKey,
    /// What that is to say.
    pub counts: TokenCounts,
    /// What that says now; `None` where the other device has none.
    pub seen: Option<Version>,
    /// The device that loses its bucket.
    pub from_device_id: Uuid,
    /// What that bucket says now.
    pub from_seen: Version,
}

/// What a move does to the other device's bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// There is none yet.
    Inserts,
    /// It says something else from now on.
    Decides,
    /// It stays as it is.
    Leaves,
}

impl Move {
    /// The bucket that goes.
    pub fn moved_key(&self) -> BucketKey {
        BucketKey { device_id: self.from_device_id, ..self.key.clone() }
    }

    fn moved_key_ref(&self) -> BucketKeyRef<'_> {
        BucketKeyRef { device_id: self.from_device_id, ..self.key.borrowed() }
    }

    fn effect(&self) -> Effect {
        match self.seen {
            None => Effect::Inserts,
            Some(seen) if seen.counts == self.counts => Effect::Leaves,
            Some(_) => Effect::Decides,
        }
    }
}

/// What a rollback has given back of one move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// The first device has its bucket again.
    pub from: bool,
    /// The other device's bucket is what it was without the merge.
    pub into: bool,
}

/// Both buckets of a move, under their locks.
#[derive(Default)]
struct Pair {
    from: Option<LockedBucket>,
    into: Option<LockedBucket>,
}

impl Pair {
    /// Whether both are what the plan has seen.
    fn is_as_planned(&self, planned: &Move) -> bool {
        let version = |standing: &Option<LockedBucket>| standing.as_ref().map(|standing| standing.version);
        version(&self.from) == Some(planned.from_seen) && version(&self.into) == planned.seen
    }
}

/// Moves buckets. Returns one outcome for each move, in order; `None` while an owner erases usage,
/// so that the caller undoes its transaction and tries again. Both buckets of a move go together,
/// or both are left alone.
pub async fn move_in(tx: &mut Tx, job: Correcting<'_>, moves: &[Move]) -> Result<Option<Vec<Corrected>>, Problem> {
    if !erasure::hold_off_erasures(tx, &owners(moves)).await?.is_empty() {
        return Ok(None);
    }
    let pairs = lock_pairs(tx, moves).await?;
    let due: Vec<usize> = (0..moves.len()).filter(|at| pairs[*at].is_as_planned(&moves[*at])).collect();
    let those = |effect| due.iter().copied().filter(move |at| moves[*at].effect() == effect).collect::<Vec<_>>();
    let (inserting, deciding) = (those(Effect::Inserts), those(Effect::Decides));
    let inserted = insert_moved(tx, inserting.iter().map(|at| &moves[*at]), job).await?;
    save_pre_images(tx, deciding.iter().map(|at| moves[*at].key.borrowed()), job.backfill_id).await?;
    decide_buckets(tx, deciding.iter().map(|at| &moves[*at]), job).await?;
    // A bucket that a tracker has sent at this moment is left alone, and so is its pair.
    let went = |at: &usize| moves[*at].effect() != Effect::Inserts || inserted.contains(&moves[*at].key);
    let due: Vec<usize> = due.iter().copied().filter(went).collect();
    remove_moved(tx, due.iter().map(|at| moves[*at].moved_key_ref()), job).await?;
    let mut outcomes = vec![Corrected::Moved; moves.len()];
    for at in due {
        outcomes[at] = Corrected::Written;
    }
    Ok(Some(outcomes))
}

/// Gives moved buckets back. Returns what came back of each move, in order; `None` while an owner
/// erases usage. The other device's bucket gets its pre-image back while it has this job's mark.
/// The first device gets its bucket back unless it has another one by now; then both stay.
pub async fn give_back_in(tx: &mut Tx, job: Correcting<'_>, moves: &[Move]) -> Result<Option<Vec<Returned>>, Problem> {
    if !erasure::hold_off_erasures(tx, &owners(moves)).await?.is_empty() {
        return Ok(None);
    }
    let pairs = lock_pairs(tx, moves).await?;
    let free: Vec<usize> = (0..moves.len()).filter(|at| pairs[*at].from.is_none()).collect();
    let back = return_moved(tx, free.iter().map(|at| &moves[*at]), job).await?;
    let marked = |at: &usize| pairs[*at].into.as_ref().is_some_and(|into| into.backfill_id == Some(job.backfill_id));
    let marked: Vec<usize> = free.iter().copied().filter(marked).collect();
    if !marked.is_empty() {
        restore_buckets(tx, marked.iter().map(|at| moves[*at].key.borrowed()), job).await?;
    }
    let returned = |planned: &Move| Returned {
        from: back.contains(&planned.moved_key()),
        into: planned.effect() == Effect::Leaves,
    };
    let mut returned: Vec<Returned> = moves.iter().map(returned).collect();
    for at in marked {
        returned[at].into = true;
    }
    Ok(Some(returned))
}

fn owners(moves: &[Move]) -> Vec<Uuid> {
    moves.iter().map(|planned| planned.key.user_id).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Locks both buckets of every move, in the one order in which everybody locks them.
async fn lock_pairs(tx: &mut Tx, moves: &[Move]) -> Result<Vec<Pair>, Problem> {
    let mut keys = BTreeMap::new();
    for (at, planned) in moves.iter().enumerate() {
        keys.insert(planned.moved_key_ref(), (at, true));
        keys.insert(planned.key.borrowed(), (at, false));
    }
    let places: Vec<(usize, bool)> = keys.values().copied().collect();
    let mut pairs: Vec<Pair> = moves.iter().map(|_| Pair::default()).collect();
    for (position, standing) in lock_buckets(tx, keys.into_keys()).await? {
        let (at, is_from) = places[position];
        let place = if is_from { &mut pairs[at].from } else { &mut pairs[at].into };
        *place = Some(standing);
    }
    Ok(pairs)
}

/// Returns the keys of what was inserted.
async fn insert_moved<'a>(
    tx: &mut Tx,
    moves: impl Iterator<Item = &'a Move> + Clone,
    job: Correcting<'_>,
) -> Result<BTreeSet<BucketKey>, Problem> {
    let keys: BucketKeyColumns<'_> = moves.clone().map(Move::moved_key_ref).collect();
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = query_file_columns!(
        "src/kernel/usage/writer/insert_moved.sql",
        key_columns = keys,
        &moves.map(|planned| planned.key.device_id).collect::<Vec<_>>(),
        job.backfill_id,
        job.clock.change_time(),
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter().map(|row| key(row.user_id, row.hour_start, row.device_id, &row.source, &row.model)).collect()
}

async fn decide_buckets<'a>(
    tx: &mut Tx,
    moves: impl Iterator<Item = &'a Move> + Clone,
    job: Correcting<'_>,
) -> Result<(), Problem> {
    let keys: BucketKeyColumns<'_> = moves.clone().map(|planned| planned.key.borrowed()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let counts: CountColumns = moves.clone().map(|planned| planned.counts).collect();
    let observed_ats: Vec<_> = moves.map(|planned| stamp_after(planned.seen, job.executed_at)).collect();
    query_file_columns!(
        "src/kernel/usage/writer/decide_buckets.sql",
        key_columns = keys,
        count_columns = counts,
        &observed_ats,
        job.backfill_id,
        job.clock.change_time(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn remove_moved<'a>(
    tx: &mut Tx,
    keys: impl Iterator<Item = BucketKeyRef<'a>>,
    job: Correcting<'_>,
) -> Result<(), Problem> {
    let keys: BucketKeyColumns<'_> = keys.collect();
    if keys.is_empty() {
        return Ok(());
    }
    query_file_columns!(
        "src/kernel/usage/writer/remove_moved.sql",
        key_columns = keys,
        job.backfill_id,
        job.trace.traceparent(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the keys that are back.
async fn return_moved<'a>(
    tx: &mut Tx,
    moves: impl Iterator<Item = &'a Move> + Clone,
    job: Correcting<'_>,
) -> Result<BTreeSet<BucketKey>, Problem> {
    let keys: BucketKeyColumns<'_> = moves.clone().map(Move::moved_key_ref).collect();
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = query_file_columns!(
        "src/kernel/usage/writer/return_moved.sql",
        key_columns = keys,
        &moves.map(|planned| planned.key.device_id).collect::<Vec<_>>(),
        job.backfill_id,
        job.executed_at,
        job.clock.change_time(),
        job.trace.traceparent(),
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter().map(|row| key(row.user_id, row.hour_start, row.device_id, &row.source, &row.model)).collect()
}

fn key(
    user_id: Uuid,
    hour_start: chrono::DateTime<chrono::Utc>,
    device_id: Uuid,
    source: &str,
    model: &str,
) -> Result<BucketKey, Problem> {
    let key = BucketKeyRef { user_id, hour_start, device_id, source, model }.parse();
    key.ok_or_else(|| Problem::internal("a moved bucket has a key that is none"))
}
