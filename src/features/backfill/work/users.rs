//! Steps over users: replays, verifications, and reprices.

use uuid::Uuid;

use super::super::job::{Cursor, Job};
use super::findings::findings;
use super::store::{self, Advance};
use super::worker::{Lease, MAX_WAITING_EVENTS, STEP_LIMIT, Step, Worker};
use crate::kernel::call::RequestContext;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::{self, Lane};

/// Events of one step of a replay, roughly: one a user and week.
const STEP_EVENTS: i64 = 200;
/// Users of one step of a reprice, each with one event.
const STEP_USERS: i64 = 50;

impl Worker {
    /// Asks that the window of the next users be folded again.
    pub(super) async fn step_replay(&self, context: &RequestContext, lease: &mut Lease) -> Result<Step, Problem> {
        let Some(mut tx) = self.begin_step(context, lease).await? else { return Ok(Step::Lost) };
        if store::count_waiting_events(&mut tx, MAX_WAITING_EVENTS + 1).await? > MAX_WAITING_EVENTS {
            // The lease goes on.
            tx.commit().await?;
            return Ok(Step::Waits);
        }
        let weeks = (lease.job.days.count() + 6) / 7;
        let users = next_users(&mut tx, &lease.job, (STEP_EVENTS / weeks).max(1)).await?;
        let Some(last) = users.last() else { return self.finish(tx, lease).await };
        let days = lease.job.days;
        let cause = RequestContext::new(lease.job.job_id, context.trace, STEP_LIMIT);
        outbox::publish_replay(&mut tx, &users, days.first_hour(), days.last_hour(), Lane::Bulk, &cause).await?;
        let step = Advance {
            rows: i64::try_from(users.len()).map_err(Problem::internal)?,
            cursor: Cursor::after_user(*last),
            ..Advance::default()
        };
        self.commit_step(tx, lease, step).await
    }

    /// Asks that the rollups of the next users be folded again as a whole, in the book that is in force then: that of the job
    /// or, where it is taken back, the one before. It ends behind the last user, however many came since the plan.
    pub(super) async fn step_reprice(&self, context: &RequestContext, lease: &mut Lease) -> Result<Step, Problem> {
        let Some(mut tx) = self.begin_step(context, lease).await? else { return Ok(Step::Lost) };
        if store::count_waiting_events(&mut tx, MAX_WAITING_EVENTS + 1).await? > MAX_WAITING_EVENTS {
            // The lease goes on.
            tx.commit().await?;
            return Ok(Step::Waits);
        }
        let users = store::next_users(&mut tx, None, lease.job.cursor.user_id, STEP_USERS).await?;
        let Some(last) = users.last() else { return self.finish(tx, lease).await };
        let cause = RequestContext::new(lease.job.job_id, context.trace, STEP_LIMIT);
        outbox::publish_rebuilds(&mut tx, Some(users.as_slice()), &cause).await?;
        let step = Advance {
            rows: i64::try_from(users.len()).map_err(Problem::internal)?,
            cursor: Cursor::after_user(*last),
            ..Advance::default()
        };
        self.commit_step(tx, lease, step).await
    }

    /// Compares the next user. That only reads, and holds no lock on the job; the fence is passed before it, which renews
    /// the lease and sees a cancellation, and once more to note what was found.
    pub(super) async fn step_verify(&self, context: &RequestContext, lease: &mut Lease) -> Result<Step, Problem> {
        let Some(mut tx) = self.begin_step(context, lease).await? else { return Ok(Step::Lost) };
        let users = next_users(&mut tx, &lease.job, 1).await?;
        let Some(&user_id) = users.first() else { return self.finish(tx, lease).await };
        tx.commit_asynchronously().await?;
        let mut findings = findings(&lease.job)?;
        let found = self.verify.compare(user_id, lease.job.days).await?;
        let Some(mut tx) = self.begin_step(context, lease).await? else { return Ok(Step::Lost) };
        // What was found of a user who was erased meanwhile is nobody's business any more.
        if !store::is_erased(&mut tx, user_id).await? {
            findings.add(found);
        }
        let step = Advance {
            rows: 1,
            cursor: Cursor::after_user(user_id),
            drift: Some(serde_json::to_value(&findings).map_err(Problem::internal)?),
            ..Advance::default()
        };
        self.commit_step(tx, lease, step).await
    }
}

/// The users after the cursor, and no more than the plan has counted.
async fn next_users(tx: &mut Tx, job: &Job, limit: i64) -> Result<Vec<Uuid>, Problem> {
    let limit = limit.min(job.total - job.done);
    store::next_users(tx, job.user_ids.as_deref(), job.cursor.user_id, limit).await
}
