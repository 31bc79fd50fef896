//! Creating users, devices and tokens, and revoking tokens: each one transaction, in the name of the user it concerns.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::store;
use crate::kernel::call::Call;
use crate::kernel::db::{Access, Mode, Pool};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::token::{Kind, ServerKey, Token};

/// Rows fetched at a time when listing.
const PAGE: i64 = 1000;

/// The users, devices and tokens of one installation.
#[derive(Clone, Debug)]
pub struct Directory {
    pool: Pool,
    key: Arc<ServerKey>,
}

/// A user that was just created, with its viewer token.
#[derive(Debug)]
pub struct NewUser {
    /// UUIDv7.
    pub user_id: Uuid,
    /// Shown once.
    pub viewer_token: Token,
}

/// A device that was just created, with its token.
#[derive(Debug)]
pub struct NewDevice {
    /// UUIDv7.
    pub device_id: Uuid,
    /// Shown once.
    pub token: Token,
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
    /// Since when it is refused.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Roughly when it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl Directory {
    /// Works through `pool`; tokens are made under `key`.
    pub fn new(pool: Pool, key: ServerKey) -> Self {
        Self { pool, key: Arc::new(key) }
    }

    /// A new user and its viewer token. Errors: 409 name in use, 422 name or zone not acceptable.
    pub async fn add_user(&self, call: &Call, name: &str, time_zone: &str) -> Result<NewUser, Problem> {
        let user_id = Uuid::now_v7();
        let viewer_token = self.token(Kind::Viewer)?;
        let mut tx = self.pool.begin(call, Access::Users(&[user_id]), Mode::ReadWrite).await?;
        store::insert_user(&mut tx, user_id, name, time_zone).await?;
        store::insert_token(&mut tx, &viewer_token, Uuid::now_v7(), Kind::Viewer, user_id, None).await?;
        tx.commit().await?;
        Ok(NewUser { user_id, viewer_token })
    }

    /// A new device of a user and its token. Errors: 404 no such user, 409 name in use, 422 name not acceptable.
    pub async fn add_device(&self, call: &Call, user: &str, name: &str, platform: &str) -> Result<NewDevice, Problem> {
        let user_id = self.find_user(call, user).await?;
        let device_id = Uuid::now_v7();
        let token = self.token(Kind::Device)?;
        let mut tx = self.pool.begin(call, Access::Users(&[user_id]), Mode::ReadWrite).await?;
        store::insert_device(&mut tx, user_id, device_id, name, platform).await?;
        store::insert_token(&mut tx, &token, Uuid::now_v7(), Kind::Device, user_id, Some(device_id)).await?;
        tx.commit().await?;
        Ok(NewDevice { device_id, token })
    }

    /// Another token for a user, or for one of its devices when `device` names one. Errors: 404 no such user or device.
    pub async fn issue_token(
        &self,
        call: &Call,
        user: &str,
        kind: Kind,
        device: Option<&str>,
    ) -> Result<IssuedToken, Problem> {
        let user_id = self.find_user(call, user).await?;
        let (token_id, token) = (Uuid::now_v7(), self.token(kind)?);
        let mut tx = self.pool.begin(call, Access::Users(&[user_id]), Mode::ReadWrite).await?;
        let device_id = match device {
            Some(name) => Some(store::find_device(&mut tx, user_id, name).await?.ok_or_else(|| {
                Problem::new(Code::NotFound, format!("User {user:?} has no active device named {name:?}."))
            })?),
            None => None,
        };
        store::insert_token(&mut tx, &token, token_id, kind, user_id, device_id).await?;
        tx.commit().await?;
        Ok(IssuedToken { user_id, device_id, token_id, token })
    }

    /// Revokes a token for good. False when it was revoked before. Errors: 404 no such token.
    pub async fn revoke_token(&self, call: &Call, token_id: Uuid) -> Result<bool, Problem> {
        let mut tx = self.pool.begin(call, Access::Worker, Mode::Snapshot).await?;
        let owner = store::find_token_owner(&mut tx, token_id).await?;
        tx.rollback().await?;
        let (user_id, active) =
            owner.ok_or_else(|| Problem::new(Code::NotFound, format!("There is no token {token_id}.")))?;
        let mut tx = self.pool.begin(call, Access::Users(&[user_id]), Mode::ReadWrite).await?;
        store::revoke_token(&mut tx, token_id).await?;
        tx.commit().await?;
        Ok(active)
    }

    /// All tokens, or those of one user, oldest first; revoked ones included. Errors: 404 no such user.
    pub async fn list_tokens(&self, call: &Call, user: Option<&str>) -> Result<Vec<TokenListing>, Problem> {
        let user_id = match user {
            Some(name) => Some(self.find_user(call, name).await?),
            None => None,
        };
        let mut tx = self.pool.begin(call, Access::Worker, Mode::Snapshot).await?;
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

    async fn find_user(&self, call: &Call, name: &str) -> Result<Uuid, Problem> {
        let mut tx = self.pool.begin(call, Access::Worker, Mode::Snapshot).await?;
        let found = store::find_user(&mut tx, name).await?;
        tx.rollback().await?;
        found.ok_or_else(|| Problem::new(Code::NotFound, format!("There is no active user named {name:?}.")))
    }

    fn token(&self, kind: Kind) -> Result<Token, Problem> {
        self.key.issue(kind).map_err(|error| Problem::internal(error.to_string()))
    }
}
