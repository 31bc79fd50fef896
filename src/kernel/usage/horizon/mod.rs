//! The retention horizon of a user: the half hour before which no bucket is taken any more, and none is kept.
//!
//! It is raised first and committed, and only then are buckets removed, each step as small as it may be. Raising waits,
//! under a table lock, for every transaction that wrote buckets without having seen the new horizon: the writer's
//! statement reads the table, and with that holds a lock on it until its transaction ends. So whoever removes buckets
//! afterwards sees every bucket before the horizon that there will ever be.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// How long a raise waits for those who have read horizons: whoever wants to read them meanwhile waits behind it.
const PATIENCE: Duration = Duration::from_millis(100);

/// Raises horizons, position by position; one that is further already stays. The caller commits at once, for all
/// writers wait for it. Errors: the lock's 55P03, where somebody who has read horizons takes longer than a tenth of a second.
pub async fn raise_horizons(tx: &mut Tx, user_ids: &[Uuid], first_hours: &[DateTime<Utc>]) -> Result<(), Problem> {
    tx.giving_way(PATIENCE).await?;
    lock_horizons(tx).await?;
    sqlx::query_file!("src/kernel/usage/horizon/raise_horizons.sql", user_ids, first_hours).execute(tx).await?;
    Ok(())
}

async fn lock_horizons(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/kernel/usage/horizon/lock_horizons.sql").execute(tx).await?;
    Ok(())
}

/// Removes a user's buckets of the local days before `day`, as far as they lie before the horizon. Returns how many.
pub async fn expire_buckets(tx: &mut Tx, user_id: Uuid, time_zone: &str, day: NaiveDate) -> Result<u64, Problem> {
    let gone =
        sqlx::query_file!("src/kernel/usage/horizon/expire_buckets.sql", user_id, time_zone, day).execute(tx).await?;
    Ok(gone.rows_affected())
}
