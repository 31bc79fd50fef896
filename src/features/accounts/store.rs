//! The SQL of accounts. Named constraints become problems here and nowhere else.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::directory::{DeviceListing, TokenListing, UserListing};
use super::linking::ExchangeOutcome;
use super::request::Exchange;
use crate::kernel::access::{Token, TokenKind};
use crate::kernel::database::{Tx, broken_constraint};
use crate::kernel::http::values::UNKNOWN_TIME_ZONE;
use crate::kernel::problem::{Code, Problem, Violation};

/// A user, as it sees itself.
#[derive(Debug)]
pub struct ProfileRow {
    /// Unique among active users.
    pub name: String,
    /// The wanted IANA zone; the rollup may be in another one until the relay has rebuilt it.
    pub time_zone: String,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
}

/// Errors: 409 for a name in use, 422 for a name or time zone that is not acceptable.
pub async fn insert_user(tx: &mut Tx, user_id: Uuid, name: &str, time_zone: &str) -> Result<(), Problem> {
    let inserted = sqlx::query_file!("src/features/accounts/insert_user.sql", user_id, name, time_zone)
        .execute(tx)
        .await
        .map_err(|error| refusal(error, "/name"))?;
    if inserted.rows_affected() == 0 { Err(unknown_zone()) } else { Ok(()) }
}

/// The active user of that name.
pub async fn find_user(tx: &mut Tx, name: &str) -> Result<Option<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/accounts/find_user.sql", name).fetch_optional(tx).await?)
}

/// A user as it sees itself.
pub async fn find_profile(tx: &mut Tx, user_id: Uuid) -> Result<Option<ProfileRow>, Problem> {
    Ok(sqlx::query_file_as!(ProfileRow, "src/features/accounts/find_profile.sql", user_id).fetch_optional(tx).await?)
}

/// The same, held until the transaction ends.
pub async fn lock_profile(tx: &mut Tx, user_id: Uuid) -> Result<Option<ProfileRow>, Problem> {
    Ok(sqlx::query_file_as!(ProfileRow, "src/features/accounts/lock_profile.sql", user_id).fetch_optional(tx).await?)
}

/// False where there is no such zone.
pub async fn set_time_zone(tx: &mut Tx, user_id: Uuid, time_zone: &str) -> Result<bool, Problem> {
    let updated = sqlx::query_file!("src/features/accounts/set_time_zone.sql", user_id, time_zone).execute(tx).await?;
    Ok(updated.rows_affected() == 1)
}

/// One page of users.
pub async fn list_users(tx: &mut Tx, after: Option<Uuid>, limit: i64) -> Result<Vec<UserListing>, Problem> {
    Ok(sqlx::query_file_as!(UserListing, "src/features/accounts/list_users.sql", after, limit).fetch_all(tx).await?)
}

/// Revokes a user and its tokens.
pub async fn revoke_user(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/revoke_user.sql", user_id).execute(tx).await?;
    Ok(())
}

/// Errors: 409 for a name in use and for more than `limit` active devices, 422 for a name or platform that is not
/// acceptable.
pub async fn insert_device(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Uuid,
    name: &str,
    platform: &str,
    limit: i64,
) -> Result<(), Problem> {
    let inserted =
        sqlx::query_file!("src/features/accounts/insert_device.sql", user_id, device_id, name, platform, limit)
            .execute(tx)
            .await
            .map_err(|error| refusal(error, "/name"))?;
    if inserted.rows_affected() == 0 {
        let detail = format!("A user has at most {limit} active devices; revoke some first.");
        return Err(Problem::new(Code::Conflict, detail));
    }
    Ok(())
}

/// The user's active device of that name.
pub async fn find_device(tx: &mut Tx, user_id: Uuid, name: &str) -> Result<Option<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/accounts/find_device.sql", user_id, name).fetch_optional(tx).await?)
}

/// One page of a user's devices.
pub async fn list_devices(
    tx: &mut Tx,
    user_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DeviceListing>, Problem> {
    let rows = sqlx::query_file_as!(DeviceListing, "src/features/accounts/list_devices.sql", user_id, after, limit);
    Ok(rows.fetch_all(tx).await?)
}

/// Since when the device is revoked, and whether that is new; `None` where the user has no such device.
pub async fn revoke_device(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Uuid,
) -> Result<Option<(DateTime<Utc>, bool)>, Problem> {
    let row =
        sqlx::query_file!("src/features/accounts/revoke_device.sql", user_id, device_id).fetch_optional(tx).await?;
    Ok(row.map(|row| (row.revoked_at, row.changed)))
}

/// Whether the device is active, held until the transaction ends; `None` where the user has no such device.
pub async fn lock_device(tx: &mut Tx, user_id: Uuid, device_id: Uuid) -> Result<Option<bool>, Problem> {
    let active = sqlx::query_file_scalar!("src/features/accounts/lock_device.sql", user_id, device_id);
    Ok(active.fetch_optional(tx).await?)
}

/// Stores a token's hash.
pub async fn insert_token(
    tx: &mut Tx,
    token: &Token,
    token_id: Uuid,
    kind: TokenKind,
    user_id: Uuid,
    device_id: Option<Uuid>,
) -> Result<(), Problem> {
    let hash = token.hash();
    sqlx::query_file!(
        "src/features/accounts/insert_token.sql",
        hash.as_bytes(),
        token_id,
        kind.as_str(),
        user_id,
        device_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives the active tokens of a device, or one token, an end in `overlap_s` seconds.
pub async fn expire_tokens(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Option<Uuid>,
    token_id: Option<Uuid>,
    overlap_s: u32,
) -> Result<(), Problem> {
    let overlap_s = f64::from(overlap_s);
    sqlx::query_file!("src/features/accounts/expire_tokens.sql", user_id, device_id, token_id, overlap_s)
        .execute(tx)
        .await?;
    Ok(())
}

/// What a token is, by its id.
#[derive(Debug)]
pub struct TokenRow {
    pub user_id: Uuid,
    pub kind: String,
    pub device_id: Option<Uuid>,
    pub active: bool,
}

/// The token of that id.
pub async fn find_token(tx: &mut Tx, token_id: Uuid) -> Result<Option<TokenRow>, Problem> {
    Ok(sqlx::query_file_as!(TokenRow, "src/features/accounts/find_token.sql", token_id).fetch_optional(tx).await?)
}

/// Revokes a token.
pub async fn revoke_token(tx: &mut Tx, token_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/revoke_token.sql", token_id).execute(tx).await?;
    Ok(())
}

/// One page of tokens.
pub async fn list_tokens(
    tx: &mut Tx,
    user_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TokenListing>, Problem> {
    let rows = sqlx::query_file!("src/features/accounts/list_tokens.sql", user_id, after, limit).fetch_all(tx).await?;
    Ok(rows
        .into_iter()
        .map(|row| TokenListing {
            token_id: row.token_id,
            kind: row.kind,
            user: row.user_name,
            device: row.device_name,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

/// Writes down when tokens were last used.
pub async fn note_token_uses(tx: &mut Tx, token_ids: &[Uuid], used_ats: &[DateTime<Utc>]) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/note_token_uses.sql", token_ids, used_ats).execute(tx).await?;
    Ok(())
}

/// False where the user has `limit` usable codes already.
pub async fn insert_link_code(
    tx: &mut Tx,
    code_hash: &[u8],
    user_id: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    limit: i64,
) -> Result<bool, Problem> {
    let inserted = sqlx::query_file!(
        "src/features/accounts/insert_link_code.sql",
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

/// What became of an exchange. Errors: 409 for a device's name in use.
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
        "src/features/accounts/exchange_link_code.sql",
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
    sqlx::query_file!("src/features/accounts/purge_link_codes.sql", now).execute(tx).await?;
    Ok(())
}

/// The first and the last half hour of local days, in the user's zone; `None` for an open end.
pub async fn erasure_hours(
    tx: &mut Tx,
    user_id: Uuid,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
) -> Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>), Problem> {
    let row = sqlx::query_file!("src/features/accounts/erasure_hours.sql", user_id, from, to).fetch_one(tx).await?;
    Ok((row.first_hour, row.last_hour))
}

/// 422 at a time zone that PostgreSQL does not know.
pub fn unknown_zone() -> Problem {
    let (code, detail) = UNKNOWN_TIME_ZONE;
    Problem::invalid(vec![Violation::new("/time_zone", code, detail)])
}

/// The problem behind a broken constraint; `name` points to the field with the name.
fn refusal(error: sqlx::Error, name: &str) -> Problem {
    let invalid = |pointer: &str, code, detail: &str| Problem::invalid(vec![Violation::new(pointer, code, detail)]);
    let in_use = |detail: &'static str| {
        Problem::new(Code::Conflict, detail).violating(vec![Violation::new(name, "name_in_use", detail)])
    };
    match broken_constraint(&error) {
        Some("user_name_is_unique_while_active") => in_use("There is already an active user of this name."),
        Some("device_name_is_unique_while_active") => in_use("This user already has an active device of this name."),
        Some("user_name_is_1_to_100_characters" | "device_name_is_1_to_100_characters") => {
            invalid(name, "wrong_length", "A name has 1 to 100 characters.")
        }
        Some("user_name_has_no_control_characters" | "device_name_has_no_control_characters") => {
            invalid(name, "control_character", "A name has no control characters.")
        }
        Some("device_platform_is_1_to_40_characters") => {
            invalid("/platform", "wrong_length", "A platform has 1 to 40 characters.")
        }
        _ => Problem::from(error),
    }
}
