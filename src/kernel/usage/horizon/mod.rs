//! The retention horizon of a user: the half hour before which no bucket is taken any more, and
//! none is kept.
//!
//! A horizon is raised and committed first, and buckets are removed afterwards. Raising takes a
//! table lock and so waits for every transaction that wrote buckets under the old horizon: the
//! writer's statement reads the table, which holds a lock on it until the writer's transaction
//! ends. Whoever removes buckets afterwards therefore sees every bucket before the horizon that
//! there will ever be.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// How long a raise waits for the transactions that have read horizons. Meanwhile those that want to read them wait
/// behind the raise.
const PATIENCE: Duration = Duration::from_millis(100);

/// Raises the horizon of `user_ids[n]` to `first_hours[n]`, unless it is further already. The caller commits at once,
/// because all writers wait for it. Errors: 55P03, where a transaction that has read horizons goes on for longer than a
/// tenth of a second.
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

/// Removes a user's buckets of the local days before `day`, as far as they lie before the horizon, and what the ledger has
/// of half hours before the horizon. Returns how many buckets.
pub async fn expire_buckets(tx: &mut Tx, user_id: Uuid, time_zone: &str, day: NaiveDate) -> Result<u64, Problem> {
    let gone = sqlx::query_file!("src/kernel/usage/horizon/expire_buckets.sql", user_id, time_zone, day)
        .execute(&mut *tx)
        .await?;
    expire_records(tx, user_id).await?;
    Ok(gone.rows_affected())
}

async fn expire_records(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/kernel/usage/horizon/expire_records.sql", user_id).execute(tx).await?;
    Ok(())
}
