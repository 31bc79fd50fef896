//! Users and tokens: each change is one transaction, in the name of the user it concerns, with its entry in the audit.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::failed_exchanges::FailedExchanges;
use super::store;
use crate::kernel::access::{Actor, ServerKey, Token, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::relay_notifier::Signal;

/// Rows fetched at a time when everything is listed.
pub(super) const PAGE: i64 = 1000;

/// For how long a token lives on when another one takes its place, in seconds.
pub const ROTATION_OVERLAP_S: u32 = 600;

/// The users, devices and tokens of one installation, in the hands of one actor.
#[derive(Clone, Debug)]
pub struct Directory {
    pub(super) pool: Pool,
    pub(super) key: Arc<ServerKey>,
    pub(super) clock: Clock,
    pub(super) signal: Signal,
    pub(super) failed_exchanges: FailedExchanges,
    actor: Actor,
}

/// A user that was just created, with its viewer token.
#[derive(Debug)]
pub struct NewUser {
    /// UUIDv7.
    pub user_id: Uuid,
    /// Shown once.
    pub viewer_token: Token,
}

/// A token that was just issued.
#[derive(Debug)]
pub struct IssuedToken {
    /// Whose it is.
    pub user_id: Uuid,
    /// The device, for device tokens.
    pub device_id: Option<Uuid>,
    /// By which it can be revoked.
    pub token_id: Uuid,
    /// Shown once.
    pub token: Token,
}

/// What may be shown of a user.
#[derive(Debug)]
pub struct UserListing {
    /// UUIDv7: rises with time.
    pub user_id: Uuid,
    /// Unique among active users.
    pub name: String,
    /// The wanted IANA zone.
    pub time_zone: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Roughly when any of its tokens was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What may be shown of a device.
#[derive(Debug)]
pub struct DeviceListing {
    /// UUIDv7: rises with time.
    pub device_id: Uuid,
    /// Unique among the user's active devices.
    pub name: String,
    /// What it runs.
    pub platform: String,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// Since when it may not post.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Roughly when it last called.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What may be shown of a token.
#[derive(Debug, Serialize)]
pub struct TokenListing {
    /// By which it can be revoked.
    pub token_id: Uuid,
    /// device, viewer or operator.
    pub kind: String,
    /// The owner's name.
    pub user: String,
    /// The device's name, for device tokens.
    pub device: Option<String>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused, once another one has taken its place.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is refused.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Roughly when it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl Directory {
    /// For commands: works through `pool`; tokens are made under `key`.
    pub fn new(pool: Pool, key: ServerKey) -> Self {
        Self::serving(pool, key, Clock::system(), Signal::default())
    }

    /// For the server: by its `clock`, and with the `signal` that wakes the relay.
    pub fn serving(pool: Pool, key: ServerKey, clock: Clock, signal: Signal) -> Self {
        let failed_exchanges = FailedExchanges::default();
        Self { pool, key: Arc::new(key), clock, signal, failed_exchanges, actor: Actor::Command }
    }

    /// The same, acting for someone else.
    #[must_use]
    pub fn acting(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// A new user and its viewer token. Errors: 409 name in use, 422 name or zone not acceptable.
    pub async fn add_user(&self, context: &RequestContext, name: &str, time_zone: &str) -> Result<NewUser, Problem> {
        let (user_id, token_id) = (Uuid::now_v7(), Uuid::now_v7());
        let viewer_token = self.token(TokenKind::Viewer)?;
        let mut tx = self.begin_for(context, user_id).await?;
        store::insert_user(&mut tx, user_id, name, time_zone).await?;
        store::insert_token(&mut tx, &viewer_token, token_id, TokenKind::Viewer, user_id, None).await?;
        self.record(&mut tx, context, "user.add", user_id, &json!({ "token_id": token_id })).await?;
        tx.commit().await?;
        Ok(NewUser { user_id, viewer_token })
    }

    /// Users after `after`, by id, at most `limit`; revoked ones included.
    pub async fn list_users(
        &self,
        context: &RequestContext,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<UserListing>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let users = store::list_users(&mut tx, after, limit).await?;
        tx.rollback().await?;
        Ok(users)
    }

    /// Every user, revoked ones included.
    pub async fn list_all_users(&self, context: &RequestContext) -> Result<Vec<UserListing>, Problem> {
        let mut users = Vec::<UserListing>::new();
        loop {
            let page = self.list_users(context, users.last().map(|user| user.user_id), PAGE).await?;
            if page.is_empty() {
                return Ok(users);
            }
            users.extend(page);
        }
    }

    /// Revokes a user and all its tokens for good. Errors: 404 no such active user.
    pub async fn revoke_user(&self, context: &RequestContext, name: &str) -> Result<Uuid, Problem> {
        let user_id = self.find_user(context, name).await?;
        let mut tx = self.begin_for(context, user_id).await?;
        store::revoke_user(&mut tx, user_id).await?;
        self.record(&mut tx, context, "user.revoke", user_id, &json!({})).await?;
        tx.commit().await?;
        Ok(user_id)
    }

    /// Another token for a user, or for one of its devices when `device` names one. Errors: 404 no such user or device.
    pub async fn issue_token(
        &self,
        context: &RequestContext,
        user: &str,
        kind: TokenKind,
        device: Option<&str>,
    ) -> Result<IssuedToken, Problem> {
        let user_id = self.find_user(context, user).await?;
        let mut tx = self.begin_for(context, user_id).await?;
        let device_id = match device {
            Some(name) => Some(store::find_device(&mut tx, user_id, name).await?.ok_or_else(|| {
                Problem::new(Code::NotFound, format!("User {user:?} has no active device named {name:?}."))
            })?),
            None => None,
        };
        let issued = self.issue_in(&mut tx, kind, user_id, device_id).await?;
        let details = json!({ "kind": kind.as_str(), "user_id": user_id, "device_id": device_id });
        self.record(&mut tx, context, "token.issue", issued.token_id, &details).await?;
        tx.commit().await?;
        Ok(issued)
    }

    /// A token that takes the place of another one, which lives on for [`ROTATION_OVERLAP_S`]. Errors: 404 no such token,
    /// 409 it is revoked.
    pub async fn rotate_token(&self, context: &RequestContext, token_id: Uuid) -> Result<IssuedToken, Problem> {
        let old = self.find_token(context, token_id).await?;
        let kind = TokenKind::parse(&old.kind).ok_or_else(|| Problem::internal("a token of no known kind"))?;
        if !old.active {
            return Err(Problem::new(Code::Conflict, format!("Token {token_id} is revoked: issue another one.")));
        }
        let mut tx = self.begin_for(context, old.user_id).await?;
        store::expire_tokens(&mut tx, old.user_id, None, Some(token_id), ROTATION_OVERLAP_S).await?;
        let issued = self.issue_in(&mut tx, kind, old.user_id, old.device_id).await?;
        self.record(&mut tx, context, "token.rotate", token_id, &json!({ "token_id": issued.token_id })).await?;
        tx.commit().await?;
        Ok(issued)
    }

    /// Revokes a token for good. False when it was revoked before. Errors: 404 no such token.
    pub async fn revoke_token(&self, context: &RequestContext, token_id: Uuid) -> Result<bool, Problem> {
        let token = self.find_token(context, token_id).await?;
        if token.active {
            let mut tx = self.begin_for(context, token.user_id).await?;
            store::revoke_token(&mut tx, token_id).await?;
            self.record(&mut tx, context, "token.revoke", token_id, &json!({})).await?;
            tx.commit().await?;
        }
        Ok(token.active)
    }

    /// All tokens, or those of one user, oldest first; revoked ones included. Errors: 404 no such user.
    pub async fn list_tokens(
        &self,
        context: &RequestContext,
        user: Option<&str>,
    ) -> Result<Vec<TokenListing>, Problem> {
        let user_id = match user {
            Some(name) => Some(self.find_user(context, name).await?),
            None => None,
        };
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let mut tokens = Vec::<TokenListing>::new();
        loop {
            let after = tokens.last().map(|token| token.token_id);
            let page = store::list_tokens(&mut tx, user_id, after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            tokens.extend(page);
        }
        tx.rollback().await?;
        Ok(tokens)
    }

    /// Writes down when tokens were last used.
    pub async fn note_token_uses(
        &self,
        context: &RequestContext,
        uses: &[(Uuid, DateTime<Utc>)],
    ) -> Result<(), Problem> {
        if uses.is_empty() {
            return Ok(());
        }
        let (token_ids, used_ats): (Vec<_>, Vec<_>) = uses.iter().copied().unzip();
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        store::note_token_uses(&mut tx, &token_ids, &used_ats).await?;
        tx.commit().await
    }

    /// The active user of a name. Errors: 404.
    pub(super) async fn find_user(&self, context: &RequestContext, name: &str) -> Result<Uuid, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let found = store::find_user(&mut tx, name).await?;
        tx.rollback().await?;
        found.ok_or_else(|| Problem::new(Code::NotFound, format!("There is no active user named {name:?}.")))
    }

    async fn find_token(&self, context: &RequestContext, token_id: Uuid) -> Result<store::TokenRow, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let found = store::find_token(&mut tx, token_id).await?;
        tx.rollback().await?;
        found.ok_or_else(|| Problem::new(Code::NotFound, format!("There is no token {token_id}.")))
    }

    /// A transaction for a change that concerns `user_id`, with room for the actor's entry in the audit.
    pub(super) async fn begin_for(&self, context: &RequestContext, user_id: Uuid) -> Result<Tx, Problem> {
        let users = match self.actor {
            Actor::Principal { user_id: actor, .. } if actor != user_id => vec![user_id, actor],
            _ => vec![user_id],
        };
        self.pool.begin(context, Access::Users(&users), Mode::ReadWrite).await
    }

    /// A new token in the caller's transaction.
    pub(super) async fn issue_in(
        &self,
        tx: &mut Tx,
        kind: TokenKind,
        user_id: Uuid,
        device_id: Option<Uuid>,
    ) -> Result<IssuedToken, Problem> {
        let (token_id, token) = (Uuid::now_v7(), self.token(kind)?);
        store::insert_token(tx, &token, token_id, kind, user_id, device_id).await?;
        Ok(IssuedToken { user_id, device_id, token_id, token })
    }

    /// Writes an act down in the caller's transaction.
    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        context: &RequestContext,
        action: &'static str,
        subject: Uuid,
        details: &Value,
    ) -> Result<(), Problem> {
        let act = Act { action, subject: &subject.to_string(), reason: None, details };
        record_act(tx, context.request_id, self.actor, act).await
    }

    fn token(&self, kind: TokenKind) -> Result<Token, Problem> {
        self.key.issue(kind).map_err(|error| Problem::internal(error.to_string()))
    }
}
