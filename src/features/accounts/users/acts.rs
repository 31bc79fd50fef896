//! What is done with users. Commands name a user, which must be active to be found.

use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::tokens::{IssuedToken, Tokens};
use super::reply::{CreatedUser, UserListing};
use super::store;
use crate::kernel::access::{Actor, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::{Code, Problem};

/// Rows fetched at a time when everything is listed.
const PAGE: i64 = 1000;

/// The users of one installation.
#[derive(Clone, Debug)]
pub struct Users {
    pool: Pool,
    tokens: Tokens,
}

impl Users {
    /// Users whose viewer tokens come from `tokens`.
    pub fn new(pool: Pool, tokens: Tokens) -> Self {
        Self { pool, tokens }
    }

    /// A new user and its viewer token. Errors: 409 name in use, 422 name or zone not acceptable.
    pub async fn add(
        &self,
        context: &RequestContext,
        actor: Actor,
        name: &str,
        time_zone: &str,
    ) -> Result<CreatedUser, Problem> {
        Ok(self.create(context, actor, name, time_zone, Once::unkeyed()).await?)
    }

    /// The same once under a key. Errors: besides, those of [`Once::claim_secret`].
    pub async fn create(
        &self,
        context: &RequestContext,
        actor: Actor,
        name: &str,
        time_zone: &str,
        once: Once<CreatedUser>,
    ) -> Result<CreatedUser, Unexecuted> {
        let user_id = Uuid::now_v7();
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim_secret(tx, context, |seed| Some(self.tokens.reveal(seed, TokenKind::Viewer))).await?;
        if let Err(refusal) = store::insert_user(&mut tx, user_id, name, time_zone).await {
            tx.rollback().await?;
            return Err(refusal.into());
        }
        let viewer = self.tokens.issue_in(&mut tx, once.seed(), TokenKind::Viewer, user_id, None).await?;
        let details = json!({ "token_id": viewer.token_id });
        record(&mut tx, context, actor, "user.add", user_id, &details).await?;
        let created = CreatedUser { user_id, viewer_token: viewer.token };
        once.commit(tx, context, &created).await?;
        Ok(created)
    }

    /// Users after `after`, by id, at most `limit` and revoked ones included.
    pub async fn list(
        &self,
        context: &RequestContext,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<UserListing>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let users = store::list_users(&mut tx, after, limit).await?;
        tx.rollback().await?;
        Ok(users.into_iter().map(UserListing::from).collect())
    }

    /// Every user, revoked ones included.
    pub async fn list_all(&self, context: &RequestContext) -> Result<Vec<UserListing>, Problem> {
        let mut users = Vec::<UserListing>::new();
        loop {
            let page = self.list(context, users.last().map(|user| user.user_id), PAGE).await?;
            if page.is_empty() {
                return Ok(users);
            }
            users.extend(page);
        }
    }

    /// The active user of a name. Errors: 404.
    pub async fn find(&self, context: &RequestContext, name: &str) -> Result<Uuid, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let found = store::find_user(&mut tx, name).await?;
        tx.rollback().await?;
        found.ok_or_else(|| Problem::new(Code::NotFound, format!("There is no active user named {name:?}.")))
    }

    /// Another token of a viewer or an operator. Errors: 404 no such active user.
    pub async fn issue_token(
        &self,
        context: &RequestContext,
        actor: Actor,
        name: &str,
        kind: TokenKind,
    ) -> Result<IssuedToken, Problem> {
        let user_id = self.find(context, name).await?;
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        let issued = self.tokens.issue_in(&mut tx, None, kind, user_id, None).await?;
        let details = json!({ "kind": kind.as_str(), "user_id": user_id, "device_id": null });
        record(&mut tx, context, actor, "token.issue", issued.token_id, &details).await?;
        tx.commit().await?;
        Ok(issued)
    }

    /// Revokes a user and all its tokens for good. Errors: 404 no such active user.
    pub async fn revoke(&self, context: &RequestContext, actor: Actor, name: &str) -> Result<Uuid, Problem> {
        let user_id = self.find(context, name).await?;
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        store::revoke_user(&mut tx, user_id).await?;
        record(&mut tx, context, actor, "user.revoke", user_id, &json!({})).await?;
        tx.commit().await?;
        Ok(user_id)
    }
}
