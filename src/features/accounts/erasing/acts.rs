//! Deleting a user's usage, or only counting what would be deleted.

use serde_json::json;
use uuid::Uuid;

use super::super::audit::{begin_change, record};
use super::reply::Erasure;
use super::request::ErasureQuery;
use super::store::{self, HoursRow};
use crate::kernel::access::{Actor, erased_user};
use crate::kernel::bucket::Source;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::usage::erasure;
use crate::kernel::usage::outbox::ErasedScope;
use crate::kernel::usage::relay_notifier::Signal;

/// Deletions of usage in one installation.
#[derive(Clone, Debug)]
pub struct Erasures {
    pool: Pool,
    clock: Clock,
    signal: Signal,
}

impl Erasures {
    /// Deletions at the time of `clock`. `signal` wakes the relay.
    pub fn new(pool: Pool, clock: Clock, signal: Signal) -> Self {
        Self { pool, clock, signal }
    }

    /// Deletes a user's usage, once. Snapshots of the scope that were taken up to now are refused
    /// from now on.
    ///
    /// Errors: 401 the user was erased, 409 too many separate deletions, 503 and 504 when it takes
    /// too long, those of [`Once::claim`]. Then nothing was deleted.
    pub async fn erase(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        asked: &ErasureQuery,
        once: Once<Erasure>,
    ) -> Result<Erasure, Unexecuted> {
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim(tx, context).await?;
        // What is read after it is as of after an erasure of the whole person, which takes it too.
        erasure::shut_out_writers(&mut tx, user_id).await?;
        let Some(hours) = store::erasure_hours(&mut tx, user_id, asked.from, asked.to).await? else {
            tx.rollback().await?;
            return Err(erased_user().into());
        };
        let scope = scope(user_id, asked, &hours);
        let (erased, erased_at) = erasure::erase(&mut tx, &scope, &self.clock, context).await?;
        let details = json!({
            "device_id": scope.device_id,
            "source": scope.source.as_ref().map(Source::as_str),
            "first_hour": scope.first_hour,
            "last_hour": scope.last_hour,
            "erased_at": erased_at,
            "buckets": erased.buckets,
        });
        record(&mut tx, context, actor, "usage.erase", user_id, &details).await?;
        let erasure = Erasure::of(asked, &erased, Some(erased_at));
        once.commit(tx, context, &erasure).await?;
        self.signal.wake_for([user_id]);
        Ok(erasure)
    }

    /// Counts what a deletion would take, once, and changes nothing. Errors: those of [`Once::claim`].
    pub async fn preview(
        &self,
        context: &RequestContext,
        actor: Actor,
        user_id: Uuid,
        asked: &ErasureQuery,
        once: Once<Erasure>,
    ) -> Result<Erasure, Unexecuted> {
        let tx = begin_change(&self.pool, context, actor, user_id).await?;
        let mut tx = once.claim(tx, context).await?;
        let hours = store::erasure_hours(&mut tx, user_id, asked.from, asked.to).await?.ok_or_else(erased_user)?;
        let erased = erasure::count_erasable(&mut tx, &scope(user_id, asked, &hours)).await?;
        let erasure = Erasure::of(asked, &erased, None);
        once.commit(tx, context, &erasure).await?;
        Ok(erasure)
    }
}

fn scope(user_id: Uuid, asked: &ErasureQuery, hours: &HoursRow) -> ErasedScope {
    ErasedScope {
        user_id,
        device_id: asked.device,
        source: asked.source,
        first_hour: hours.first_hour,
        last_hour: hours.last_hour,
    }
}
