//! The answer to a request for a heatmap: every day of a range or of some weeks.

use futures_util::FutureExt as _;
use uuid::Uuid;

use super::request::HeatmapRequest;
use super::store::{self, DaySums};
use crate::features::dashboard_rollup::checked::Checked;
use crate::features::dashboard_rollup::range::Scope;
use crate::features::dashboard_rollup::snapshot::{Answered, OpenSnapshot, UsageAnswers};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

/// A grid of days. Days after today are zero because they are yet to come.
#[derive(Clone, Debug)]
pub struct HeatmapAnswer {
    /// Every day, ascending, none left out.
    pub days: Vec<DaySums>,
}

impl UsageAnswers {
    /// What a user used on each day. Errors: those of [`UsageAnswers::open`].
    pub async fn heatmap(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        request: Checked<HeatmapRequest>,
    ) -> Result<Answered<HeatmapAnswer>, Problem> {
        self.open(context, user_id, request).await?.answer().await
    }
}

impl OpenSnapshot<HeatmapRequest> {
    /// Reads the days and closes the snapshot. Errors: the database's.
    pub async fn answer(self) -> Result<Answered<HeatmapAnswer>, Problem> {
        self.answer_with(|snapshot| snapshot.read().boxed()).await
    }

    async fn read(&mut self) -> Result<HeatmapAnswer, Problem> {
        let Self { tx, user_id, state, days, request, .. } = self;
        let scope = Scope { user_id: *user_id, days: *days, filters: &request.filters, time_zone: state.time_zone() };
        Ok(HeatmapAnswer { days: store::heatmap_days(tx, &scope).await? })
    }
}
