//! The SQL of operations.

use crate::kernel::db::Tx;
use crate::kernel::problem::Problem;

/// One round trip.
pub async fn ping(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/features/operations/ping.sql").fetch_one(tx).await?;
    Ok(())
}
