//! How devices of other products' trackers come into being, as the slice that owns accounts does it. The composition root
//! hands that over.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::kernel::access::{Actor, Token};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

/// What a new device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// 1 to 100 characters without control characters. A number is added where its owner has an active device of that name.
    pub name: String,
    /// 1 to 40 of the same.
    pub platform: String,
    /// SHA-256 of what the machine calls itself, if it does: the same machine of the same owner is the same device.
    pub machine: Option<[u8; 32]>,
}

/// A device with a token of its own.
#[derive(Debug)]
pub struct Enrolled {
    /// The owner.
    pub user_id: Uuid,
    /// The device.
    pub device_id: Uuid,
    /// Shown once.
    pub token: Token,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A pairing that waits for its owner.
#[derive(Debug)]
pub struct BegunPairing {
    /// The device's secret, by which it asks again.
    pub device_code: String,
    /// What the owner approves.
    pub user_code: String,
    /// For how long.
    pub expires_in_s: u32,
}

/// What became of a pairing.
#[derive(Debug)]
pub enum Polled {
    /// Nobody has approved it yet.
    Pending,
    /// It is a device now. Asked again, it gets the same token.
    Paired(Paired),
    /// Nobody has approved it in time.
    Expired,
    /// There was no such pairing.
    Unknown,
}

/// A device that was paired.
#[derive(Debug)]
pub struct Paired {
    /// The owner.
    pub user_id: Uuid,
    /// The device.
    pub device_id: Uuid,
    /// Its token.
    pub token: Token,
}

/// What the owner of accounts does for those who speak other protocols.
pub trait Registrar: Send + Sync {
    /// Begins a pairing. Nothing is stored.
    fn begin_pairing(&self, newcomer: &Newcomer) -> Result<BegunPairing, Problem>;

    /// What became of it.
    fn poll_pairing(&self, context: RequestContext, device_code: String)
    -> BoxFuture<'static, Result<Polled, Problem>>;

    /// Turns a link code into a device's token, once. The same `request_id` gets the same token again. Errors: 422 for what
    /// cannot be exchanged, 429 after too many of those.
    fn exchange(
        &self,
        context: RequestContext,
        code: String,
        request_id: String,
        newcomer: Newcomer,
    ) -> BoxFuture<'static, Result<Enrolled, Problem>>;

    /// A token for a device of a viewer's user.
    fn issue(
        &self,
        context: RequestContext,
        actor: Actor,
        user_id: Uuid,
        newcomer: Newcomer,
    ) -> BoxFuture<'static, Result<Enrolled, Problem>>;

    /// The one device of a user that reports accounts elsewhere, which every machine of the user reports alike.
    fn account_device(&self, context: RequestContext, user_id: Uuid) -> BoxFuture<'static, Result<Uuid, Problem>>;
}

/// Accounts, handed over. Clones share them.
#[derive(Clone)]
pub struct Enrolment(Arc<dyn Registrar>);

impl Enrolment {
    /// By the slice that owns accounts.
    pub fn new(accounts: impl Registrar + 'static) -> Self {
        Self(Arc::new(accounts))
    }
}

impl std::ops::Deref for Enrolment {
    type Target = dyn Registrar;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Enrolment(…)")
    }
}

impl Newcomer {
    /// A machine by what it calls itself; none where it says nothing.
    pub fn machine_of(text: &str) -> Option<[u8; 32]> {
        let text = text.trim();
        (!text.is_empty()).then(|| Sha256::new().chain_update(b"machine\0").chain_update(text).finalize().into())
    }
}
