//! Removing the rollup of a person who was erased, a batch at a time. The composition root hands this to the slice that
//! erases persons.
//!
//! From the erasure on, no fold writes anything of that person. A fold that had begun before holds the fold lock, and each
//! batch waits for that.

mod store;

use uuid::Uuid;

use super::relay::take_fold_lock;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::Problem;
use crate::kernel::usage::erasure::shut_out_writers;

/// Rows that one transaction removes, so that it holds the fold lock for a short time.
const BATCH: i64 = 5_000;

/// How many rows the rollup has of a user. Errors: the database's.
pub async fn count_rows_of(pool: &Pool, context: &RequestContext, user_id: Uuid) -> Result<u64, Problem> {
    let mut tx = pool.begin(context, Access::Worker, Mode::Snapshot).await?;
    let rows = store::count_rollup_rows(&mut tx, user_id).await?;
    tx.rollback().await?;
    Ok(rows.unsigned_abs())
}

/// Removes some rows of a user who was erased, and at last the state of the rollup. Returns how many; 0 where nothing was
/// left. Errors: the database's.
pub async fn forget_rows_of(pool: &Pool, context: &RequestContext, user_id: Uuid) -> Result<u64, Problem> {
    let mut tx = pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
    // One at a time for one person: the next statement sees what the other one has left.
    shut_out_writers(&mut tx, user_id).await?;
    take_fold_lock(&mut tx, user_id).await?;
    let mut rows = store::forget_rollup_rows(&mut tx, user_id, BATCH).await?;
    if rows == 0 {
        rows = store::forget_user_state(&mut tx, user_id).await?;
    }
    tx.commit().await?;
    Ok(rows)
}
