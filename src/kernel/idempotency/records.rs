//! The SQL of what is recorded under keys. One table holds the answers to posts, as verdicts, and those to other requests,
//! as they were sent.

use uuid::Uuid;

use super::key::{IdempotencyKey, KeyScope, RequestKey};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::problem::Problem;

/// Records removed in one transaction of the purge.
const PURGE_BATCH: i64 = 10_000;

/// What is known of a post's key in this transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has executed it, and nobody else can until this transaction ends.
    Mine,
    /// Another process executes it now.
    Running,
    /// It was executed.
    Recorded(Record),
}

/// An answer that was given to a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Of the request that it stands for.
    pub fingerprint: Vec<u8>,
    /// The request that was executed.
    pub request_id: Uuid,
    /// A byte a bucket.
    pub verdicts: Vec<u8>,
    /// As JSON.
    pub rejections: Option<String>,
}

/// An answer that was given to another request, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptAnswer {
    pub fingerprint: Vec<u8>,
    pub status: i16,
    /// The body, with a hole where a secret was.
    pub answer: String,
    pub etag: Option<String>,
    pub location: Option<String>,
    pub seed: Uuid,
    /// Of the secret.
    pub secret_hash: Option<Vec<u8>>,
}

impl IdempotencyKey {
    /// True where the record is of this request.
    pub fn matches(&self, record: &Record) -> bool {
        self.fingerprint.as_slice() == record.fingerprint
    }
}

/// Claims keys for this transaction, one answer each, in order. A key that another process holds is not waited for.
pub async fn claim_keys(tx: &mut Tx, user_ids: &[Uuid], keys: &[&IdempotencyKey]) -> Result<Vec<Claim>, sqlx::Error> {
    let scopes: Vec<Vec<u8>> = keys.iter().map(|key| key.scope.to_vec()).collect();
    let locked = lock_keys(tx, &scopes).await?;
    // In a statement of its own: its snapshot must be newer than the locks.
    let mut claims: Vec<Claim> =
        locked.into_iter().map(|locked| if locked { Claim::Mine } else { Claim::Running }).collect();
    for (position, record) in recorded_keys(tx, user_ids, &scopes).await? {
        if let Some(claim) = claims.get_mut(position)
            && *claim == Claim::Mine
        {
            *claim = Claim::Recorded(record);
        }
    }
    Ok(claims)
}

/// Claims one key for this transaction. False where another request with it is being executed.
pub(super) async fn claim_key(tx: &mut Tx, scope: &KeyScope) -> Result<bool, sqlx::Error> {
    Ok(lock_keys(tx, &[scope.to_vec()]).await? == [true])
}

async fn lock_keys(tx: &mut Tx, scopes: &[Vec<u8>]) -> Result<Vec<bool>, sqlx::Error> {
    sqlx::query_file_scalar!("src/kernel/idempotency/lock_keys.sql", scopes).fetch_all(tx).await
}

async fn recorded_keys(
    tx: &mut Tx,
    user_ids: &[Uuid],
    scopes: &[Vec<u8>],
) -> Result<Vec<(usize, Record)>, sqlx::Error> {
    let rows = sqlx::query_file!("src/kernel/idempotency/recorded_keys.sql", user_ids, scopes).fetch_all(tx).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let position = usize::try_from(row.position).ok()?.checked_sub(1)?;
            let record = Record {
                fingerprint: row.fingerprint,
                request_id: row.request_id,
                verdicts: row.verdicts,
                rejections: row.rejections,
            };
            Some((position, record))
        })
        .collect())
}

/// The answer that a request other than a post got before.
pub(super) async fn find_answer(tx: &mut Tx, key: &RequestKey) -> Result<Option<KeptAnswer>, sqlx::Error> {
    let (user_id, scope) = (key.user_id, key.scope.as_slice());
    let row = sqlx::query_file_as!(KeptAnswer, "src/kernel/idempotency/find_answer.sql", user_id, scope);
    row.fetch_optional(tx).await
}

/// An answer to a post that is to be recorded.
#[derive(Clone, Debug)]
pub struct NewRecord<'a> {
    /// Under which key.
    pub key: &'a IdempotencyKey,
    /// Whose post it was.
    pub user_id: Uuid,
    /// Of which device.
    pub device_id: Uuid,
    /// The request that was executed.
    pub request_id: Uuid,
    /// A byte a bucket.
    pub verdicts: Vec<u8>,
    /// As JSON.
    pub rejections: Option<String>,
}

/// Records the answers to posts, whose keys are distinct and claimed, and forgets a device's oldest ones beyond a thousand.
pub async fn record_posts(tx: &mut Tx, records: &[NewRecord<'_>]) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let bytes = |of: fn(&IdempotencyKey) -> &[u8; 32]| {
        records.iter().map(move |record| of(record.key).to_vec()).collect::<Vec<_>>()
    };
    let full = sqlx::query_file_as!(
        FullDevice,
        "src/kernel/idempotency/record_posts.sql",
        &records.iter().map(|record| record.user_id).collect::<Vec<_>>(),
        &bytes(|key| &key.scope),
        &records.iter().map(|record| record.device_id).collect::<Vec<_>>(),
        &bytes(|key| &key.fingerprint),
        &records.iter().map(|record| record.request_id).collect::<Vec<_>>(),
        &records.iter().map(|record| record.verdicts.clone()).collect::<Vec<_>>(),
        &records.iter().map(|record| record.rejections.clone()).collect::<Vec<_>>() as &[Option<String>],
    )
    .fetch_all(&mut *tx)
    .await?;
    if full.is_empty() { Ok(()) } else { forget_posts(tx, &full).await }
}

/// A device that may have more than a thousand answers, after a batch.
#[derive(Clone, Debug)]
struct FullDevice {
    user_id: Uuid,
    device_id: Uuid,
    /// How many of its answers the batch recorded.
    recorded: i64,
    /// The number of the newest.
    newest: i64,
    /// Whether numbers do not say which are the oldest.
    is_looked_through: bool,
}

async fn forget_posts(tx: &mut Tx, devices: &[FullDevice]) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/kernel/idempotency/forget_posts.sql",
        &devices.iter().map(|device| device.user_id).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.device_id).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.recorded).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.newest).collect::<Vec<_>>(),
        &devices.iter().map(|device| device.is_looked_through).collect::<Vec<_>>(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Records the answer to another request, and forgets the user's oldest ones beyond a thousand.
pub(super) async fn record_answer(
    tx: &mut Tx,
    key: &RequestKey,
    request_id: Uuid,
    answer: &KeptAnswer,
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/kernel/idempotency/record_answer.sql",
        key.user_id,
        key.scope.as_slice(),
        key.fingerprint.as_slice(),
        request_id,
        answer.status,
        answer.answer.as_str(),
        answer.etag.as_deref(),
        answer.location.as_deref(),
        answer.seed,
        answer.secret_hash.as_deref(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes records older than 24 hours, in short transactions. Returns how many there were.
pub async fn purge(pool: &Pool, context: &RequestContext) -> Result<u64, Problem> {
    let mut purged = 0;
    loop {
        let mut tx = pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let rows = purge_keys(&mut tx, PURGE_BATCH).await?;
        tx.commit().await?;
        purged += rows;
        if rows < PURGE_BATCH.unsigned_abs() {
            return Ok(purged);
        }
    }
}

async fn purge_keys(tx: &mut Tx, limit: i64) -> Result<u64, sqlx::Error> {
    Ok(sqlx::query_file!("src/kernel/idempotency/purge_keys.sql", limit).execute(tx).await?.rows_affected())
}
