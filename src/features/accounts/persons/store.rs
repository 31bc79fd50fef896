//! The SQL of erasing persons: what accounts has of them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Whom an id is of: a name, an erasure, or nobody.
#[derive(Debug)]
pub struct PersonRow {
    pub name: Option<String>,
    pub erased_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// A user of a name.
#[derive(Debug)]
pub struct NamedRow {
    pub user_id: Uuid,
    pub revoked: bool,
}

/// What accounts has of a user, besides the user itself.
#[derive(Clone, Copy, Debug)]
pub struct AccountRows {
    pub devices: i64,
    pub tokens: i64,
    pub link_codes: i64,
}

/// Whom an id is of.
pub async fn find_person(tx: &mut Tx, user_id: Uuid) -> Result<PersonRow, Problem> {
    let row = sqlx::query_file_as!(PersonRow, "src/features/accounts/persons/find_person.sql", user_id);
    Ok(row.fetch_one(tx).await?)
}

/// The first users of a name, revoked ones included.
pub async fn persons_named(tx: &mut Tx, name: &str, limit: i64) -> Result<Vec<NamedRow>, Problem> {
    let rows = sqlx::query_file_as!(NamedRow, "src/features/accounts/persons/persons_named.sql", name, limit);
    Ok(rows.fetch_all(tx).await?)
}

/// What accounts has of a user.
pub async fn count_accounts(tx: &mut Tx, user_id: Uuid) -> Result<AccountRows, Problem> {
    let row = sqlx::query_file_as!(AccountRows, "src/features/accounts/persons/count_accounts.sql", user_id);
    Ok(row.fetch_one(tx).await?)
}

/// Holds the user until the transaction ends. False where there is none.
pub async fn lock_person(tx: &mut Tx, user_id: Uuid) -> Result<bool, Problem> {
    let found = sqlx::query_file_scalar!("src/features/accounts/persons/lock_person.sql", user_id);
    Ok(found.fetch_optional(tx).await?.is_some())
}

/// Whether the user is active and has an operator's token that is valid.
pub async fn operates(tx: &mut Tx, user_id: Uuid) -> Result<bool, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/accounts/persons/operates.sql", user_id).fetch_one(tx).await?)
}

/// Waits for other operators who are being erased, and keeps more of them waiting.
pub async fn lock_operators(tx: &mut Tx, operators_lock: i64) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/persons/lock_operators.sql", operators_lock).execute(tx).await?;
    Ok(())
}

/// Whether anybody else operates.
pub async fn others_operate(tx: &mut Tx, user_id: Uuid) -> Result<bool, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/accounts/persons/others_operate.sql", user_id).fetch_one(tx).await?)
}

/// Removes the user's link codes. Returns how many there were.
pub async fn erase_link_codes(tx: &mut Tx, user_id: Uuid) -> Result<i64, Problem> {
    let gone = sqlx::query_file!("src/features/accounts/persons/erase_link_codes.sql", user_id).execute(tx).await?;
    i64::try_from(gone.rows_affected()).map_err(Problem::internal)
}

/// Removes the user's tokens. Returns how many there were.
pub async fn erase_tokens(tx: &mut Tx, user_id: Uuid) -> Result<i64, Problem> {
    let gone = sqlx::query_file!("src/features/accounts/persons/erase_tokens.sql", user_id).execute(tx).await?;
    i64::try_from(gone.rows_affected()).map_err(Problem::internal)
}

/// Removes the user's devices. Returns how many there were.
pub async fn erase_devices(tx: &mut Tx, user_id: Uuid) -> Result<i64, Problem> {
    let gone = sqlx::query_file!("src/features/accounts/persons/erase_devices.sql", user_id).execute(tx).await?;
    i64::try_from(gone.rows_affected()).map_err(Problem::internal)
}

/// Removes the user, with its name.
pub async fn erase_user(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/persons/erase_user.sql", user_id).execute(tx).await?;
    Ok(())
}

/// Records that the user was erased. Returns when.
pub async fn record_erased_user(tx: &mut Tx, user_id: Uuid) -> Result<DateTime<Utc>, Problem> {
    let at = sqlx::query_file_scalar!("src/features/accounts/persons/record_erased_user.sql", user_id);
    Ok(at.fetch_one(tx).await?)
}

/// Users of whom something is left, those who were erased first first.
pub async fn unfinished_erasures(tx: &mut Tx, limit: i64) -> Result<Vec<Uuid>, Problem> {
    let users = sqlx::query_file_scalar!("src/features/accounts/persons/unfinished_erasures.sql", limit);
    Ok(users.fetch_all(tx).await?)
}

/// Records that nothing is left. False where that was known.
pub async fn finish_erasure(tx: &mut Tx, user_id: Uuid) -> Result<bool, Problem> {
    let finished = sqlx::query_file!("src/features/accounts/persons/finish_erasure.sql", user_id).execute(tx).await?;
    Ok(finished.rows_affected() == 1)
}
