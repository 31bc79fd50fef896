//! What is done with sessions.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::users::Users;
use super::sign_in_code::SignInCode;
use super::store;
use crate::kernel::access::{
    Actor, OPERATOR_SESSION_LIFETIME_S, SESSION_LIFETIME_S, ServerKey, Session, TokenHash, TokenKind,
};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::{Code, Problem, Violation};

/// How long a code can be used.
const CODE_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// The sessions of one installation's users.
#[derive(Clone, Debug)]
pub struct SignIns {
    pool: Pool,
    key: Arc<ServerKey>,
    clock: Clock,
    users: Users,
}

impl SignIns {
    /// Sessions of `users` that begin by `clock`. Codes are signed with `key`.
    pub fn new(pool: Pool, key: Arc<ServerKey>, clock: Clock, users: Users) -> Self {
        Self { pool, key, clock, users }
    }

    /// A code that signs a user in, for who runs the server. Errors: 404 no such active user.
    pub async fn code_for(&self, context: &RequestContext, user: &str) -> Result<String, Problem> {
        let user_id = self.users.find(context, user).await?;
        let code = SignInCode::make(&self.key, user_id, self.clock.now() + CODE_LIFETIME);
        Ok(code.map_err(|error| Problem::internal(error.to_string()))?.reveal())
    }

    /// The name of whom a code would sign in. Errors: 422 for what is no code, has expired, or is of nobody.
    pub async fn owner_of(&self, context: &RequestContext, code: &str) -> Result<String, Problem> {
        let code = self.good_code(code)?;
        let user_id = code.user_id();
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let name = store::find_active_user(&mut tx, user_id).await;
        tx.rollback().await?;
        name?.ok_or_else(unusable)
    }

    /// Begins a session, once for each code. Errors: 422 for what is no code, has expired, was used, or is of nobody.
    pub async fn begin_with_code(&self, context: &RequestContext, code: &str) -> Result<Session, Problem> {
        let code = self.good_code(code)?;
        let row = code.token(&self.key).hash();
        let began = self.begin(context, (TokenKind::Viewer, code.user_id()), row, None).await;
        // Whoever was erased since is nobody.
        began.map_err(|problem| if problem.code() == Code::Unauthorized { unusable() } else { problem })
    }

    /// Begins a session, of the kind of the token that was shown, and ends with that at the latest. Errors: 401 the user was
    /// erased.
    pub async fn begin_with_token(
        &self,
        context: &RequestContext,
        (kind, user_id): (TokenKind, Uuid),
        begun_by: TokenHash,
    ) -> Result<Session, Problem> {
        let token = self.key.issue(kind).map_err(|error| Problem::internal(error.to_string()))?;
        self.begin(context, (kind, user_id), token.hash(), Some(begun_by)).await
    }

    async fn begin(
        &self,
        context: &RequestContext,
        (kind, user_id): (TokenKind, Uuid),
        row: TokenHash,
        begun_by: Option<TokenHash>,
    ) -> Result<Session, Problem> {
        let token_id = Uuid::now_v7();
        let lifetime_s = if kind == TokenKind::Operator { OPERATOR_SESSION_LIFETIME_S } else { SESSION_LIFETIME_S };
        let ends_at = self.clock.now() + TimeDelta::seconds(lifetime_s.into());
        // It is the session that acts from here on.
        let actor = Actor::Principal { kind, user_id, token_id };
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        let is_somebodys = store::find_active_user(&mut tx, user_id).await?.is_some();
        let owner = (kind, user_id);
        if !is_somebodys || !store::begin_session(&mut tx, &row, token_id, owner, lifetime_s.into()).await? {
            tx.rollback().await?;
            return Err(unusable());
        }
        record(&mut tx, context, actor, "session.begin", token_id, &json!({ "ends_at": ends_at })).await?;
        tx.commit().await?;
        Ok(Session { row, begun_by, ends_at })
    }

    /// Ends the session of a caller, or of all browsers of its user where it says `everywhere`. Returns how many ended.
    pub async fn end(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        everywhere: bool,
    ) -> Result<u64, Problem> {
        let only = actor.token_id().filter(|_| !everywhere);
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        let ended = store::end_sessions(&mut tx, user_id, only).await?;
        if ended > 0 {
            let details = json!({ "sessions": ended, "everywhere": everywhere });
            record(&mut tx, context, actor, "session.end", user_id, &details).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    fn good_code(&self, text: &str) -> Result<SignInCode, Problem> {
        let code = SignInCode::parse(&self.key, text);
        let is_good = |code: &SignInCode| code.expires_at().is_some_and(|until| until > self.clock.now());
        code.filter(is_good).ok_or_else(unusable)
    }
}

/// The caller is not told which.
fn unusable() -> Problem {
    let detail = "This code was used, has expired, or is none. Make another one with `halfhour open`.";
    Problem::invalid(vec![Violation::new("/code", "unusable_code", detail)])
}
