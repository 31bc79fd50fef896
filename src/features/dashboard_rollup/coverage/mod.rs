//! Which tokens have no price, over all users: what the next price book should name.

mod store;

use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::problem::Problem;

pub use store::Uncovered;

/// So many pairs of source and model are listed.
const LISTED: i64 = 1000;

/// The pairs whose tokens fall under no rate, those with the most tokens first. It reads every rollup. Errors: the
/// database's.
pub async fn uncovered(pool: &Pool, context: &RequestContext) -> Result<Vec<Uncovered>, Problem> {
    let mut tx = pool.begin(context, Access::Worker, Mode::Snapshot).await?;
    let uncovered = store::uncovered(&mut tx, LISTED).await?;
    tx.rollback().await?;
    Ok(uncovered)
}
