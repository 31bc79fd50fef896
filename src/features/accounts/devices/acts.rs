//! What is done with devices. Viewers name their own device by its id. Commands name a user and its
//! device, which must both be active to be found.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::tokens::{IssuedToken, ROTATION_OVERLAP_S, Tokens};
use super::super::users::Users;
use super::reply::{DeviceListing, RegisteredDevice, RenamedDevice, RevokedDevice, RotatedDevice};
use super::request::{DeviceChange, NewDevice};
use super::store::{self, RevokedRow};
use crate::kernel::access::{Actor, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::idempotency::{Once, Seed, Unexecuted};
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::intake::Heard;

/// How many active devices a user may have.
pub const MAX_DEVICES: i64 = 1000;
/// Rows fetched at a time when everything is listed.
const PAGE: i64 = 1000;

/// The devices of one installation's users.
#[derive(Clone, Debug)]
pub struct Devices {
    pool: Pool,
    tokens: Tokens,
    users: Users,
}

impl Devices {
    /// Devices of `users`, whose tokens come from `tokens`.
    pub fn new(pool: Pool, tokens: Tokens, users: Users) -> Self {
        Self { pool, tokens, users }
    }

    /// A new device of a user and its token, once. Errors: 409 name in use or too many devices, 422
    /// name not acceptable; those of [`Once::claim_secret`].
    pub async fn register(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        device: &NewDevice,
        once: Once<RegisteredDevice>,
    ) -> Result<RegisteredDevice, Unexecuted> {
        let device_id = Uuid::now_v7();
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim_secret(tx, context, |seed| Some(self.revealed(seed))).await?;
        let (name, platform) = (&device.name, &device.platform);
        if let Err(refusal) = store::insert_device(&mut tx, user_id, device_id, name, platform, MAX_DEVICES).await {
            tx.rollback().await?;
            return Err(refusal.into());
        }
        let issued = self.tokens.issue_in(&mut tx, once.seed(), TokenKind::Device, user_id, Some(device_id)).await?;
        let details = json!({ "token_id": issued.token_id });
        record(&mut tx, context, actor, "device.add", device_id, &details).await?;
        let registered = RegisteredDevice { device_id, token: issued.token };
        once.commit(tx, context, &registered).await?;
        Ok(registered)
    }

    fn revealed(&self, seed: &Seed) -> String {
        self.tokens.reveal(seed, TokenKind::Device)
    }

    /// The same by the user's name, each time. Errors: 404 no such active user, 409 name in use or
    /// too many devices, 422 name not acceptable.
    pub async fn add(
        &self,
        context: &RequestContext,
        actor: Actor,
        user: &str,
        name: &str,
        platform: &str,
    ) -> Result<RegisteredDevice, Problem> {
        let user_id = self.users.find(context, user).await?;
        let device = NewDevice { name: name.to_owned(), platform: platform.to_owned() };
        Ok(self.register(context, actor, user_id, &device, Once::unkeyed()).await?)
    }

    /// A user's devices after `after`, by id, at most `limit` and revoked ones included.
    pub async fn list(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<DeviceListing>, Problem> {
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let devices = store::list_devices(&mut tx, user_id, after, limit).await?;
        tx.rollback().await?;
        Ok(devices.into_iter().map(DeviceListing::from).collect())
    }

    /// Writes down in which protocol devices reported last, and when.
    pub async fn note_reports(&self, context: &RequestContext, heard: &[Heard]) -> Result<(), Problem> {
        if heard.is_empty() {
            return Ok(());
        }
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        store::note_reports(&mut tx, heard).await?;
        tx.commit().await
    }

    /// When one of a user's devices last showed its token, to the minute.
    pub async fn last_heard(&self, context: &RequestContext, user_id: Uuid) -> Result<Option<DateTime<Utc>>, Problem> {
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let heard = store::last_heard(&mut tx, user_id).await?;
        tx.rollback().await?;
        Ok(heard)
    }

    /// Every device of a user, revoked ones included. Errors: 404 no such active user.
    pub async fn list_all(&self, context: &RequestContext, user: &str) -> Result<Vec<DeviceListing>, Problem> {
        let user_id = self.users.find(context, user).await?;
        let mut devices = Vec::<DeviceListing>::new();
        loop {
            let after = devices.last().map(|device| device.device_id);
            let page = self.list(context, user_id, after, PAGE).await?;
            if page.is_empty() {
                return Ok(devices);
            }
            devices.extend(page);
        }
    }

    /// Revokes a device and its tokens for good, once. Errors: 404 the user has no such device; those
    /// of [`Once::claim`].
    pub async fn revoke(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        device_id: Uuid,
        once: Once<RevokedDevice>,
    ) -> Result<RevokedDevice, Unexecuted> {
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim(tx, context).await?;
        let Some(RevokedRow { revoked_at, changed }) = store::revoke_device(&mut tx, user_id, device_id).await? else {
            tx.rollback().await?;
            return Err(no_such_device().into());
        };
        if changed {
            record(&mut tx, context, actor, "device.revoke", device_id, &json!({})).await?;
        }
        let revoked = RevokedDevice { device_id, revoked_at };
        once.commit(tx, context, &revoked).await?;
        Ok(revoked)
    }

    /// The same by names, each time. Errors: 404 no such active user or device.
    pub async fn revoke_named(
        &self,
        context: &RequestContext,
        actor: Actor,
        user: &str,
        name: &str,
    ) -> Result<RevokedDevice, Problem> {
        let user_id = self.users.find(context, user).await?;
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let found = store::find_device(&mut tx, user_id, name).await?;
        tx.rollback().await?;
        let device_id = found.ok_or_else(no_such_device)?;
        Ok(self.revoke(context, actor, user_id, device_id, Once::unkeyed()).await?)
    }

    /// Gives a device another name, once, be it revoked or not. Where the caller says what it was called when it was looked
    /// at, it still is. Errors: 404 the user has no such device, 409 the name is in use or the device is called something
    /// else by now, 422 name not acceptable; those of [`Once::claim`].
    pub async fn rename(
        &self,
        context: &RequestContext,
        actor: Actor,
        (user_id, device_id): (Uuid, Uuid),
        change: &DeviceChange,
        once: Once<RenamedDevice>,
    ) -> Result<RenamedDevice, Unexecuted> {
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim(tx, context).await?;
        let renamed = match store::lock_device_name(&mut tx, user_id, device_id).await? {
            None => Err(no_such_device()),
            // The same once more changes nothing, whatever it was called before.
            Some(present) if present == change.name => Ok(false),
            Some(present) if change.former_name.as_ref().is_some_and(|former| *former != present) => {
                Err(renamed_meanwhile(&present))
            }
            Some(_) => store::rename_device(&mut tx, user_id, device_id, &change.name).await.map(|()| true),
        };
        let is_new = match renamed {
            Ok(is_new) => is_new,
            Err(refusal) => {
                tx.rollback().await?;
                return Err(refusal.into());
            }
        };
        if is_new {
            // The audit has ids, and no names.
            record(&mut tx, context, actor, "device.rename", device_id, &json!({})).await?;
        }
        let renamed = RenamedDevice { device_id, name: change.name.clone() };
        once.commit(tx, context, &renamed).await?;
        Ok(renamed)
    }

    /// A new token for a device, once. Its other tokens live on for [`ROTATION_OVERLAP_S`]. Errors:
    /// 404 the user has no such device, 409 it is revoked; those of [`Once::claim_secret`].
    pub async fn rotate(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        device_id: Uuid,
        once: Once<RotatedDevice>,
    ) -> Result<RotatedDevice, Unexecuted> {
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim_secret(tx, context, |seed| Some(self.revealed(seed))).await?;
        let refusal = match store::lock_device(&mut tx, user_id, device_id).await? {
            None => no_such_device(),
            Some(false) => Problem::new(Code::Conflict, "This device is revoked; register a new one."),
            Some(true) => {
                let issued = self.tokens.replace_in(&mut tx, once.seed(), user_id, device_id).await?;
                let details = json!({ "token_id": issued.token_id });
                record(&mut tx, context, actor, "device.rotate", device_id, &details).await?;
                let (token, previous_valid_for_s) = (issued.token, ROTATION_OVERLAP_S);
                let rotated = RotatedDevice { device_id, token, previous_valid_for_s };
                once.commit(tx, context, &rotated).await?;
                return Ok(rotated);
            }
        };
        tx.rollback().await?;
        Err(refusal.into())
    }

    /// Another token for a device, whose other tokens stay as they are. Errors: 404 no such active
    /// user or device.
    pub async fn issue_token(
        &self,
        context: &RequestContext,
        actor: Actor,
        user: &str,
        name: &str,
    ) -> Result<IssuedToken, Problem> {
        let user_id = self.users.find(context, user).await?;
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        let device_id = store::find_device(&mut tx, user_id, name).await?.ok_or_else(|| {
            Problem::new(Code::NotFound, format!("User {user:?} has no active device named {name:?}."))
        })?;
        let issued = self.tokens.issue_in(&mut tx, None, TokenKind::Device, user_id, Some(device_id)).await?;
        let details = json!({ "kind": TokenKind::Device.as_str(), "user_id": user_id, "device_id": device_id });
        record(&mut tx, context, actor, "token.issue", issued.token_id, &details).await?;
        tx.commit().await?;
        Ok(issued)
    }
}

fn renamed_meanwhile(present: &str) -> Problem {
    let detail = format!("The device is called “{present}” by now; look at it again.");
    let violation = Violation::new("/former_name", "renamed_meanwhile", detail);
    Problem::new(Code::Conflict, "The device is called something else by now; see errors.").violating(vec![violation])
}

/// The same for a device of someone else and for one that never was.
pub fn no_such_device() -> Problem {
    Problem::new(Code::NotFound, "You have no such device.")
}
