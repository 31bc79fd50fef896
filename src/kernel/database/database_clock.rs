//! The database's clock, which every process goes by.

use std::time::Duration;

use super::pool::Pool;
use super::tx::{Access, Mode, Tx};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::{Clock, Jump, Measurement};
use crate::kernel::problem::Problem;

/// A measurement that takes longer says too little.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sets `clock` by the database's clock, to within half of the round trip. A jump is logged once and counted.
pub async fn follow_database_clock(pool: &Pool, clock: &Clock) -> Result<(), Problem> {
    let context = RequestContext::internal(PATIENCE);
    let mut tx = pool.begin(&context, Access::NOBODY, Mode::ReadWrite).await?;
    let before = clock.read_machine();
    let database = database_time(&mut tx).await?;
    let after = clock.read_machine();
    // What was measured counts, whatever becomes of the connection.
    let measurement = Measurement { before, database_us: database.timestamp_micros(), after };
    clock.follow_database(&measurement).into_iter().for_each(report);
    tx.rollback().await
}

/// Looks whether this machine's clock was set, and whether the machine was suspended. Either is logged once and counted.
pub fn watch_machine_clock(clock: &Clock) {
    clock.watch_machine().for_each(report);
}

fn report(Jump { clock, by_us }: Jump) {
    metrics::counter!("halfhour_clock_jumps_total", "clock" => clock.as_str()).increment(1);
    let (clock, by_ms) = (clock.as_str(), by_us / 1_000);
    tracing::warn!(clock, by_ms, "a clock jumped");
}

async fn database_time(tx: &mut Tx) -> Result<chrono::DateTime<chrono::Utc>, Problem> {
    Ok(sqlx::query_file_scalar!("src/kernel/database/database_time.sql").fetch_one(tx).await?)
}
