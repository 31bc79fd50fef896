//! The SQL of sessions.

use uuid::Uuid;

use crate::kernel::access::{TokenHash, TokenKind, erased_user};
use crate::kernel::database::{Tx, broken_constraint};
use crate::kernel::problem::Problem;

/// Begins a session that lives for so many seconds. An operator's is stored by a role that no request of a user has. False
/// where there is one of that token already. Errors: 401 the user was erased.
pub async fn begin_session(
    tx: &mut Tx,
    row: &TokenHash,
    token_id: Uuid,
    (kind, user_id): (TokenKind, Uuid),
    lifetime_s: f64,
) -> Result<bool, Problem> {
    if kind != TokenKind::Operator {
        return insert_session(tx, row, token_id, (kind, user_id), lifetime_s).await;
    }
    tx.as_worker().await?;
    let began = insert_session(tx, row, token_id, (kind, user_id), lifetime_s).await?;
    tx.as_opened().await?;
    Ok(began)
}

async fn insert_session(
    tx: &mut Tx,
    row: &TokenHash,
    token_id: Uuid,
    (kind, user_id): (TokenKind, Uuid),
    lifetime_s: f64,
) -> Result<bool, Problem> {
    let inserted = sqlx::query_file!(
        "src/features/accounts/signing_in/insert_session.sql",
        row.as_bytes(),
        token_id,
        kind.as_str(),
        user_id,
        lifetime_s
    )
    .execute(tx)
    .await
    .map_err(refusal)?;
    Ok(inserted.rows_affected() == 1)
}

/// Ends one session, or all of a user. Returns how many went on until then.
pub async fn end_sessions(tx: &mut Tx, user_id: Uuid, token_id: Option<Uuid>) -> Result<u64, Problem> {
    let ended = sqlx::query_file!("src/features/accounts/signing_in/end_sessions.sql", user_id, token_id);
    Ok(ended.execute(tx).await?.rows_affected())
}

/// The name of a user that is not revoked.
pub async fn find_active_user(tx: &mut Tx, user_id: Uuid) -> Result<Option<String>, Problem> {
    let name = sqlx::query_file_scalar!("src/features/accounts/signing_in/find_active_user.sql", user_id);
    Ok(name.fetch_optional(tx).await?)
}

fn refusal(error: sqlx::Error) -> Problem {
    match broken_constraint(&error) {
        Some("token_belongs_to_user") => erased_user(),
        _ => Problem::from(error),
    }
}
