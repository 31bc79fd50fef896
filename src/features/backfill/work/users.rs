//! Steps over users: replays, and verifications.

use uuid::Uuid;

use super::super::job::{Cursor, Job};
use super::store::{self, Advance};
use super::{Findings, Lease, MAX_WAITING_EVENTS, STEP_LIMIT, Step, Worker};
use crate::kernel::call::Call;
use crate::kernel::db::Tx;
use crate::kernel::outbox::{self, Lane};
use crate::kernel::problem::Problem;

/// Events of one step of a replay, roughly: one a user and week.
const STEP_EVENTS: i64 = 200;
/// Users of one step of a verification.
const STEP_USERS: i64 = 5;

impl Worker {
    /// Asks that the window of the next users be folded again.
    pub(super) async fn step_replay(&self, call: &Call, lease: &mut Lease) -> Result<Step, Problem> {
        let Some(mut tx) = self.begin_step(call, lease).await? else { return Ok(Step::Lost) };
        if store::count_waiting_events(&mut tx, MAX_WAITING_EVENTS + 1).await? > MAX_WAITING_EVENTS {
            // The lease goes on.
            tx.commit().await?;
            return Ok(Step::Waits);
        }
        let weeks = (lease.job.days.count() + 6) / 7;
        let users = next_users(&mut tx, &lease.job, (STEP_EVENTS / weeks).max(1)).await?;
        let Some(last) = users.last() else { return self.finish(tx, lease).await };
        let days = lease.job.days;
        let cause = Call::new(lease.job.job_id, call.trace.clone(), STEP_LIMIT);
        outbox::publish_replay(&mut tx, &users, days.first_hour(), days.last_hour(), Lane::Bulk, &cause).await?;
        let step = Advance {
            rows: i64::try_from(users.len()).map_err(Problem::internal)?,
            cursor: Cursor::after_user(*last),
            ..Advance::default()
        };
        self.commit_step(tx, lease, step).await
    }

    /// Compares the next users, which only reads, and then notes what was found.
    pub(super) async fn step_verify(&self, call: &Call, lease: &mut Lease) -> Result<Step, Problem> {
        let mut tx = self.begin(call).await?;
        let users = next_users(&mut tx, &lease.job, STEP_USERS).await?;
        tx.rollback().await?;
        let mut findings: Findings = match &lease.job.drift {
            Some(drift) => serde_json::from_value(drift.clone()).map_err(Problem::internal)?,
            None => Findings::default(),
        };
        if !users.is_empty() {
            findings.add((self.verify.0)(users.clone(), lease.job.days).await?);
        }
        let Some(tx) = self.begin_step(call, lease).await? else { return Ok(Step::Lost) };
        let Some(last) = users.last() else { return self.finish(tx, lease).await };
        let step = Advance {
            rows: i64::try_from(users.len()).map_err(Problem::internal)?,
            cursor: Cursor::after_user(*last),
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
