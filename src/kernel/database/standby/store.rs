//! The SQL in a standby's snapshots.

use crate::kernel::database::tx::Tx;
use crate::kernel::problem::Problem;

/// Whether the primary, which showed these transactions, shows everything that this snapshot sees.
pub(super) async fn shows_no_more(tx: &mut Tx, shown: &str) -> Result<bool, Problem> {
    Ok(sqlx::query_file_scalar!("src/kernel/database/standby/shows_no_more.sql", shown).fetch_one(tx).await?)
}
