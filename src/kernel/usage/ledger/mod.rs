//! The ledger of records that were added to buckets, and how long it remembers.
//!
//! A record is added once, for ever: what is older than the ledger remembers is not taken any more.
//! The writer enters records, erasures and horizons remove what they cover, and housekeeping removes
//! what is too old.

use chrono::{DateTime, TimeDelta, Utc};

use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::problem::Problem;

/// No record is taken whose half hour began longer ago, in days.
pub const TAKEN_FOR_DAYS: u32 = 30;

/// How long the ledger remembers a record, from its half hour on: longer than it could be sent again,
/// by more than two servers' clocks may differ.
const KEPT_FOR: TimeDelta = TimeDelta::days(31);

/// Rows that one transaction removes.
const PURGED_AT_ONCE: i64 = 5_000;

/// Removes what is too old to be sent again, in short transactions. Returns how many records there were.
pub async fn purge(pool: &Pool, context: &RequestContext, clock: &Clock) -> Result<u64, Problem> {
    let kept_from = clock.earliest() - KEPT_FOR;
    let mut purged = 0;
    loop {
        let mut tx = pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let rows = purge_records(&mut tx, kept_from, PURGED_AT_ONCE).await?;
        tx.commit().await?;
        purged += rows;
        if rows < PURGED_AT_ONCE.unsigned_abs() {
            return Ok(purged);
        }
    }
}

async fn purge_records(tx: &mut Tx, kept_from: DateTime<Utc>, limit: i64) -> Result<u64, Problem> {
    let purged = sqlx::query_file!("src/kernel/usage/ledger/purge_records.sql", kept_from, limit).execute(tx).await?;
    Ok(purged.rows_affected())
}
