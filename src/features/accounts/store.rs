//! The SQL of accounts. Named constraints become problems here and nowhere else.

use uuid::Uuid;

use super::directory::TokenListing;
use crate::kernel::db::{Tx, broken_constraint};
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::token::{Kind, Token};

/// Errors: 409 for a name in use, 422 for a name or time zone that is not acceptable.
pub async fn insert_user(tx: &mut Tx, user_id: Uuid, name: &str, time_zone: &str) -> Result<(), Problem> {
    let inserted = sqlx::query_file!("src/features/accounts/insert_user.sql", user_id, name, time_zone)
        .execute(tx)
        .await
        .map_err(|error| refusal(error, name))?;
    if inserted.rows_affected() == 0 {
        let detail = format!("{time_zone:?} is not a time zone; use an IANA name such as Europe/Berlin.");
        return Err(Problem::invalid(vec![Violation::new("/time_zone", "unknown_time_zone", detail)]));
    }
    Ok(())
}

/// Errors: 409 for a name in use, 422 for a name or platform that is not acceptable.
pub async fn insert_device(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Uuid,
    name: &str,
    platform: &str,
) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/insert_device.sql", user_id, device_id, name, platform)
        .execute(tx)
        .await
        .map_err(|error| refusal(error, name))?;
    Ok(())
}

/// Stores a token's hash.
pub async fn insert_token(
    tx: &mut Tx,
    token: &Token,
    token_id: Uuid,
    kind: Kind,
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

/// The active user of that name.
pub async fn find_user(tx: &mut Tx, name: &str) -> Result<Option<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/accounts/find_user.sql", name).fetch_optional(tx).await?)
}

/// The user's active device of that name.
pub async fn find_device(tx: &mut Tx, user_id: Uuid, name: &str) -> Result<Option<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/accounts/find_device.sql", user_id, name).fetch_optional(tx).await?)
}

/// The token's user, and whether the token is active.
pub async fn find_token_owner(tx: &mut Tx, token_id: Uuid) -> Result<Option<(Uuid, bool)>, Problem> {
    let row = sqlx::query_file!("src/features/accounts/find_token_owner.sql", token_id).fetch_optional(tx).await?;
    Ok(row.map(|row| (row.user_id, row.active)))
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
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

fn refusal(error: sqlx::Error, name: &str) -> Problem {
    let invalid = |pointer: &str, code, detail: &str| Problem::invalid(vec![Violation::new(pointer, code, detail)]);
    match broken_constraint(&error) {
        Some("user_name_is_unique_while_active") => {
            Problem::new(Code::Conflict, format!("There is already an active user named {name:?}."))
        }
        Some("device_name_is_unique_while_active") => {
            Problem::new(Code::Conflict, format!("This user already has an active device named {name:?}."))
        }
        Some("user_name_is_1_to_100_characters" | "device_name_is_1_to_100_characters") => {
            invalid("/name", "wrong_length", "A name has 1 to 100 characters.")
        }
        Some("user_name_has_no_control_characters" | "device_name_has_no_control_characters") => {
            invalid("/name", "control_character", "A name has no control characters.")
        }
        Some("device_platform_is_1_to_40_characters") => {
            invalid("/platform", "wrong_length", "A platform has 1 to 40 characters.")
        }
        _ => Problem::from(error),
    }
}
