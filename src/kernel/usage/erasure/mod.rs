//! An owner's deletion of usage. It cannot be taken back.
//!
//! An erasure removes buckets, and the versions of them that corrections hide. It leaves a record
//! behind by which snapshots of its scope that were taken before it are refused for good, so that
//! no retry brings anything back.
//!
//! A post whose statement began before the erasure commits would neither see the erasure nor be
//! seen by it. Whoever writes buckets therefore first holds off erasures of their users, without
//! waiting ([`hold_off_erasures`]). An erasure waits for those who write, and keeps others out
//! ([`erase`]). Only posts of that very user are told to come back, and nobody else waits.
//!
//! A person who is erased leaves an erasure of everything without an end ([`erase_for_good`]). By it
//! the writer refuses whatever comes of that id, while [`forget_some`] removes what stands.
//!
//! A merge of a device into another one leaves such a record behind, too, so that no retry doubles
//! what was moved ([`refuse_merged`]). That one is not for good: the rollback of the merge removes
//! it ([`readmit_merged`]).

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::outbox::{ErasedScope, publish_erased};
use crate::kernel::bucket::Source;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Tx, is_lock_timeout};
use crate::kernel::problem::{Code, Problem};

/// How many erasures a user may have that none of the others covers: the writer looks at all of them.
pub const MAX_ERASURES: i64 = 100;

/// The first half of the advisory lock's key; the second is a hash of the user's id. Writers of a user's buckets share the
/// lock, and an erasure holds it alone. Two releases that run side by side must agree on this number.
const ERASURE_LOCK: i32 = 1_701_999_987;

/// Up to when snapshots of an erased person are refused, in seconds: the end of the year 9999. No tracker's stamp is as late.
const FOR_GOOD_S: i64 = 253_402_300_799;

/// Rows that one transaction removes of an erased person.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// What is stored of one person, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersonUsage {
    /// Buckets.
    pub buckets: i64,
    /// Versions of buckets that corrections hide.
    pub hidden_versions: i64,
    /// Answers kept for an `Idempotency-Key`.
    pub stored_answers: i64,
    /// Changes that are not folded yet.
    pub events: i64,
}

/// How long a device that was merged is refused by its record. A token that was revoked before the merge is refused
/// within ten seconds, and no stamp is ahead by more than five minutes, so nothing that the device still sends is later.
const MERGED_REFUSED_FOR: TimeDelta = TimeDelta::minutes(6);

/// What went, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many buckets.
    pub buckets: i64,
    /// The first half hour of them.
    pub first_hour: Option<DateTime<Utc>>,
    /// The last half hour of them.
    pub last_hour: Option<DateTime<Utc>>,
}

/// What went of one device.
#[derive(Debug)]
struct ErasedDevice {
    device_id: Uuid,
    buckets: i64,
    first_hour: DateTime<Utc>,
    last_hour: DateTime<Utc>,
    newest: DateTime<Utc>,
}

/// Holds off erasures of these users until the transaction ends: for everyone who is about to write their buckets, in a
/// statement before the one that writes. Returns the users who are being erased at this moment, whose buckets must not
/// be written in this transaction.
pub async fn hold_off_erasures(tx: &mut Tx, user_ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    let query = sqlx::query_file_scalar!("src/kernel/usage/erasure/hold_off_erasures.sql", user_ids, ERASURE_LOCK);
    query.fetch_all(tx).await
}

/// What a post of such a user is told: 503 with `Retry-After`.
pub fn under_way() -> Problem {
    Problem::new(Code::DatabaseConflict, "The owner of these buckets is deleting usage at this moment.")
}

/// What [`erase`] would remove now. Access: the user itself.
pub async fn count_erasable(tx: &mut Tx, scope: &ErasedScope) -> Result<Erased, sqlx::Error> {
    let counted = sqlx::query_file_as!(
        Erased,
        "src/kernel/usage/erasure/count_erasable.sql",
        scope.user_id,
        scope.device_id,
        scope.source.as_ref().map(Source::as_str),
        scope.first_hour,
        scope.last_hour,
    );
    counted.fetch_one(tx).await
}

/// Removes the scope's buckets, pre-images and records of the ledger, records the erasure and announces it, in the caller's transaction. Returns
/// what went, and the instant up to which snapshots are refused from now on; what a device stored with a later stamp,
/// because its clock is fast, is refused as well. Irreversible once committed. Access: the user itself.
///
/// Errors: 409 for too many erasures, 503 where writers do not come to an end.
pub async fn erase(
    tx: &mut Tx,
    scope: &ErasedScope,
    clock: &Clock,
    cause: &RequestContext,
) -> Result<(Erased, DateTime<Utc>), Problem> {
    shut_out_writers(tx, scope.user_id).await?;
    // From here on every later post has a later stamp, and every earlier one is seen.
    let erased_at = clock.stamp();
    let devices = erase_buckets(tx, scope).await?;
    erase_pre_images(tx, scope).await?;
    erase_records(tx, scope, erased_at).await?;
    let fast = devices.iter().filter(|device| device.newest > erased_at);
    let mut erasures = vec![(Uuid::now_v7(), scope.device_id, erased_at)];
    erasures.extend(fast.map(|device| (Uuid::now_v7(), Some(device.device_id), device.newest)));
    if record_erasures(tx, scope, &erasures).await? > MAX_ERASURES {
        let detail = "There are too many separate deletions: delete a wider scope, which covers them.";
        return Err(Problem::new(Code::Conflict, detail));
    }
    publish_erased(tx, *scope, cause).await?;
    Ok((sum(&devices), erased_at))
}

/// Waits until nobody writes this user's buckets, and keeps writers out until the transaction ends. Whoever asks again in the
/// same transaction has it already. Errors: 503 where writers do not come to an end.
pub async fn shut_out_writers(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    lock_out_writers(tx, user_id).await.map_err(busy)
}

/// Has everything of this user refused for good, whenever it was observed. What stands is for [`forget_some`]. Access: the
/// user itself. Errors: 503 where writers do not come to an end.
pub async fn erase_for_good(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    shut_out_writers(tx, user_id).await?;
    let everything = ErasedScope { user_id, device_id: None, source: None, first_hour: None, last_hour: None };
    let for_good = DateTime::from_timestamp_secs(FOR_GOOD_S).unwrap_or(DateTime::<Utc>::MAX_UTC);
    record_erasures(tx, &everything, &[(Uuid::now_v7(), None, for_good)]).await?;
    Ok(())
}

/// What is stored of one person. Access: the worker.
pub async fn count_of_person(tx: &mut Tx, user_id: Uuid) -> Result<PersonUsage, sqlx::Error> {
    let counted = sqlx::query_file_as!(PersonUsage, "src/kernel/usage/erasure/count_of_person.sql", user_id);
    counted.fetch_one(tx).await
}

/// Removes some of what is stored of a person who was erased, in the caller's transaction, and one person's only in one
/// transaction at a time. Returns the number of rows; 0 where nothing was left. Jobs must have no rows of that person any
/// more. Access: the worker. Errors: the database's; 503 where another transaction holds the person for too long.
pub async fn forget_some(tx: &mut Tx, user_id: Uuid) -> Result<(PersonUsage, i64), Problem> {
    // Who waits here sees in its next statement what the other one has left.
    shut_out_writers(tx, user_id).await?;
    let buckets = forget_buckets(tx, user_id, FORGOTTEN_AT_ONCE).await?;
    if buckets > 0 {
        return Ok((PersonUsage { buckets, ..PersonUsage::default() }, buckets));
    }
    let hidden_versions = forget_pre_images(tx, user_id, FORGOTTEN_AT_ONCE).await?;
    if hidden_versions > 0 {
        return Ok((PersonUsage { hidden_versions, ..PersonUsage::default() }, hidden_versions));
    }
    let records = forget_records(tx, user_id, FORGOTTEN_AT_ONCE).await?;
    if records > 0 {
        return Ok((PersonUsage::default(), records));
    }
    let stored_answers = forget_answers(tx, user_id, FORGOTTEN_AT_ONCE).await?;
    let events = forget_events(tx, user_id, FORGOTTEN_AT_ONCE).await?;
    let marks = forget_marks(tx, user_id).await?;
    let forgotten = PersonUsage { stored_answers, events, ..PersonUsage::default() };
    Ok((forgotten, stored_answers + events + marks))
}

async fn forget_buckets(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<i64, sqlx::Error> {
    let gone = sqlx::query_file!("src/kernel/usage/erasure/forget_buckets.sql", user_id, limit).execute(tx).await?;
    Ok(rows(&gone))
}

async fn forget_pre_images(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<i64, sqlx::Error> {
    let gone = sqlx::query_file!("src/kernel/usage/erasure/forget_pre_images.sql", user_id, limit).execute(tx).await?;
    Ok(rows(&gone))
}

async fn forget_records(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<i64, sqlx::Error> {
    let gone = sqlx::query_file!("src/kernel/usage/erasure/forget_records.sql", user_id, limit).execute(tx).await?;
    Ok(rows(&gone))
}

async fn forget_answers(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<i64, sqlx::Error> {
    let gone = sqlx::query_file!("src/kernel/usage/erasure/forget_answers.sql", user_id, limit).execute(tx).await?;
    Ok(rows(&gone))
}

async fn forget_events(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<i64, sqlx::Error> {
    let gone = sqlx::query_file!("src/kernel/usage/erasure/forget_events.sql", user_id, limit).execute(tx).await?;
    Ok(rows(&gone))
}

async fn forget_marks(tx: &mut Tx, user_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_file_scalar!("src/kernel/usage/erasure/forget_marks.sql", user_id).fetch_one(tx).await
}

fn rows(gone: &sqlx::postgres::PgQueryResult) -> i64 {
    i64::try_from(gone.rows_affected()).unwrap_or(i64::MAX)
}

/// What a merge takes from a device.
#[derive(Clone, Copy, Debug)]
pub struct MergedScope {
    /// The owner.
    pub user_id: Uuid,
    /// The device.
    pub device_id: Uuid,
    /// The first half hour.
    pub first_hour: DateTime<Utc>,
    /// The last one.
    pub last_hour: DateTime<Utc>,
    /// The merge.
    pub backfill_id: Uuid,
}

/// Refuses snapshots of a device whose usage is merged into another one from now on. Writers are kept out. Errors: 409
/// for too many records.
pub async fn refuse_merged(tx: &mut Tx, scope: &MergedScope, executed_at: DateTime<Utc>) -> Result<(), Problem> {
    if record_merge(tx, scope, executed_at).await? > MAX_ERASURES {
        let detail = "There are too many separate deletions and merges: delete a scope that covers the deletions.";
        return Err(Problem::new(Code::Conflict, detail));
    }
    Ok(())
}

/// Takes snapshots of such a device again.
pub async fn readmit_merged(tx: &mut Tx, user_id: Uuid, backfill_id: Uuid) -> Result<(), Problem> {
    Ok(forget_merge(tx, user_id, backfill_id).await?)
}

fn sum(devices: &[ErasedDevice]) -> Erased {
    Erased {
        buckets: devices.iter().map(|device| device.buckets).sum(),
        first_hour: devices.iter().map(|device| device.first_hour).min(),
        last_hour: devices.iter().map(|device| device.last_hour).max(),
    }
}

fn busy(error: sqlx::Error) -> Problem {
    if is_lock_timeout(&error) {
        let detail = "This usage is being written without a pause; nothing was deleted.";
        return Problem::new(Code::DatabaseConflict, detail).because(error);
    }
    error.into()
}

async fn lock_out_writers(tx: &mut Tx, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query_file!("src/kernel/usage/erasure/lock_out_writers.sql", user_id, ERASURE_LOCK).execute(tx).await?;
    Ok(())
}

async fn erase_buckets(tx: &mut Tx, scope: &ErasedScope) -> Result<Vec<ErasedDevice>, sqlx::Error> {
    let erased = sqlx::query_file_as!(
        ErasedDevice,
        "src/kernel/usage/erasure/erase_buckets.sql",
        scope.user_id,
        scope.device_id,
        scope.source.as_ref().map(Source::as_str),
        scope.first_hour,
        scope.last_hour,
    );
    erased.fetch_all(tx).await
}

async fn erase_pre_images(tx: &mut Tx, scope: &ErasedScope) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/kernel/usage/erasure/erase_pre_images.sql",
        scope.user_id,
        scope.device_id,
        scope.source.as_ref().map(Source::as_str),
        scope.first_hour,
        scope.last_hour,
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn erase_records(tx: &mut Tx, scope: &ErasedScope, erased_at: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/kernel/usage/erasure/erase_records.sql",
        scope.user_id,
        scope.device_id,
        scope.source.as_ref().map(Source::as_str),
        scope.first_hour,
        scope.last_hour,
        erased_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How many erasures the user has then.
async fn record_erasures(
    tx: &mut Tx,
    scope: &ErasedScope,
    erasures: &[(Uuid, Option<Uuid>, DateTime<Utc>)],
) -> Result<i64, sqlx::Error> {
    let erasure_ids: Vec<Uuid> = erasures.iter().map(|erasure| erasure.0).collect();
    let device_ids: Vec<Option<Uuid>> = erasures.iter().map(|erasure| erasure.1).collect();
    let erased_ats: Vec<DateTime<Utc>> = erasures.iter().map(|erasure| erasure.2).collect();
    let recorded = sqlx::query_file_scalar!(
        "src/kernel/usage/erasure/record_erasures.sql",
        scope.user_id,
        &erasure_ids,
        &device_ids as &[Option<Uuid>],
        &erased_ats,
        scope.source.as_ref().map(Source::as_str),
        scope.first_hour,
        scope.last_hour,
    );
    recorded.fetch_one(tx).await
}

/// How many records the user has then.
async fn record_merge(tx: &mut Tx, scope: &MergedScope, executed_at: DateTime<Utc>) -> Result<i64, sqlx::Error> {
    let recorded = sqlx::query_file_scalar!(
        "src/kernel/usage/erasure/record_merge.sql",
        scope.user_id,
        Uuid::now_v7(),
        scope.device_id,
        executed_at + MERGED_REFUSED_FOR,
        scope.first_hour,
        scope.last_hour,
        scope.backfill_id,
        executed_at,
    );
    recorded.fetch_one(tx).await
}

async fn forget_merge(tx: &mut Tx, user_id: Uuid, backfill_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query_file!("src/kernel/usage/erasure/forget_merge.sql", user_id, backfill_id).execute(tx).await?;
    Ok(())
}
