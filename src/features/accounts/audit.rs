//! The audit of accounts. Every change is one transaction for one user, and leaves an entry that
//! names the actor.

use serde_json::Value;
use uuid::Uuid;

use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::problem::Problem;

/// A transaction for a change that concerns `user_id`. An actor who is another user is within its
/// reach too, because the entry in the audit names that user.
pub async fn begin_change(pool: &Pool, context: &RequestContext, actor: Actor, user_id: Uuid) -> Result<Tx, Problem> {
    let users = match actor {
        Actor::Principal { user_id: acting, .. } if acting != user_id => vec![user_id, acting],
        _ => vec![user_id],
    };
    pool.begin(context, Access::Users(&users), Mode::ReadWrite).await
}

/// Writes an act down in the caller's transaction.
pub async fn record(
    tx: &mut Tx,
    context: &RequestContext,
    actor: Actor,
    action: &'static str,
    subject: Uuid,
    details: &Value,
) -> Result<(), Problem> {
    let act = Act { action, subject: &subject.to_string(), reason: None, details };
    record_act(tx, context.request_id, actor, act).await
}
