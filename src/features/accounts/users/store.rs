//! The SQL of users. Constraints on users become problems here.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::name;
use crate::kernel::database::{Tx, broken_constraint};
use crate::kernel::http::values::UNKNOWN_TIME_ZONE;
use crate::kernel::problem::{Problem, Violation};

/// A user, as operators see it.
#[derive(Debug)]
pub struct UserRow {
    pub user_id: Uuid,
    pub name: String,
    pub time_zone: String,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Errors: 409 for a name in use, 422 for a name or time zone that is not acceptable.
pub async fn insert_user(tx: &mut Tx, user_id: Uuid, name: &str, time_zone: &str) -> Result<(), Problem> {
    let inserted = sqlx::query_file!("src/features/accounts/users/insert_user.sql", user_id, name, time_zone)
        .execute(tx)
        .await
        .map_err(refusal)?;
    if inserted.rows_affected() == 0 { Err(unknown_zone()) } else { Ok(()) }
}

/// The active user of that name.
pub async fn find_user(tx: &mut Tx, name: &str) -> Result<Option<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/accounts/users/find_user.sql", name).fetch_optional(tx).await?)
}

/// One page of users.
pub async fn list_users(tx: &mut Tx, after: Option<Uuid>, limit: i64) -> Result<Vec<UserRow>, Problem> {
    Ok(sqlx::query_file_as!(UserRow, "src/features/accounts/users/list_users.sql", after, limit).fetch_all(tx).await?)
}

/// Revokes a user and its tokens.
pub async fn revoke_user(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/users/revoke_user.sql", user_id).execute(tx).await?;
    Ok(())
}

/// 422 for a time zone that PostgreSQL does not know.
pub fn unknown_zone() -> Problem {
    let (code, detail) = UNKNOWN_TIME_ZONE;
    Problem::invalid(vec![Violation::new("/time_zone", code, detail)])
}

/// The problem behind a broken constraint on users.
fn refusal(error: sqlx::Error) -> Problem {
    match broken_constraint(&error) {
        Some("user_name_is_unique_while_active") => {
            name::in_use("/name", "There is already an active user of this name.")
        }
        Some("user_name_is_1_to_100_characters") => name::of_wrong_length("/name"),
        Some("user_name_has_no_control_characters") => name::with_control_character("/name"),
        _ => Problem::from(error),
    }
}
