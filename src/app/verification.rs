//! How backfill jobs verify: the slice that owns the rollups compares them, and the composition root hands it over.

use std::time::Duration;

use crate::features::backfill::{Findings, Verify};
use crate::features::dashboard_rollup::{self, Window};
use crate::kernel::database::Pool;
use crate::kernel::problem::Problem;

/// A job compares a user no longer than this, well within its step; the command `verify` does, for a minute.
const JOB_LIMIT: Duration = Duration::from_secs(8);

/// What a worker verifies one user with.
pub(crate) fn verify_with(pool: &Pool) -> Verify {
    let pool = pool.clone();
    Verify::new(move |user_id, days| {
        let pool = pool.clone();
        Box::pin(async move {
            let (from, to) = (Some(days.first), Some(days.last));
            let window = Window { user_ids: Some(vec![user_id]), from, to, limit: Some(JOB_LIMIT) };
            let report = dashboard_rollup::verify(&pool, &window).await?;
            Ok(Findings {
                count: report.drifted,
                pending: report.pending,
                user_days: report.user_days,
                first: report.drift.iter().map(json).collect::<Result<_, _>>()?,
                orphaned: report.orphaned,
                orphans: report.orphans.iter().map(json).collect::<Result<_, _>>()?,
                of_unknown_sources: report.of_unknown_sources,
                unknown_sources: report.unknown_sources.iter().map(json).collect::<Result<_, _>>()?,
                not_compared: report.not_compared,
                not_compared_users: report.not_compared_users.iter().map(json).collect::<Result<_, _>>()?,
            })
        })
    })
}

fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(value).map_err(Problem::internal)
}
