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

/// Writes it down in the caller's transaction. Errors: those of the database.
pub async fn record_act(tx: &mut Tx, request_id: Uuid, actor: Actor, act: Act<'_>) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/kernel/operations/record_act.sql",
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
