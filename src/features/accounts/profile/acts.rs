//! What users do with their profiles.

use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::users::{Users, unknown_zone};
use super::store::{self, ProfileRow};
use crate::kernel::access::{Actor, erased_user};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::publish_rebuild;
use crate::kernel::usage::relay_notifier::Signal;

/// The profiles of one installation's users.
#[derive(Clone, Debug)]
pub struct Profiles {
    pool: Pool,
    signal: Signal,
    users: Users,
}

impl Profiles {
    /// Profiles of `users`. `signal` wakes the relay.
    pub fn new(pool: Pool, signal: Signal, users: Users) -> Self {
        Self { pool, signal, users }
    }

    /// The user's profile. Errors: 401 the user was erased.
    pub async fn find(&self, context: &RequestContext, user_id: Uuid) -> Result<ProfileRow, Problem> {
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
        let profile = store::find_profile(&mut tx, user_id).await?;
        tx.rollback().await?;
        profile.ok_or_else(erased_user)
    }

    /// Stores the wanted zone, and has the relay rebuild the rollup in it. Errors: 422 for a zone
    /// that is not known; 401 the user was erased.
    pub async fn change_zone(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        time_zone: &str,
    ) -> Result<ProfileRow, Problem> {
        let mut tx = begin_change(&self.pool, context, actor, user_id).await?;
        let profile = store::lock_profile(&mut tx, user_id).await?.ok_or_else(erased_user)?;
        if profile.time_zone == time_zone {
            tx.rollback().await?;
            return Ok(profile);
        }
        if !store::set_time_zone(&mut tx, user_id, time_zone).await? {
            tx.rollback().await?;
            return Err(unknown_zone());
        }
        publish_rebuild(&mut tx, user_id, context).await?;
        record(&mut tx, context, actor, "user.zone", user_id, &json!({ "time_zone": time_zone })).await?;
        tx.commit().await?;
        self.signal.wake();
        Ok(ProfileRow { time_zone: time_zone.to_owned(), ..profile })
    }

    /// The same by the user's name. Errors: 404 no such active user, 422 for a zone that is not
    /// known.
    pub async fn change_zone_of(
        &self,
        context: &RequestContext,
        actor: Actor,
        user: &str,
        time_zone: &str,
    ) -> Result<Uuid, Problem> {
        let user_id = self.users.find(context, user).await?;
        self.change_zone(context, actor, user_id, time_zone).await?;
        Ok(user_id)
    }
}
