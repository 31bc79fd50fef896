//! The SQL of pairings. Constraints that say that somebody was faster become [`Enrolling::Raced`].

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::devices::refusal;
use crate::kernel::access::Token;
use crate::kernel::database::{Tx, broken_constraint};
use crate::kernel::dialect::Newcomer;
use crate::kernel::problem::Problem;

/// What became of an attempt to be enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrolling {
    /// The device has its token.
    Enrolled {
        /// The owner.
        user_id: Uuid,
        /// The device.
        device_id: Uuid,
        /// True where the same request did it before.
        replayed: bool,
    },
    /// The code is not known.
    Unknown,
    /// The code was used by another request, or has expired.
    Refused,
    /// Another transaction took the name or the machine first: the same again will do.
    Raced,
}

/// The hashes of a code and of the request that meets it.
#[derive(Clone, Copy, Debug)]
pub struct Hashes {
    /// Of the code.
    pub code: [u8; 32],
    /// Of the request.
    pub request: [u8; 32],
}

/// False where the user has `limit` usable codes already, or somebody has approved it before.
pub async fn approve_pairing(
    tx: &mut Tx,
    code_hash: &[u8],
    user_id: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    limit: i64,
) -> Result<bool, Problem> {
    let inserted = sqlx::query_file!(
        "src/features/accounts/pairing/approve_pairing.sql",
        code_hash,
        user_id,
        created_at,
        expires_at,
        limit
    );
    Ok(inserted.execute(tx).await?.rows_affected() == 1)
}

/// Until when an approval of this user can be used; `None` where there is none.
pub async fn find_approval(tx: &mut Tx, code_hash: &[u8], user_id: Uuid) -> Result<Option<DateTime<Utc>>, Problem> {
    let found = sqlx::query_file_scalar!("src/features/accounts/pairing/find_approval.sql", code_hash, user_id);
    Ok(found.fetch_optional(tx).await?)
}

/// Turns a code into a device's token, once.
pub async fn enrol_device(
    tx: &mut Tx,
    hashes: &Hashes,
    token: &Token,
    (device_id, token_id): (Uuid, Uuid),
    newcomer: &Newcomer,
    now: DateTime<Utc>,
) -> Result<Enrolling, Problem> {
    let token_hash = token.hash();
    let row = sqlx::query_file!(
        "src/features/accounts/pairing/enrol_device.sql",
        hashes.code.as_slice(),
        hashes.request.as_slice(),
        token_hash.as_bytes(),
        device_id,
        token_id,
        newcomer.name,
        newcomer.platform,
        newcomer.machine.as_ref().map(<[u8; 32]>::as_slice),
        now,
    );
    let row = match row.fetch_one(tx).await {
        Ok(row) => row,
        Err(error) if is_race(&error) => return Ok(Enrolling::Raced),
        Err(error) => return Err(refusal(error, "/device_name")),
    };
    Ok(match (row.outcome.as_str(), row.user_id, row.device_id) {
        ("exchanged", Some(user_id), Some(device_id)) => Enrolling::Enrolled { user_id, device_id, replayed: false },
        ("replayed", Some(user_id), Some(device_id)) => Enrolling::Enrolled { user_id, device_id, replayed: true },
        ("unknown", ..) => Enrolling::Unknown,
        _ => Enrolling::Refused,
    })
}

/// The active device of that machine.
pub async fn find_machine(tx: &mut Tx, user_id: Uuid, machine: &[u8; 32]) -> Result<Option<Uuid>, Problem> {
    let found = sqlx::query_file_scalar!("src/features/accounts/pairing/find_machine.sql", user_id, machine.as_slice());
    Ok(found.fetch_optional(tx).await?)
}

/// Adds a device. `None` where another transaction took the name or the machine first; false where the user has `limit`
/// active ones already.
pub async fn insert_numbered_device(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Uuid,
    newcomer: &Newcomer,
    limit: i64,
) -> Result<Option<bool>, Problem> {
    let inserted = sqlx::query_file!(
        "src/features/accounts/pairing/insert_numbered_device.sql",
        user_id,
        device_id,
        newcomer.name,
        newcomer.platform,
        newcomer.machine.as_ref().map(<[u8; 32]>::as_slice),
        limit
    );
    match inserted.execute(tx).await {
        Ok(done) => Ok(Some(done.rows_affected() == 1)),
        Err(error) if is_race(&error) => Ok(None),
        Err(error) => Err(refusal(error, "/device_name")),
    }
}

fn is_race(error: &sqlx::Error) -> bool {
    let races = ["device_name_is_unique_while_active", "device_machine_is_unique_while_active"];
    broken_constraint(error).is_some_and(|constraint| races.contains(&constraint))
}
