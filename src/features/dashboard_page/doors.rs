//! What accounts can do for the page. The composition root hands it over.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::kernel::access::{Session, Viewer};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

/// What comes of asking.
pub type FromAccounts<T> = BoxFuture<'static, Result<T, Problem>>;

/// Who somebody is.
#[derive(Clone, Debug)]
pub struct PagePerson {
    /// Its name.
    pub name: String,
    /// The zone that it wants its days in.
    pub time_zone: String,
}

/// A device, as its owner sees it.
#[derive(Clone, Debug)]
pub struct PageDevice {
    /// Its id.
    pub device_id: Uuid,
    /// Its name.
    pub name: String,
    /// What it runs.
    pub platform: String,
    /// Since when it may not post.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it last called.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The protocol in which it reported last.
    pub speaks: Option<String>,
    /// How many of its snapshots replaced nothing, because its tool deletes logs.
    pub kept: i64,
}

/// A token or a session that works, as its owner sees it.
#[derive(Clone, Debug)]
pub struct PageToken {
    /// By which it can be revoked.
    pub token_id: Uuid,
    /// What it may do.
    pub kind: String,
    /// Whether a browser stands behind it.
    pub is_session: bool,
    /// What its owner calls it, where it was issued here.
    pub label: Option<String>,
    /// The device, for a device's token.
    pub device: Option<String>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A secret that is shown once.
#[derive(Clone)]
pub struct PageSecret {
    /// The device that it is for, where it is for one.
    pub device_id: Option<Uuid>,
    /// The secret.
    pub text: String,
}

impl fmt::Debug for PageSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PageSecret(…)")
    }
}

/// What of one's usage was deleted, or would be.
#[derive(Clone, Copy, Debug)]
pub struct PageErasure {
    /// How many buckets.
    pub buckets: i64,
    /// The first half hour of them, and the last one.
    pub hours: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// What of a person went, or would.
#[derive(Clone, Copy, Debug)]
pub struct PageFarewell {
    /// Devices, tokens and link codes, in this order.
    pub accounts: [i64; 3],
    /// Buckets.
    pub buckets: i64,
    /// Rows of the rollup.
    pub rollup_rows: i64,
    /// False where a server goes on removing usage by itself.
    pub is_finished: bool,
}

/// Knows who signs in, and what is theirs.
pub trait AccountActs: Send + Sync {
    /// The name of whom a code would sign in. Errors: 422 for a code that is not good.
    fn owner_of_code(&self, context: RequestContext, code: String) -> FromAccounts<String>;
    /// Begins a session, once for each code. Errors: 422 for a code that is not good.
    fn sign_in_with_code(&self, context: RequestContext, code: String) -> FromAccounts<Session>;
    /// Begins a session for the owner of a viewer token. Errors: 401 and 403 for any other token.
    fn sign_in_with_token(&self, context: RequestContext, token: String) -> FromAccounts<Session>;
    /// Ends the session of a viewer, or all sessions of its user where it says `everywhere`.
    fn sign_out(&self, viewer: Viewer, everywhere: bool) -> FromAccounts<u64>;
    /// Who a viewer is.
    fn person(&self, viewer: Viewer) -> FromAccounts<PagePerson>;
    /// Its devices, revoked ones included, the first `most` of them.
    fn devices(&self, viewer: Viewer, most: u16) -> FromAccounts<Vec<PageDevice>>;
    /// Has its days rebuilt in another zone. Errors: 422 for a zone that is not known.
    fn change_zone(&self, viewer: Viewer, time_zone: String) -> FromAccounts<()>;
    /// Adds a device, and gives its token. Errors: 409 for a name in use and for too many devices.
    fn add_device(&self, viewer: Viewer, name: String, platform: String) -> FromAccounts<PageSecret>;
    /// Gives a device another token. Errors: 404 for one that is not its own, 409 for one that is revoked.
    fn rotate_device(&self, viewer: Viewer, device_id: Uuid) -> FromAccounts<PageSecret>;
    /// Gives a device another name, if it still is called `former_name`. Errors: 404 for one that is not its own, 409 for a
    /// name in use and for a device that is called something else by now, 422 for a name that is not acceptable.
    fn rename_device(&self, viewer: Viewer, device_id: Uuid, name: String, former_name: String) -> FromAccounts<()>;
    /// Revokes a device for good. Errors: 404 for one that is not its own.
    fn revoke_device(&self, viewer: Viewer, device_id: Uuid) -> FromAccounts<()>;
    /// Makes a code by which a new device gets its token. Errors: 429 where too many could still be used.
    fn make_link_code(&self, viewer: Viewer) -> FromAccounts<PageSecret>;
    /// Its tokens and sessions that work, the newest first, at most `most` of them.
    fn tokens(&self, viewer: Viewer, most: u16) -> FromAccounts<Vec<PageToken>>;
    /// Gives it another token that reads, under a label. Errors: 409 for too many.
    fn issue_token(&self, viewer: Viewer, label: String) -> FromAccounts<PageSecret>;
    /// Revokes a viewer token or a session of its own. Errors: 404 for any other.
    fn revoke_token(&self, viewer: Viewer, token_id: Uuid) -> FromAccounts<()>;
    /// Deletes its usage, or only counts it, as the parameters say that the API takes. Errors: 422 for what is wrong with
    /// them, 409 for too many separate deletions.
    fn erase_usage(&self, viewer: Viewer, parameters: Vec<(String, String)>) -> FromAccounts<PageErasure>;
    /// Erases it, or only counts what would go where it does not confirm that with its name. Errors: 422 for another name,
    /// 409 for the last one who operates the installation.
    fn erase_person(&self, viewer: Viewer, confirm: Option<String>) -> FromAccounts<PageFarewell>;
}

/// The door to accounts.
#[derive(Clone)]
pub struct AccountDoor(Arc<dyn AccountActs>);

impl AccountDoor {
    /// To whoever does these acts.
    pub fn new(acts: impl AccountActs + 'static) -> Self {
        Self(Arc::new(acts))
    }

    /// The acts.
    pub fn acts(&self) -> &dyn AccountActs {
        &*self.0
    }
}

impl fmt::Debug for AccountDoor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccountDoor")
    }
}
