//! The SQL of link codes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::devices::refusal;
use super::request::Exchange;
use crate::kernel::access::{Token, erased_user};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// A device was made.
    Exchanged {
        /// The owner.
        user_id: Uuid,
        /// The new device.
        device_id: Uuid,
    },
    /// The same request did it before.
    Replayed {
        /// The device that was made then.
        device_id: Uuid,
    },
    /// The code is unknown, used or expired. The caller is not told which.
    Refused,
}

/// Makes the next maker of a code for this user wait. Errors: 401 the user was erased.
pub async fn lock_maker(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    let row = sqlx::query_file!("src/features/accounts/linking/lock_maker.sql", user_id).fetch_optional(tx).await?;
    row.map(|_| ()).ok_or_else(erased_user)
}

/// False where the user has `limit` usable codes already. [`lock_maker`] has run in this transaction.
pub async fn insert_link_code(
    tx: &mut Tx,
    code_hash: &[u8],
    user_id: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    limit: i64,
) -> Result<bool, Problem> {
    let inserted = sqlx::query_file!(
        "src/features/accounts/linking/insert_link_code.sql",
        code_hash,
        user_id,
        created_at,
        expires_at,
        limit
    )
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Those of some codes that a user has been given, by their hashes, and whether each was used. [`lock_maker`] has run in
/// this transaction.
pub async fn standing_link_codes(
    tx: &mut Tx,
    user_id: Uuid,
    code_hashes: &[Vec<u8>],
) -> Result<Vec<(Vec<u8>, bool)>, Problem> {
    let rows = sqlx::query_file!("src/features/accounts/linking/standing_link_codes.sql", user_id, code_hashes);
    let rows = rows.fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.code_hash, row.is_used)).collect())
}

/// Exchanges a code where that can be done. Errors: 409 for a device's name in use.
pub async fn exchange_link_code(
    tx: &mut Tx,
    exchange: &Exchange,
    token: &Token,
    new_ids: (Uuid, Uuid),
    now: DateTime<Utc>,
) -> Result<ExchangeOutcome, Problem> {
    let (device_id, token_id) = new_ids;
    let (code_hash, request_hash, token_hash) = (exchange.code.hash(), exchange.request_id.hash(), token.hash());
    let row = sqlx::query_file!(
        "src/features/accounts/linking/exchange_link_code.sql",
        code_hash.as_slice(),
        request_hash.as_slice(),
        token_hash.as_bytes(),
        device_id,
        token_id,
        exchange.device_name,
        exchange.platform,
        now,
    )
    .fetch_one(tx)
    .await
    .map_err(|error| refusal(error, "/device_name"))?;
    Ok(match (row.outcome.as_str(), row.user_id, row.device_id) {
        ("exchanged", Some(user_id), Some(device_id)) => ExchangeOutcome::Exchanged { user_id, device_id },
        ("replayed", _, Some(device_id)) => ExchangeOutcome::Replayed { device_id },
        _ => ExchangeOutcome::Refused,
    })
}

/// Removes link codes that expired a day ago.
pub async fn purge_link_codes(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/linking/purge_link_codes.sql", now).execute(tx).await?;
    Ok(())
}
