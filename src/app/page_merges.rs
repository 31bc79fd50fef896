//! How the page merges devices: backfills do it, and each person sees merges of its own and no other job. The composition
//! root puts that together.

use axum::extract::FromRef;
use uuid::Uuid;

use super::state::AppState;
use crate::features::backfill::{Backfills, Job, JobChange, Order, Resolve, Shown};
use crate::features::dashboard_page::{FromMerges, MergeActs, MergeDoor, MergeStep, PageMerge};
use crate::kernel::access::Viewer;
use crate::kernel::idempotency::Once;
use crate::kernel::problem::Problem;

/// Merges with the jobs that every handler is given.
struct PageMerges(AppState);

impl FromRef<AppState> for MergeDoor {
    fn from_ref(state: &AppState) -> Self {
        Self::new(PageMerges(state.clone()))
    }
}

impl PageMerges {
    fn of(&self, viewer: &Viewer) -> Backfills {
        self.0.0.backfills.clone().merges_of(viewer.user_id())
    }
}

impl MergeActs for PageMerges {
    fn plan(&self, viewer: Viewer, parameters: Vec<(String, String)>) -> FromMerges<PageMerge> {
        let backfills = self.of(&viewer);
        Box::pin(async move {
            let order = Order::parse_parameters(&parameters, backfills.limits())?;
            let order = Order { user_ids: Some(vec![viewer.user_id()]), ..order };
            let planned = backfills.plan(viewer.context(), viewer.actor(), None, &order, &[]).await?;
            page_merge(&planned.job, 0)
        })
    }

    fn find(&self, viewer: Viewer, job_id: Uuid) -> FromMerges<PageMerge> {
        let backfills = self.of(&viewer);
        Box::pin(async move { shown(&backfills.find(viewer.context(), job_id).await?) })
    }

    fn list(&self, viewer: Viewer, most: u16) -> FromMerges<Vec<PageMerge>> {
        let backfills = self.of(&viewer);
        Box::pin(async move {
            let jobs = backfills.list(viewer.context(), None, most.into()).await?;
            jobs.iter().map(|job| page_merge(job, 0)).collect()
        })
    }

    fn change(&self, viewer: Viewer, job_id: Uuid, version: i64, step: MergeStep) -> FromMerges<PageMerge> {
        let backfills = self.of(&viewer);
        let change = match step {
            MergeStep::Execute => JobChange::Execute,
            MergeStep::Cancel => JobChange::Cancel,
            MergeStep::RollBack => JobChange::Rollback,
        };
        Box::pin(async move {
            let (context, actor) = (viewer.context(), viewer.actor());
            let changed = backfills.change(context, actor, job_id, Some(version), change, Once::unkeyed()).await?;
            shown(&changed)
        })
    }
}

fn shown(shown: &Shown) -> Result<PageMerge, Problem> {
    page_merge(&shown.job, shown.kept.len())
}

fn page_merge(job: &Job, kept: usize) -> Result<PageMerge, Problem> {
    let merge = job.merge.ok_or_else(|| Problem::internal("a viewer was given a job that is no merge"))?;
    Ok(PageMerge {
        job_id: job.job_id,
        state: job.state.as_str(),
        version: job.version,
        devices: (merge.order.from_device_id, merge.order.into_device_id),
        resolve: merge.order.resolve.map(Resolve::as_str),
        only_in_from: merge.only_in_from,
        only_in_into: merge.only_in_into,
        equal: merge.equal,
        different: merge.different,
        tokens: (job.diff.tokens_before, job.diff.tokens_after),
        progress: (job.done, job.phase_total()),
        left: job.skipped + job.poisoned,
        kept,
        is_purged: job.purged_at.is_some(),
        planned_at: job.created_at,
        executed_at: job.executed_at,
    })
}
