//! What is special about a merge: how it is planned, and what goes with its execution and its way
//! back besides buckets. Its buckets are moved by the worker, pair by pair, as an import's are written.
//!
//! A merge moves what one device of a user has reported into another one: a machine that was
//! installed anew, or whose name has changed. The from-device has to be revoked before the
//! execution. A revocation is for good, and a merge can be taken back, so no merge revokes. What a
//! revoked device still sends, because a token is valid in memory for some seconds, is refused as
//! erased.
//!
//! Of two merges that share a device one is at work at a time: a lock of the user decides.

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::job::{Days, Job};
use super::pairing::{Merge, MergeOrder};
use crate::kernel::database::Tx;
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::erasure::{MergedScope, readmit_merged, refuse_merged, shut_out_writers};
use crate::kernel::usage::writer::{carry_kept, return_kept};

/// A merge moves this many buckets at most.
const MAX_PAIRS: i64 = 50_000;
/// So many merges of a user may wait for their execution, with all their rows.
const MAX_WAITING: i64 = 20;

/// Stages the rows of a merge. Errors: 404 for a device that the user does not have; 409 while the from-device has a
/// bucket of a half hour that has not ended, and for too many plans; 413 for too many buckets.
pub async fn stage(
    tx: &mut Tx,
    job_id: Uuid,
    user_id: Uuid,
    (order, days): (&MergeOrder, Days),
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let devices = store::merged_devices(tx, user_id, &device_ids(order)).await?;
    for (field, device_id) in [("/from_device_id", order.from_device_id), ("/into_device_id", order.into_device_id)] {
        if !devices.iter().any(|(found, _)| *found == device_id) {
            return Err(no_such_device(field));
        }
    }
    // The plan that is being made is one of them.
    if store::count_waiting_merges(tx, user_id).await? > MAX_WAITING {
        let detail = format!("{MAX_WAITING} merges are planned already; execute or cancel one.");
        return Err(Problem::new(Code::Conflict, detail));
    }
    let (buckets, newest) = store::measure_device(tx, user_id, order.from_device_id, days, MAX_PAIRS + 1).await?;
    if buckets > MAX_PAIRS {
        let detail = format!("A merge moves at most {MAX_PAIRS} buckets; make several, each with its `from` and `to`.");
        return Err(Problem::new(Code::BatchTooLarge, detail));
    }
    if let Some(end) = newest.map(|start| start + TimeDelta::minutes(30)).filter(|end| *end > now) {
        let detail =
            format!("The from-device has a bucket of a half hour that ends at {}; plan again then.", instant(end));
        return Err(Problem::new(Code::Conflict, detail));
    }
    store::stage_pairs(tx, job_id, user_id, order, days).await
}

/// Adds up what [`stage`] has staged, after the rows were added up as every plan's are.
pub async fn complete(
    tx: &mut Tx,
    job_id: Uuid,
    user_id: Uuid,
    (order, days): (&MergeOrder, Days),
) -> Result<(), Problem> {
    store::complete_merge(tx, job_id, user_id, order, days).await
}

/// Keeps writers of the user out, and finds out whether the merge may be executed now.
///
/// Errors: `plan_stale` where the from-device has got buckets since the plan; 409 while nobody has decided what different buckets are to say, while the from-device is active, and while
/// another merge is at work on one of the devices; 503 while the user's usage is being written without a pause.
pub async fn prepare(tx: &mut Tx, job: &Job, merge: &Merge) -> Result<(), Problem> {
    if merge.different > 0 && merge.order.resolve.is_none() {
        let detail = format!(
            "{} buckets differ between the devices; plan again with `resolve`: sum, larger, from or into.",
            merge.different
        );
        return Err(Problem::new(Code::Conflict, detail));
    }
    let user_id = owner(job)?;
    // What is read after it is as of after an erasure of the whole person, whose devices are gone.
    shut_out_writers(tx, user_id).await?;
    let devices = store::merged_devices(tx, user_id, &device_ids(&merge.order)).await?;
    if !devices.contains(&(merge.order.from_device_id, true)) {
        let detail = "The from-device is active and would go on counting by itself; revoke it, then execute this.";
        return Err(Problem::new(Code::Conflict, detail));
    }
    refuse_beside_another(tx, job, merge).await?;
    let (from, days) = (merge.order.from_device_id, job.days);
    let (buckets, _) = store::measure_device(tx, user_id, from, days, MAX_PAIRS + 1).await?;
    let unplanned = buckets - job.total;
    if unplanned > 0 {
        let detail = format!("The from-device has {unplanned} buckets more than when this was planned.");
        return Err(Problem::new(Code::PlanStale, detail));
    }
    Ok(())
}

/// What goes with the execution: the from-device is refused from now on, and what it has reported less is the other
/// one's. [`prepare`] has run in this transaction.
pub async fn begin(tx: &mut Tx, job: &Job, merge: &Merge, executed_at: DateTime<Utc>) -> Result<(), Problem> {
    let MergeOrder { from_device_id, into_device_id, .. } = merge.order;
    let (user_id, backfill_id) = (owner(job)?, job.job_id);
    let (first_hour, last_hour) = (job.days.first_hour(), job.days.last_hour());
    let scope = MergedScope { user_id, device_id: from_device_id, first_hour, last_hour, backfill_id };
    refuse_merged(tx, &scope, executed_at).await?;
    let carried = carry_kept(tx, user_id, from_device_id, into_device_id).await?;
    store::note_carried(tx, backfill_id, carried).await
}

/// What goes with the rollback: the opposite. Errors: 409 while another merge is at work on one of the devices, 503 as
/// [`prepare`].
pub async fn take_back(tx: &mut Tx, job: &Job, merge: &Merge) -> Result<(), Problem> {
    let user_id = owner(job)?;
    shut_out_writers(tx, user_id).await?;
    refuse_beside_another(tx, job, merge).await?;
    readmit_merged(tx, user_id, job.job_id).await?;
    // Nothing comes back of a person who was erased since.
    let is_there = !store::merged_devices(tx, user_id, &device_ids(&merge.order)).await?.is_empty();
    if let Some(carried) = merge.carried.filter(|_| is_there) {
        let MergeOrder { from_device_id, into_device_id, .. } = merge.order;
        return_kept(tx, user_id, from_device_id, into_device_id, carried).await?;
        store::note_carried(tx, job.job_id, None).await?;
    }
    Ok(())
}

async fn refuse_beside_another(tx: &mut Tx, job: &Job, merge: &Merge) -> Result<(), Problem> {
    match store::merges_at_work(tx, job.job_id, &device_ids(&merge.order)).await? {
        None => Ok(()),
        Some(other) => {
            let detail = format!("Merge {other} is at work on one of these devices; wait for its end.");
            Err(Problem::new(Code::Conflict, detail))
        }
    }
}

fn owner(job: &Job) -> Result<Uuid, Problem> {
    let users = job.user_ids.as_deref().unwrap_or_default();
    users.first().copied().ok_or_else(|| Problem::internal("a merge is of nobody"))
}

fn device_ids(order: &MergeOrder) -> [Uuid; 2] {
    [order.from_device_id, order.into_device_id]
}

fn no_such_device(field: &'static str) -> Problem {
    let violation = Violation::new(field, "unknown_device", "This user has no such device.");
    Problem::new(Code::NotFound, "This user has no such device; see errors.").violating(vec![violation])
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
