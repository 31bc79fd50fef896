//! Deleting one's own usage: which half hours are meant, and the act itself, written down.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::directory::Directory;
use super::request::Erasure;
use super::store;
use crate::kernel::bucket::Source;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode};
use crate::kernel::problem::Problem;
use crate::kernel::usage::erasure::{self, Erased};
use crate::kernel::usage::outbox::ErasedScope;

impl Directory {
    /// Deletes a user's usage, or says what would be deleted. Returns what went, and up to which instant snapshots of the
    /// scope are refused from now on (`None` in a dry run). Local days are those of the user's wanted zone.
    ///
    /// Errors: 409 too many separate deletions, 503 and 504 when it takes too long; then nothing was deleted.
    pub async fn erase(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        asked: &Erasure,
    ) -> Result<(Erased, Option<DateTime<Utc>>), Problem> {
        if asked.dry_run {
            let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Snapshot).await?;
            let (first_hour, last_hour) = store::erasure_hours(&mut tx, user_id, asked.from, asked.to).await?;
            let scope = scope(user_id, asked, first_hour, last_hour);
            let erased = erasure::count_erasable(&mut tx, &scope).await?;
            tx.rollback().await?;
            return Ok((erased, None));
        }
        let mut tx = self.begin_for(context, user_id).await?;
        let (first_hour, last_hour) = store::erasure_hours(&mut tx, user_id, asked.from, asked.to).await?;
        let scope = scope(user_id, asked, first_hour, last_hour);
        let (erased, erased_at) = erasure::erase(&mut tx, &scope, &self.clock, context).await?;
        let details = json!({
            "device_id": scope.device_id,
            "source": scope.source.map(Source::as_str),
            "first_hour": first_hour,
            "last_hour": last_hour,
            "erased_at": erased_at,
            "buckets": erased.buckets,
        });
        self.record(&mut tx, context, "usage.erase", user_id, &details).await?;
        tx.commit().await?;
        self.signal.wake();
        Ok((erased, Some(erased_at)))
    }
}

fn scope(
    user_id: Uuid,
    asked: &Erasure,
    first_hour: Option<DateTime<Utc>>,
    last_hour: Option<DateTime<Utc>>,
) -> ErasedScope {
    ErasedScope { user_id, device_id: asked.device, source: asked.source, first_hour, last_hour }
}
