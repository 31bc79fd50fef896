//! What is kept no longer: rows, lists and pre-images of jobs that ended 30 days ago, and plans that nobody goes on with.

mod store;

use super::jobs::Backfills;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode};
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::corrections::purge_pre_images;

/// Rows removed in one transaction.
const BATCH: i64 = 10_000;

impl Backfills {
    /// Removes what is kept no longer, in short transactions. The jobs themselves stay. Errors: the database's.
    pub async fn purge(&self, context: &RequestContext) -> Result<(), Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        store::fail_abandoned(&mut tx).await?;
        store::mark_purged(&mut tx).await?;
        let job_ids = store::purged_jobs(&mut tx).await?;
        tx.commit().await?;
        loop {
            let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
            let purged = store::purge_rows(&mut tx, &job_ids, BATCH).await?
                + store::purge_exceptions(&mut tx, &job_ids, BATCH).await?
                + purge_pre_images(&mut tx, &job_ids, BATCH).await?;
            tx.commit().await?;
            if purged == 0 {
                return Ok(());
            }
        }
    }
}
