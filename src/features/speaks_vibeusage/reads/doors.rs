//! What accounts can do for this slice. The composition root hands it over.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::kernel::access::{Actor, Viewer};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

/// A code by which a new device gets its token.
#[derive(Clone, PartialEq, Eq)]
pub struct StandingCode {
    /// The code. It is a secret.
    pub code: String,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

impl fmt::Debug for StandingCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StandingCode").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Knows users' devices, and how they come to be.
#[derive(Clone)]
pub struct DeviceDoor {
    give_code: Arc<GiveCode>,
    last_heard: Arc<AskHeard>,
}

type GiveCode = dyn Fn(RequestContext, Actor, Uuid) -> Answering<StandingCode> + Send + Sync;
type AskHeard = dyn Fn(RequestContext, Uuid) -> Answering<Option<DateTime<Utc>>> + Send + Sync;
type Answering<T> = BoxFuture<'static, Result<T, Problem>>;

impl DeviceDoor {
    /// From a function that gives the code that stands, of the call, who asks, and the user; and from one that says when
    /// one of the user's devices was last heard of.
    pub fn new(
        give_code: impl Fn(RequestContext, Actor, Uuid) -> Answering<StandingCode> + Send + Sync + 'static,
        last_heard: impl Fn(RequestContext, Uuid) -> Answering<Option<DateTime<Utc>>> + Send + Sync + 'static,
    ) -> Self {
        Self { give_code: Arc::new(give_code), last_heard: Arc::new(last_heard) }
    }

    /// The code of a viewer that stands: the same one until it is used or has to be another one. Errors: 429 where it has
    /// too many; the database's.
    pub(super) async fn standing_code(&self, viewer: &Viewer) -> Result<StandingCode, Problem> {
        (self.give_code)(viewer.context().clone(), viewer.actor(), viewer.user_id()).await
    }

    /// When a viewer's devices were last heard of; `None` where none ever was. Errors: the database's.
    pub(super) async fn last_heard(&self, viewer: &Viewer) -> Result<Option<DateTime<Utc>>, Problem> {
        (self.last_heard)(viewer.context().clone(), viewer.user_id()).await
    }
}

impl fmt::Debug for DeviceDoor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DeviceDoor")
    }
}
