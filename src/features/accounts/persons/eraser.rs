//! Removing what stands of persons who were erased: batch after batch, by whoever has time for it.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::audit::record;
use super::acts::Persons;
use super::reply::PersonErasure;
use super::store;
use crate::kernel::access::Actor;
use crate::kernel::call::{CallOutcome, Place, RequestContext, RequestLogLine};
use crate::kernel::clock::jittered;
use crate::kernel::database::{Access, Mode};
use crate::kernel::problem::Problem;
use crate::kernel::usage::erasure;

/// How often a server looks for erasures that are not finished.
const POLL: Duration = Duration::from_secs(2);
/// One batch may take this long.
const BATCH_LIMIT: Duration = Duration::from_secs(12);
/// A server works on one erasure for this long before it looks at the next one.
const TURN: Duration = Duration::from_mins(1);
/// Erasures that a server looks at in one pass.
const AT_ONCE: i64 = 100;

/// What is removed, in this order.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// From here on no job writes anything of the person.
    Jobs,
    Usage,
    Rollups,
}

impl Persons {
    /// Works until `stop`. To be dropped in the middle of a batch loses nothing.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // What went wrong is in its line; the next pass goes on.
                _ = self.run_pass() => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(POLL)) => {}
            }
        }
    }

    /// Goes on with every erasure that is not finished, the oldest first. Errors: the last that
    /// ended one; the others went on.
    pub async fn run_pass(&self) -> Result<(), Problem> {
        let context = RequestContext::internal(BATCH_LIMIT);
        let mut tx = self.pool.begin(&context, Access::Worker, Mode::Snapshot).await?;
        let unfinished = store::unfinished_erasures(&mut tx, AT_ONCE).await?;
        tx.rollback().await?;
        let mut result = Ok(());
        for user_id in unfinished {
            let started = Instant::now();
            let context = RequestContext::step("erase_person", self.pool.tracer(), TURN);
            let turn = self.sweep(&context, &mut PersonErasure::of(user_id), started + TURN).await;
            let outcome = match &turn {
                Err(problem) => CallOutcome::Failed(problem),
                Ok(()) => CallOutcome::Done(200),
            };
            let place = Place { function: "erase_person", stage: "batch", method: None, route: None, principal: None };
            RequestLogLine::new(&context, place, &outcome, started.elapsed()).write();
            result = turn.and(result);
        }
        result
    }

    /// Removes usage of one erased person until `until`, for requests and commands. What goes wrong is
    /// left to the servers.
    pub async fn remove_usage(&self, context: &RequestContext, erasure: &mut PersonErasure, until: Instant) {
        if let Err(problem) = self.sweep(context, erasure, until).await {
            let error = problem.source_chain();
            tracing::warn!(error, "some usage of an erased person is left; a server goes on with it");
        }
    }

    /// Removes batch after batch until `until`, and counts them. Errors: what ended it.
    async fn sweep(
        &self,
        context: &RequestContext,
        erasure: &mut PersonErasure,
        until: Instant,
    ) -> Result<(), Problem> {
        for stage in [Stage::Jobs, Stage::Usage, Stage::Rollups] {
            loop {
                if Instant::now() >= until {
                    return Ok(());
                }
                let deadline = context.deadline.min(Instant::now() + BATCH_LIMIT);
                let context = RequestContext { deadline, ..context.clone() };
                if self.remove(&context, stage, erasure).await? == 0 {
                    break;
                }
            }
        }
        self.finish(context, erasure).await
    }

    /// Removes one batch. Returns how many rows it had.
    async fn remove(
        &self,
        context: &RequestContext,
        stage: Stage,
        erasure: &mut PersonErasure,
    ) -> Result<i64, Problem> {
        let user_id = erasure.user_id;
        let rows = match stage {
            Stage::Jobs => {
                let rows = self.parts.jobs.forget(context, user_id).await?;
                erasure.backfill_rows += rows;
                rows
            }
            Stage::Usage => {
                let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
                let (usage, rows) = erasure::forget_some(&mut tx, user_id).await?;
                tx.commit().await?;
                erasure.add_usage(usage);
                rows
            }
            Stage::Rollups => {
                let rows = self.parts.rollups.forget(context, user_id).await?;
                erasure.rollup_rows += rows;
                rows
            }
        };
        Ok(rows)
    }

    async fn finish(&self, context: &RequestContext, erasure: &mut PersonErasure) -> Result<(), Problem> {
        let user_id: Uuid = erasure.user_id;
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        if store::finish_erasure(&mut tx, user_id).await? {
            let details = json!({ "buckets": erasure.buckets });
            record(&mut tx, context, Actor::Server, "user.erase_finished", user_id, &details).await?;
        }
        tx.commit().await?;
        erasure.finished = true;
        Ok(())
    }
}
