//! The answer to a request for buckets: one page of them as they stand.

use futures_util::FutureExt as _;
use uuid::Uuid;

use super::request::{BucketsRequest, RowKey};
use super::store::{self, BucketRow};
use crate::features::dashboard_rollup::checked::Checked;
use crate::features::dashboard_rollup::range::{PagePosition, Scope};
use crate::features::dashboard_rollup::snapshot::{Answered, OpenSnapshot, UsageAnswers};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

/// A page of buckets.
#[derive(Clone, Debug)]
pub struct BucketsAnswer {
    /// The buckets of this page by half hour, device, source and model, ascending.
    pub buckets: Vec<BucketRow>,
    /// Where this page ended; `None` when there is no other.
    pub next: Option<PagePosition<RowKey>>,
}

impl UsageAnswers {
    /// A user's buckets as they stand. Errors: those of [`UsageAnswers::open`]; 422 where retention has removed some.
    pub async fn buckets(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        request: Checked<BucketsRequest>,
    ) -> Result<Answered<BucketsAnswer>, Problem> {
        self.open(context, user_id, request).await?.answer().await
    }
}

impl OpenSnapshot<BucketsRequest> {
    /// Reads the page and closes the snapshot. Errors: 422 where retention has removed buckets; the database's.
    pub async fn answer(self) -> Result<Answered<BucketsAnswer>, Problem> {
        self.answer_with(|snapshot| snapshot.read().boxed()).await
    }

    async fn read(&mut self) -> Result<BucketsAnswer, Problem> {
        let Self { tx, user_id, state, days, request, .. } = self;
        let first_instant = store::first_instant(tx, days.from, state.time_zone()).await?;
        let instead = "Ask for later days, or for their sums at GET /v1/rollups.";
        state.refuse_removed(tx, *user_id, first_instant, instead).await?;
        let scope = Scope { user_id: *user_id, days: *days, filters: &request.filters, time_zone: state.time_zone() };
        let after = request.after.as_ref().map_or_else(RowKey::before_all, |position| position.after.clone());
        // One more than fits tells whether there is more.
        let mut buckets = store::bucket_page(tx, &scope, &after, i64::from(request.page_size()) + 1).await?;
        if let Some(wrong) = buckets.iter().find(|bucket| bucket.counts.iter().any(|count| *count < 0)) {
            return Err(Problem::wrong_number("counts_are_not_negative", format!("{:?}", wrong.counts)));
        }
        let goes_on = buckets.len() > usize::from(request.page_size());
        buckets.truncate(request.page_size().into());
        let last = buckets.last().filter(|_| goes_on);
        let next = last.map(|last| PagePosition::new(*days, state.time_zone(), last.key.clone()));
        Ok(BucketsAnswer { buckets, next })
    }
}
