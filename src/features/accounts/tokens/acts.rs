//! What is done with tokens. Acts of other nouns that make a token bring their own transaction.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::reply::TokenListing;
use super::store::{self, FoundToken, OtherKeysTokens, OwnToken, TokenAges};
use crate::kernel::access::{Actor, ServerKey, Token, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::idempotency::Seed;
use crate::kernel::problem::{Code, Problem};

/// For how long a token lives on when another one takes its place, in seconds.
pub const ROTATION_OVERLAP_S: u32 = 600;
/// A token that was not used for so many days is probably forgotten.
pub const IDLE_DAYS: i32 = 90;
/// An operator's token that was issued so many days ago should be rotated.
pub const OLD_DAYS: i32 = 365;
/// A user issues no more tokens for itself while so many of them work.
const MAX_OWN: i64 = 100;
/// Rows fetched at a time when everything is listed.
const PAGE: i64 = 1000;

/// The tokens of one installation.
#[derive(Clone, Debug)]
pub struct Tokens {
    pool: Pool,
    key: Arc<ServerKey>,
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

impl Tokens {
    /// Tokens that are made under `key`.
    pub fn new(pool: Pool, key: Arc<ServerKey>) -> Self {
        Self { pool, key }
    }

    /// A new token in the caller's transaction: derived from a seed, or random where there is none.
    pub async fn issue_in(
        &self,
        tx: &mut Tx,
        seed: Option<&Seed>,
        kind: TokenKind,
        user_id: Uuid,
        device_id: Option<Uuid>,
    ) -> Result<IssuedToken, Problem> {
        let token = match seed {
            Some(seed) => seed.token(&self.key, kind),
            None => self.key.issue(kind).map_err(|error| Problem::internal(error.to_string()))?,
        };
        let token_id = self.store_in(tx, &token, kind, user_id, device_id).await?;
        Ok(IssuedToken { user_id, device_id, token_id, token })
    }

    /// Stores a token in the caller's transaction. Returns the id by which it can be revoked.
    pub async fn store_in(
        &self,
        tx: &mut Tx,
        token: &Token,
        kind: TokenKind,
        user_id: Uuid,
        device_id: Option<Uuid>,
    ) -> Result<Uuid, Problem> {
        let token_id = Uuid::now_v7();
        store::add_token(tx, token, token_id, kind, user_id, device_id).await?;
        Ok(token_id)
    }

    /// The token that the same parts always give, under the server's key. The first one names the purpose.
    pub fn derive(&self, kind: TokenKind, parts: &[&[u8]]) -> Token {
        self.key.derive(kind, parts)
    }

    /// A new token for a device in the caller's transaction. The device's other tokens live on for
    /// [`ROTATION_OVERLAP_S`].
    pub async fn replace_in(
        &self,
        tx: &mut Tx,
        seed: Option<&Seed>,
        user_id: Uuid,
        device_id: Uuid,
    ) -> Result<IssuedToken, Problem> {
        store::expire_tokens(tx, user_id, Some(device_id), None, ROTATION_OVERLAP_S).await?;
        self.issue_in(tx, seed, TokenKind::Device, user_id, Some(device_id)).await
    }

    /// The token that an execution with this seed made, as its answer shows it.
    pub fn reveal(&self, seed: &Seed, kind: TokenKind) -> String {
        seed.token(&self.key, kind).reveal().to_owned()
    }

    /// A token that takes the place of another one, which lives on for [`ROTATION_OVERLAP_S`].
    /// Errors: 404 no such token, 409 it is revoked.
    pub async fn rotate(&self, context: &RequestContext, actor: Actor, token_id: Uuid) -> Result<IssuedToken, Problem> {
        let old = self.find(context, token_id).await?;
        let kind = TokenKind::parse(&old.kind).ok_or_else(|| Problem::internal("a token of no known kind"))?;
        if !old.active {
            return Err(Problem::new(Code::Conflict, format!("Token {token_id} is revoked: issue another one.")));
        }
        let mut tx = begin_change(&self.pool, context, actor, old.user_id).await?;
        store::expire_tokens(&mut tx, old.user_id, None, Some(token_id), ROTATION_OVERLAP_S).await?;
        let issued = self.issue_in(&mut tx, None, kind, old.user_id, old.device_id).await?;
        let details = json!({ "token_id": issued.token_id });
        record(&mut tx, context, actor, "token.rotate", token_id, &details).await?;
        tx.commit().await?;
        Ok(issued)
    }

    /// Revokes a token for good. False when it was revoked before. Errors: 404 no such token.
    pub async fn revoke(&self, context: &RequestContext, actor: Actor, token_id: Uuid) -> Result<bool, Problem> {
        let token = self.find(context, token_id).await?;
        if token.active {
            let mut tx = begin_change(&self.pool, context, actor, token.user_id).await?;
            store::revoke_token(&mut tx, token_id).await?;
            record(&mut tx, context, actor, "token.revoke", token_id, &json!({})).await?;
            tx.commit().await?;
        }
        Ok(token.active)
    }

    /// All tokens, or those of one user, oldest first and revoked ones included.
    pub async fn list(&self, context: &RequestContext, user_id: Option<Uuid>) -> Result<Vec<TokenListing>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let mut tokens = Vec::<TokenListing>::new();
        loop {
            let after = tokens.last().map(|token| token.token_id);
            let page = store::list_tokens(&mut tx, user_id, after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            tokens.extend(page.into_iter().map(TokenListing::from));
        }
        tx.rollback().await?;
        Ok(tokens)
    }

    /// The tokens and sessions of a user that work, the newest first, at most `most` of them.
    pub async fn own(&self, context: &RequestContext, user_id: Uuid, most: u16) -> Result<Vec<OwnToken>, Problem> {
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let tokens = store::own_tokens(&mut tx, user_id, most.into()).await;
        tx.rollback().await?;
        tokens
    }

    /// Another token of a user that reads, under a label. Errors: 409 for more than `MAX_OWN` that work, 422 for a label
    /// that is not acceptable, 401 the user was erased.
    pub async fn issue_own(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        label: &str,
    ) -> Result<IssuedToken, Problem> {
        let token = self.key.issue(TokenKind::Viewer).map_err(|error| Problem::internal(error.to_string()))?;
        let token_id = Uuid::now_v7();
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        if let Err(refusal) = store::insert_labelled_token(&mut tx, &token, token_id, user_id, label, MAX_OWN).await {
            tx.rollback().await?;
            return Err(refusal);
        }
        let details = json!({ "kind": TokenKind::Viewer.as_str(), "user_id": user_id, "device_id": null });
        record(&mut tx, context, actor, "token.issue", token_id, &details).await?;
        tx.commit().await?;
        Ok(IssuedToken { user_id, device_id: None, token_id, token })
    }

    /// Revokes a viewer token or a session of a user. Errors: 404 it has none such that works.
    pub async fn revoke_own(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        token_id: Uuid,
    ) -> Result<(), Problem> {
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        if !store::revoke_own_token(&mut tx, user_id, token_id).await? {
            tx.rollback().await?;
            return Err(Problem::new(Code::NotFound, "You have no such token or session."));
        }
        record(&mut tx, context, actor, "token.revoke", token_id, &json!({})).await?;
        tx.commit().await
    }

    /// How many tokens work at `now`, and how many of them should be looked at: [`IDLE_DAYS`], [`OLD_DAYS`].
    /// It needs no key, which whoever only looks may not have.
    pub async fn ages(pool: &Pool, context: &RequestContext, now: DateTime<Utc>) -> Result<TokenAges, Problem> {
        let mut tx = pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let ages = store::token_ages(&mut tx, now, IDLE_DAYS, OLD_DAYS, ROTATION_OVERLAP_S).await?;
        tx.rollback().await?;
        Ok(ages)
    }

    /// Writes down when tokens were last used. Returns how many of them another one has taken the place of, so that
    /// they end within [`ROTATION_OVERLAP_S`].
    pub async fn note_uses(&self, context: &RequestContext, uses: &[(Uuid, DateTime<Utc>)]) -> Result<i64, Problem> {
        if uses.is_empty() {
            return Ok(0);
        }
        let (token_ids, used_ats): (Vec<_>, Vec<_>) = uses.iter().copied().unzip();
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let expiring = store::note_token_uses(&mut tx, &token_ids, &used_ats).await?;
        tx.commit().await?;
        Ok(expiring)
    }

    /// Notes that a server is started with this key. Returns the tokens that another one may have made.
    pub async fn note_server_key(&self, context: &RequestContext) -> Result<OtherKeysTokens, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let others = store::note_server_key(&mut tx, self.key.fingerprint()).await?;
        tx.commit().await?;
        Ok(others)
    }

    /// Whether servers were started on this database, and none of them with this key: what it makes, they refuse.
    pub async fn are_of_another_key(&self, context: &RequestContext) -> Result<bool, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let other = store::is_other_server_key(&mut tx, self.key.fingerprint()).await?;
        tx.rollback().await?;
        Ok(other)
    }

    /// Whether there is any token.
    pub async fn exist(&self, context: &RequestContext) -> Result<bool, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let exist = store::tokens_exist(&mut tx).await?;
        tx.rollback().await?;
        Ok(exist)
    }

    /// Removes tokens that ended 30 days before `now`.
    pub async fn purge(&self, context: &RequestContext, now: DateTime<Utc>) -> Result<(), Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        store::purge_tokens(&mut tx, now).await?;
        tx.commit().await
    }

    async fn find(&self, context: &RequestContext, token_id: Uuid) -> Result<FoundToken, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let found = store::find_token(&mut tx, token_id).await?;
        tx.rollback().await?;
        found.ok_or_else(|| Problem::new(Code::NotFound, format!("There is no token {token_id}.")))
    }
}
