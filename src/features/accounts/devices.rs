//! Devices and their tokens.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::directory::{DeviceListing, Directory, IssuedToken, PAGE, ROTATION_OVERLAP_S};
use super::store;
use crate::kernel::access::{Token, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode};
use crate::kernel::problem::{Code, Problem};

/// How many active devices a user may have.
pub const MAX_DEVICES: i64 = 1000;

/// A device that was just registered, with its token.
#[derive(Debug)]
pub struct NewDevice {
    /// UUIDv7.
    pub device_id: Uuid,
    /// Shown once.
    pub token: Token,
}

impl Directory {
    /// A new device of a user and its token. Errors: 404 no such user, 409 name in use, 422 name not acceptable.
    pub async fn add_device(
        &self,
        context: &RequestContext,
        user: &str,
        name: &str,
        platform: &str,
    ) -> Result<NewDevice, Problem> {
        let user_id = self.find_user(context, user).await?;
        self.register_device(context, user_id, name, platform).await
    }

    /// The same for a user that is known. Errors: 409 name in use or too many devices, 422 name not acceptable.
    pub async fn register_device(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        name: &str,
        platform: &str,
    ) -> Result<NewDevice, Problem> {
        let device_id = Uuid::now_v7();
        let mut tx = self.begin_for(context, user_id).await?;
        store::insert_device(&mut tx, user_id, device_id, name, platform, MAX_DEVICES).await?;
        let issued = self.issue_in(&mut tx, TokenKind::Device, user_id, Some(device_id)).await?;
        self.record(&mut tx, context, "device.add", device_id, &json!({ "token_id": issued.token_id })).await?;
        tx.commit().await?;
        Ok(NewDevice { device_id, token: issued.token })
    }

    /// A user's devices after `after`, by id, at most `limit`; revoked ones included.
    pub async fn list_devices(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<DeviceListing>, Problem> {
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let devices = store::list_devices(&mut tx, user_id, after, limit).await?;
        tx.rollback().await?;
        Ok(devices)
    }

    /// Every device of a user, revoked ones included. Errors: 404 no such user.
    pub async fn list_all_devices(&self, context: &RequestContext, user: &str) -> Result<Vec<DeviceListing>, Problem> {
        let user_id = self.find_user(context, user).await?;
        let mut devices = Vec::<DeviceListing>::new();
        loop {
            let after = devices.last().map(|device| device.device_id);
            let page = self.list_devices(context, user_id, after, PAGE).await?;
            if page.is_empty() {
                return Ok(devices);
            }
            devices.extend(page);
        }
    }

    /// Revokes a device and its tokens for good; says since when. Errors: 404 the user has no such device.
    pub async fn revoke_device(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        device_id: Uuid,
    ) -> Result<DateTime<Utc>, Problem> {
        let mut tx = self.begin_for(context, user_id).await?;
        let Some((revoked_at, changed)) = store::revoke_device(&mut tx, user_id, device_id).await? else {
            tx.rollback().await?;
            return Err(no_such_device());
        };
        if changed {
            self.record(&mut tx, context, "device.revoke", device_id, &json!({})).await?;
        }
        tx.commit().await?;
        Ok(revoked_at)
    }

    /// The same by names. Errors: 404 no such active user or device.
    pub async fn revoke_named_device(&self, context: &RequestContext, user: &str, name: &str) -> Result<Uuid, Problem> {
        let user_id = self.find_user(context, user).await?;
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let found = store::find_device(&mut tx, user_id, name).await?;
        tx.rollback().await?;
        let device_id = found.ok_or_else(no_such_device)?;
        self.revoke_device(context, user_id, device_id).await?;
        Ok(device_id)
    }

    /// A new token for a device; its other tokens live on for [`ROTATION_OVERLAP_S`]. Errors: 404 the user has no such
    /// device, 409 it is revoked.
    pub async fn rotate_device(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        device_id: Uuid,
    ) -> Result<IssuedToken, Problem> {
        let mut tx = self.begin_for(context, user_id).await?;
        let refusal = match store::lock_device(&mut tx, user_id, device_id).await? {
            None => no_such_device(),
            Some(false) => Problem::new(Code::Conflict, "This device is revoked; register a new one."),
            Some(true) => {
                store::expire_tokens(&mut tx, user_id, Some(device_id), None, ROTATION_OVERLAP_S).await?;
                let issued = self.issue_in(&mut tx, TokenKind::Device, user_id, Some(device_id)).await?;
                let details = json!({ "token_id": issued.token_id });
                self.record(&mut tx, context, "device.rotate", device_id, &details).await?;
                tx.commit().await?;
                return Ok(issued);
            }
        };
        tx.rollback().await?;
        Err(refusal)
    }
}

/// The same for a device of someone else and for one that never was.
pub fn no_such_device() -> Problem {
    Problem::new(Code::NotFound, "You have no such device.")
}
