//! Who did what, and why. An entry is written in the transaction that does it, so neither exists
//! without the other.

use serde_json::Value;
use uuid::Uuid;

use crate::kernel::access::Actor;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// `switch.set`, `backfill.execute` and so on: words and dots.
    pub action: &'static str,
    /// The id or name of what it was done to, at most 200 characters.
    pub subject: &'a str,
    /// The actor's words, where the act asks for them; at most 500 characters.
    pub reason: Option<&'a str>,
    /// What else is needed to understand it. Never a token, a code or a body.
    pub details: &'a Value,
}

/// Writes it down in the caller's transaction. What a command does is written by a role that no request of a user has.
/// Errors: those of the database.
pub async fn record_act(tx: &mut Tx, request_id: Uuid, actor: Actor, act: Act<'_>) -> Result<(), Problem> {
    if !matches!(actor, Actor::Command) {
        return insert_act(tx, request_id, actor, act).await;
    }
    tx.as_worker().await?;
    insert_act(tx, request_id, actor, act).await?;
    tx.as_opened().await
}

async fn insert_act(tx: &mut Tx, request_id: Uuid, actor: Actor, act: Act<'_>) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/kernel/operations/insert_act.sql",
        Uuid::now_v7(),
        actor.as_str(),
        actor.user_id(),
        actor.token_id(),
        act.action,
        act.subject,
        act.reason,
        request_id,
        act.details,
    )
    .execute(tx)
    .await?;
    Ok(())
}
