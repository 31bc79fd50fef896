//! Removing from jobs what they hold of a person who was erased, a batch at a time. The composition root hands this to the
//! slice that erases persons.
//!
//! Jobs stay. A job over several users loses the rows of that person, and its progress counts those that are left. The
//! diff stays as it was planned, and so do the numbers of what did not go as planned.
//!
//! Plans that are being made, and steps under way, may still look at the world before the erasure. Each batch waits for
//! both and begins after them.

mod store;

use uuid::Uuid;

use super::store::PLANNING_LOCK;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::Problem;
use crate::kernel::usage::erasure::shut_out_writers;

/// Rows that one transaction removes, so that it holds jobs for a short time.
const BATCH: i64 = 5_000;

/// How many rows and exceptions jobs have of a user. Errors: the database's.
pub async fn count_rows_of(pool: &Pool, context: &RequestContext, user_id: Uuid) -> Result<u64, Problem> {
    let mut tx = pool.begin(context, Access::Worker, Mode::Snapshot).await?;
    let rows = store::count_job_rows(&mut tx, user_id).await?;
    tx.rollback().await?;
    Ok(rows.unsigned_abs())
}

/// Removes some rows and exceptions of a user who was erased. Returns how many; 0 where nothing was left. Errors: the
/// database's.
pub async fn forget_rows_of(pool: &Pool, context: &RequestContext, user_id: Uuid) -> Result<u64, Problem> {
    let mut tx = pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
    // One at a time for one person: the next statement sees what the other one has left.
    shut_out_writers(&mut tx, user_id).await?;
    store::wait_for_plans(&mut tx, PLANNING_LOCK).await?;
    store::lock_jobs_of(&mut tx, user_id).await?;
    let mut rows = store::forget_plan_rows(&mut tx, user_id, BATCH).await?;
    if rows == 0 {
        rows = store::forget_exceptions(&mut tx, user_id, BATCH).await?;
    }
    if rows == 0 {
        rows = store::forget_findings(&mut tx, user_id).await?;
    }
    if rows == 0 {
        rows = store::forget_cursors(&mut tx, user_id).await?;
    }
    tx.commit().await?;
    Ok(rows)
}
