//! The SQL of tokens.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::name;
use crate::kernel::access::{Token, TokenKind, erased_user};
use crate::kernel::database::{Tx, broken_constraint};
use crate::kernel::problem::{Code, Problem};

/// A token with the names of its owner and its device.
#[derive(Debug)]
pub struct TokenRow {
    pub token_id: Uuid,
    pub kind: String,
    pub user_name: String,
    pub device_name: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What a token is, by its id.
#[derive(Debug)]
pub struct FoundToken {
    pub user_id: Uuid,
    pub kind: String,
    pub device_id: Option<Uuid>,
    pub active: bool,
}

/// How many tokens work, and how many of them should be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAges {
    /// All that work.
    pub working: i64,
    /// Those that were not used for a long time.
    pub idle: i64,
    /// Operators' tokens that were issued long ago.
    pub old_operators: i64,
    /// Those that another one has taken the place of, that end soon, and that are used all the same.
    pub expiring_in_use: i64,
}

/// Stores a token's hash. An operator's is stored by a role that no request of a user has. Errors: 401 the user was
/// erased.
pub async fn add_token(
    tx: &mut Tx,
    token: &Token,
    token_id: Uuid,
    kind: TokenKind,
    user_id: Uuid,
    device_id: Option<Uuid>,
) -> Result<(), Problem> {
    if kind != TokenKind::Operator {
        return insert_token(tx, token, token_id, kind, user_id, device_id).await;
    }
    tx.as_worker().await?;
    insert_token(tx, token, token_id, kind, user_id, device_id).await?;
    tx.as_opened().await
}

async fn insert_token(
    tx: &mut Tx,
    token: &Token,
    token_id: Uuid,
    kind: TokenKind,
    user_id: Uuid,
    device_id: Option<Uuid>,
) -> Result<(), Problem> {
    let hash = token.hash();
    sqlx::query_file!(
        "src/features/accounts/tokens/insert_token.sql",
        hash.as_bytes(),
        token_id,
        kind.as_str(),
        user_id,
        device_id
    )
    .execute(tx)
    .await
    .map_err(refusal)?;
    Ok(())
}

/// Stores a labelled token of a user that reads. Errors: 409 for more than `limit` that work, 422 for a label that is not
/// acceptable, 401 the user was erased.
pub async fn insert_labelled_token(
    tx: &mut Tx,
    token: &Token,
    token_id: Uuid,
    user_id: Uuid,
    label: &str,
    limit: i64,
) -> Result<(), Problem> {
    let hash = token.hash();
    let inserted = sqlx::query_file!(
        "src/features/accounts/tokens/insert_labelled_token.sql",
        hash.as_bytes(),
        token_id,
        user_id,
        label,
        limit
    )
    .execute(tx)
    .await
    .map_err(refusal)?;
    if inserted.rows_affected() == 0 {
        let detail = format!("You have {limit} tokens that work; revoke some first.");
        return Err(Problem::new(Code::Conflict, detail));
    }
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
    sqlx::query_file!("src/features/accounts/tokens/expire_tokens.sql", user_id, device_id, token_id, overlap_s)
        .execute(tx)
        .await?;
    Ok(())
}

/// The token of that id.
pub async fn find_token(tx: &mut Tx, token_id: Uuid) -> Result<Option<FoundToken>, Problem> {
    let row = sqlx::query_file_as!(FoundToken, "src/features/accounts/tokens/find_token.sql", token_id);
    Ok(row.fetch_optional(tx).await?)
}

/// Revokes a token.
pub async fn revoke_token(tx: &mut Tx, token_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/tokens/revoke_token.sql", token_id).execute(tx).await?;
    Ok(())
}

/// One page of tokens.
pub async fn list_tokens(
    tx: &mut Tx,
    user_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TokenRow>, Problem> {
    let rows = sqlx::query_file_as!(TokenRow, "src/features/accounts/tokens/list_tokens.sql", user_id, after, limit);
    Ok(rows.fetch_all(tx).await?)
}

/// A token that works, as its owner sees it.
#[derive(Debug)]
pub struct OwnToken {
    /// By which it can be revoked.
    pub token_id: Uuid,
    /// What it may do.
    pub kind: String,
    /// Whether a browser that is signed in stands behind it.
    pub is_session: bool,
    /// What its owner calls it, where it was issued on the page.
    pub label: Option<String>,
    /// The device, for a device's token.
    pub device_name: Option<String>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, give or take a minute or two.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The tokens of a user that work, the newest first.
pub async fn own_tokens(tx: &mut Tx, user_id: Uuid, limit: i64) -> Result<Vec<OwnToken>, Problem> {
    let rows = sqlx::query_file_as!(OwnToken, "src/features/accounts/tokens/own_tokens.sql", user_id, limit);
    Ok(rows.fetch_all(tx).await?)
}

/// Revokes a viewer's token of a user. False where it has none such that works.
pub async fn revoke_own_token(tx: &mut Tx, user_id: Uuid, token_id: Uuid) -> Result<bool, Problem> {
    let revoked = sqlx::query_file!("src/features/accounts/tokens/revoke_own_token.sql", user_id, token_id);
    Ok(revoked.execute(tx).await?.rows_affected() == 1)
}

/// Tokens that another key than a server's may have made, and that are neither revoked nor expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherKeysTokens {
    /// They were made before this key was first used, while there had been another one.
    pub older: i64,
    /// They were made since a server was started with another key, behind the last start with this one.
    pub newer: i64,
}

/// Notes that a server is started with a key.
pub async fn note_server_key(tx: &mut Tx, fingerprint: [u8; 4]) -> Result<OtherKeysTokens, Problem> {
    let fingerprint = fingerprint.as_slice();
    let query = sqlx::query_file_as!(OtherKeysTokens, "src/features/accounts/tokens/note_server_key.sql", fingerprint);
    Ok(query.fetch_one(tx).await?)
}

/// Whether servers were started on this database, and none of them with this key.
pub async fn is_other_server_key(tx: &mut Tx, fingerprint: [u8; 4]) -> Result<bool, Problem> {
    let query =
        sqlx::query_file_scalar!("src/features/accounts/tokens/is_other_server_key.sql", fingerprint.as_slice());
    Ok(query.fetch_one(tx).await?)
}

/// Writes down when tokens were last used. Returns how many of them end soon.
pub async fn note_token_uses(tx: &mut Tx, token_ids: &[Uuid], used_ats: &[DateTime<Utc>]) -> Result<i64, Problem> {
    let query = sqlx::query_file_scalar!("src/features/accounts/tokens/note_token_uses.sql", token_ids, used_ats);
    Ok(query.fetch_one(tx).await?)
}

/// How many tokens work, and how many of them should be looked at.
pub async fn token_ages(
    tx: &mut Tx,
    now: DateTime<Utc>,
    idle_days: i32,
    old_days: i32,
    overlap_s: u32,
) -> Result<TokenAges, Problem> {
    let query = sqlx::query_file_as!(
        TokenAges,
        "src/features/accounts/tokens/token_ages.sql",
        now,
        idle_days,
        old_days,
        f64::from(overlap_s)
    );
    Ok(query.fetch_one(tx).await?)
}

/// Whether there is any token.
pub async fn tokens_exist(tx: &mut Tx) -> Result<bool, Problem> {
    let row = sqlx::query_file!("src/features/accounts/tokens/tokens_exist.sql").fetch_one(tx).await?;
    Ok(row.exist)
}

/// Removes tokens that ended 30 days ago.
pub async fn purge_tokens(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), Problem> {
    sqlx::query_file!("src/features/accounts/tokens/purge_tokens.sql", now).execute(tx).await?;
    Ok(())
}

/// The problem behind a broken constraint on tokens.
fn refusal(error: sqlx::Error) -> Problem {
    match broken_constraint(&error) {
        Some("token_belongs_to_user" | "token_belongs_to_device") => erased_user(),
        Some("token_label_is_1_to_100_characters") => name::of_wrong_length("/label"),
        Some("token_label_has_no_control_characters") => name::with_control_character("/label"),
        _ => Problem::from(error),
    }
}
