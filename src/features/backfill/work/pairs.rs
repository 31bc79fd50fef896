//! Pairs of a merge within a step: moved, or given back. Both say what did not go as planned; `None` while an owner
//! erases usage, so that the step is undone and tried again.

use super::super::job::{Exception, ExceptionKind, Job};
use super::store;
use crate::kernel::bucket::BucketKey;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::corrections::{Corrected, Correcting};
use crate::kernel::usage::writer::moves::{Move, Returned, give_back_in, move_in};

/// Moves pairs. A pair of which one bucket has changed is left alone, and listed by the bucket of the from-device.
pub(super) async fn take(
    tx: &mut Tx,
    correcting: Correcting<'_>,
    pairs: &[Move],
) -> Result<Option<Vec<Exception>>, Problem> {
    let Some(outcomes) = move_in(tx, correcting, pairs).await? else { return Ok(None) };
    let skipped = pairs.iter().zip(outcomes).filter(|(_, outcome)| *outcome != Corrected::Written);
    Ok(Some(skipped.map(|(pair, _)| Exception::of(ExceptionKind::Skipped, pair.moved_key(), "moved")).collect()))
}

/// Gives back what the execution has moved. What is not as it was before is listed, either device's bucket by itself;
/// but a second rollback only strikes from the list what it has given back.
pub(super) async fn give_back(
    tx: &mut Tx,
    correcting: Correcting<'_>,
    job: &Job,
    pairs: &[Move],
) -> Result<Option<Vec<Exception>>, Problem> {
    let keys: Vec<BucketKey> = pairs.iter().map(Move::moved_key).collect();
    let untouched = store::untouched_rows(tx, job.job_id, &keys).await?;
    let moved = (0..pairs.len()).filter(|at| !untouched.contains(at));
    let moved: Vec<Move> = moved.map(|at| pairs[at].clone()).collect();
    let Some(returned) = give_back_in(tx, correcting, &moved).await? else { return Ok(None) };
    if job.rollbacks > 1 {
        let struck: Vec<BucketKey> = listed(&moved, &returned, true).collect();
        store::strike_kept_rows(tx, job.job_id, &struck).await?;
        return Ok(Some(Vec::new()));
    }
    let kept = listed(&moved, &returned, false).map(|key| Exception::of(ExceptionKind::Kept, key, "changed_since"));
    Ok(Some(kept.collect()))
}

/// The buckets that are back, or those that are not.
fn listed<'a>(pairs: &'a [Move], returned: &'a [Returned], is_back: bool) -> impl Iterator<Item = BucketKey> + 'a {
    pairs.iter().zip(returned).flat_map(move |(pair, returned)| {
        let from = (returned.from == is_back).then(|| pair.moved_key());
        let into = (returned.into == is_back).then(|| pair.key.clone());
        from.into_iter().chain(into)
    })
}
