//! `Idempotency-Key`: a request that is repeated under its key gets its first answer. The record is written in the
//! transaction that executes the request; across processes an advisory lock keeps two from executing at once.

use axum::http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::kernel::access::Device;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::problem::{Code, Problem};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is of an earlier execution.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Records removed in one transaction of the purge.
const PURGE_BATCH: i64 = 10_000;

/// Where a key is valid: SHA-256 of principal, method, path and key.
pub type KeyScope = [u8; 32];

/// A key and the request it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    scope: KeyScope,
    fingerprint: [u8; 32],
}

/// What is known of a key in this transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has executed it, and nobody else can until this transaction ends.
    Mine,
    /// Another process executes it now.
    Running,
    /// It was executed.
    Recorded(Record),
}

/// An answer that was given.
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

impl IdempotencyKey {
    /// Reads the header: 1 to 255 printable ASCII characters, with or without the quotes of RFC 8941. `request` are the
    /// parts that make two requests the same. `None` where there is no key. Errors: 400 for a malformed or second one.
    pub fn read(headers: &HeaderMap, device: &Device, place: &str, request: &[&[u8]]) -> Result<Option<Self>, Problem> {
        let Some(text) = key_text(headers)? else { return Ok(None) };
        let scope = digest(&[device.device_id().as_bytes(), place.as_bytes(), text]);
        Ok(Some(Self { scope, fingerprint: digest(request) }))
    }

    /// Where the key is valid.
    pub const fn scope(&self) -> &KeyScope {
        &self.scope
    }

    /// True for a repetition of the same request under the same key.
    pub fn same_request(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// True where the record is of this request.
    pub fn matches(&self, record: &Record) -> bool {
        self.fingerprint.as_slice() == record.fingerprint
    }
}

/// The key of the header, without its quotes; `None` where there is none. Errors: 400 for a malformed or second one.
pub fn key_text(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("Send one Idempotency-Key, not several."));
    }
    let text = unquoted(value.as_bytes());
    let printable = text.iter().all(|byte| (0x20..=0x7e).contains(byte));
    if !printable || !(1..=255).contains(&text.len()) {
        return Err(malformed("An Idempotency-Key has 1 to 255 printable ASCII characters."));
    }
    Ok(Some(text))
}

/// 422: the key stands for another request.
pub fn key_reused() -> Problem {
    Problem::new(Code::IdempotencyKeyReused, "This Idempotency-Key was used for another request; take a new one.")
}

/// 409: the request with this key is being executed.
pub fn key_in_progress() -> Problem {
    Problem::new(Code::IdempotencyInProgress, "The request with this Idempotency-Key is being executed.")
}

/// Refuses a key on a route that keeps none: its caller would trust a promise that nobody made.
pub fn refuse_key(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(malformed("This route takes no Idempotency-Key; leave the header out."));
    }
    Ok(())
}

fn malformed(detail: &'static str) -> Problem {
    Problem::new(Code::Malformed, detail)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// SHA-256 over parts whose lengths are part of it, so that no two lists of parts look alike.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
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

async fn lock_keys(tx: &mut Tx, scopes: &[Vec<u8>]) -> Result<Vec<bool>, sqlx::Error> {
    sqlx::query_file_scalar!("src/kernel/usage/idempotency/lock_keys.sql", scopes).fetch_all(tx).await
}

async fn recorded_keys(
    tx: &mut Tx,
    user_ids: &[Uuid],
    scopes: &[Vec<u8>],
) -> Result<Vec<(usize, Record)>, sqlx::Error> {
    let rows =
        sqlx::query_file!("src/kernel/usage/idempotency/recorded_keys.sql", user_ids, scopes).fetch_all(tx).await?;
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

/// Records an answer, and forgets the device's oldest ones beyond a thousand.
pub async fn record_key(
    tx: &mut Tx,
    key: &IdempotencyKey,
    user_id: Uuid,
    device_id: Uuid,
    request_id: Uuid,
    verdicts: &[u8],
    rejections: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query_file!(
        "src/kernel/usage/idempotency/record_key.sql",
        user_id,
        key.scope.as_slice(),
        device_id,
        key.fingerprint.as_slice(),
        request_id,
        verdicts,
        rejections,
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
    Ok(sqlx::query_file!("src/kernel/usage/idempotency/purge_keys.sql", limit).execute(tx).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_a_key_do_not_count_and_parts_do_not_run_together() {
        assert_eq!(unquoted(b"\"abc\""), b"abc");
        assert_eq!(unquoted(b"\"\""), b"");
        assert_eq!(unquoted(b"\""), b"\"");
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
