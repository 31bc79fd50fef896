//! What users do with their profiles.

use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::super::users::{Users, unknown_zone};
use super::reply::Profile;
use super::store::{self, ProfileRow};
use crate::kernel::access::{Actor, erased_user};
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::idempotency::{Once, Unexecuted};
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

    /// Stores the wanted zone, and has the relay rebuild the rollup in it, once. Errors: 422 for a
    /// zone that is not known; 401 the user was erased; those of [`Once::claim`].
    pub async fn change_zone(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        time_zone: &str,
        once: Once<Profile>,
    ) -> Result<Profile, Unexecuted> {
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim(tx, context).await?;
        let row = store::lock_profile(&mut tx, user_id).await?.ok_or_else(erased_user)?;
        let is_new = row.time_zone != time_zone;
        if is_new {
            if !store::set_time_zone(&mut tx, user_id, time_zone).await? {
                tx.rollback().await?;
                return Err(unknown_zone().into());
            }
            publish_rebuild(&mut tx, user_id, context).await?;
            record(&mut tx, context, actor, "user.zone", user_id, &json!({ "time_zone": time_zone })).await?;
        }
        let profile = Profile::of(user_id, ProfileRow { time_zone: time_zone.to_owned(), ..row });
        once.commit(tx, context, &profile).await?;
        if is_new {
            self.signal.wake_for([user_id]);
        }
        Ok(profile)
    }

    /// The same by the user's name, each time. Errors: 404 no such active user, 422 for a zone that is not
    /// known.
    pub async fn change_zone_of(
        &self,
        context: &RequestContext,
        actor: Actor,
        user: &str,
        time_zone: &str,
    ) -> Result<Uuid, Problem> {
        let user_id = self.users.find(context, user).await?;
        self.change_zone(context, actor, user_id, time_zone, Once::unkeyed()).await?;
        Ok(user_id)
    }
}
