//! What is done with demos.

use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::devices::{Devices, MAX_DEVICES, insert_device};
use super::super::tokens::Tokens;
use super::super::users::{Users, insert_user};
use crate::kernel::access::{Actor, Token, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Pool, Tx};
use crate::kernel::problem::{Code, Problem};

/// What the devices of a demo run. No tracker says so.
const PLATFORM: &str = "halfhour demo";
/// What its tokens are derived for.
const PURPOSE: &[u8] = b"halfhour demo token\0";

/// The demos of one installation: at most one is active.
#[derive(Clone, Debug)]
pub struct Demos {
    pool: Pool,
    tokens: Tokens,
    users: Users,
    devices: Devices,
}

/// A user whose usage is made up.
#[derive(Debug)]
pub struct Demo {
    /// Whose usage it is.
    pub user_id: Uuid,
    /// Reads it.
    pub viewer_token: Token,
    /// The devices of the demo, in the order in which they were asked for.
    pub devices: Vec<DemoDevice>,
    /// The names of devices that somebody else has registered for this user.
    pub other_devices: Vec<String>,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// A device whose usage is made up.
#[derive(Debug)]
pub struct DemoDevice {
    /// Its id.
    pub device_id: Uuid,
    /// Posts its usage.
    pub token: Token,
}

impl Demos {
    /// Demos whose tokens come from `tokens`.
    pub fn new(pool: Pool, tokens: Tokens, users: Users, devices: Devices) -> Self {
        Self { pool, tokens, users, devices }
    }

    /// The active user of that name with devices of these names: the demo that there is, or a new one. Errors: 409 a
    /// user of this name is no demo, 422 name or zone not acceptable.
    pub async fn find_or_make(
        &self,
        context: &RequestContext,
        actor: Actor,
        (name, time_zone): (&str, &str),
        devices: &[&str],
    ) -> Result<Demo, Problem> {
        if let Some(user_id) = self.active(context, name).await? {
            return self.existing(context, user_id, name, devices.len()).await;
        }
        match self.make(context, actor, (name, time_zone), devices).await {
            // Another command was first.
            Err(problem) if problem.code() == Code::Conflict => {
                let user_id = self.users.find(context, name).await?;
                self.existing(context, user_id, name, devices.len()).await
            }
            made => made,
        }
    }

    /// The demo that a user is; `None` for a user who is none.
    pub async fn of_user(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        devices: usize,
    ) -> Result<Option<Demo>, Problem> {
        // Those that the demo has made come first, because they are as old as the user.
        let listed = self.devices.list(context, user_id, None, MAX_DEVICES).await?;
        let Some((own, others)) = listed.split_at_checked(devices) else { return Ok(None) };
        if own.is_empty() || own.iter().any(|device| device.platform != PLATFORM) {
            return Ok(None);
        }
        let own = own.iter().map(|device| self.device(user_id, device.device_id)).collect();
        let others = others.iter().map(|device| device.name.clone()).collect();
        Ok(Some(self.demo(user_id, own, others, false)))
    }

    /// The active user of a name.
    pub async fn active(&self, context: &RequestContext, name: &str) -> Result<Option<Uuid>, Problem> {
        match self.users.find(context, name).await {
            Ok(user_id) => Ok(Some(user_id)),
            Err(problem) if problem.code() == Code::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn existing(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        name: &str,
        devices: usize,
    ) -> Result<Demo, Problem> {
        self.of_user(context, user_id, devices).await?.ok_or_else(|| {
            let detail = format!(
                "There is a user {name:?} whom no demo has made, so that nothing was changed. A demo needs that name: \
                 revoke that user (`halfhour user revoke {name}`) if nobody needs it."
            );
            Problem::new(Code::Conflict, detail)
        })
    }

    async fn make(
        &self,
        context: &RequestContext,
        actor: Actor,
        (name, time_zone): (&str, &str),
        devices: &[&str],
    ) -> Result<Demo, Problem> {
        let user_id = Uuid::now_v7();
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        let made = async {
            insert_user(&mut tx, user_id, name, time_zone).await?;
            let viewer = self.issue(&mut tx, TokenKind::Viewer, user_id, None).await?;
            record(&mut tx, context, actor, "user.add", user_id, &json!({ "token_id": viewer, "demo": true })).await?;
            let mut made = Vec::new();
            for device in devices {
                let device_id = Uuid::now_v7();
                insert_device(&mut tx, user_id, device_id, device, PLATFORM, MAX_DEVICES).await?;
                let token_id = self.issue(&mut tx, TokenKind::Device, user_id, Some(device_id)).await?;
                record(&mut tx, context, actor, "device.add", device_id, &json!({ "token_id": token_id })).await?;
                made.push(self.device(user_id, device_id));
            }
            Ok::<_, Problem>(made)
        }
        .await;
        match made {
            Ok(made) => {
                tx.commit().await?;
                Ok(self.demo(user_id, made, Vec::new(), true))
            }
            Err(refusal) => {
                // Where the connection is lost, nothing of it is left either.
                let _ = tx.rollback().await;
                Err(refusal)
            }
        }
    }

    /// Stores the token that [`Demos::token`] reveals. Returns its id.
    async fn issue(
        &self,
        tx: &mut Tx,
        kind: TokenKind,
        user_id: Uuid,
        device_id: Option<Uuid>,
    ) -> Result<Uuid, Problem> {
        self.tokens.store_in(tx, &self.token(kind, user_id, device_id), kind, user_id, device_id).await
    }

    fn token(&self, kind: TokenKind, user_id: Uuid, device_id: Option<Uuid>) -> Token {
        let whose = device_id.unwrap_or(user_id);
        self.tokens.derive(kind, &[PURPOSE, user_id.as_bytes(), whose.as_bytes()])
    }

    fn device(&self, user_id: Uuid, device_id: Uuid) -> DemoDevice {
        DemoDevice { device_id, token: self.token(TokenKind::Device, user_id, Some(device_id)) }
    }

    fn demo(&self, user_id: Uuid, devices: Vec<DemoDevice>, other_devices: Vec<String>, is_new: bool) -> Demo {
        let viewer_token = self.token(TokenKind::Viewer, user_id, None);
        Demo { user_id, viewer_token, devices, other_devices, is_new }
    }
}
