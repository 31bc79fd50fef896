//! The SQL of operations.

use chrono::{DateTime, Utc};

use super::process_status::Parked;
use super::switchboard::Thrown;
use crate::kernel::database::Tx;
use crate::kernel::operations::switches::Switch;
use crate::kernel::problem::Problem;

/// One round trip.
pub async fn ping(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/features/operations/ping.sql").fetch_one(tx).await?;
    Ok(())
}

/// The switches that were ever thrown; names that only a newer release knows are left out.
pub async fn list_switches(tx: &mut Tx) -> Result<Vec<Thrown>, Problem> {
    let rows = sqlx::query_file!("src/features/operations/list_switches.sql").fetch_all(tx).await?;
    let thrown = rows.into_iter().filter_map(|row| {
        let switch = Switch::parse(&row.name)?;
        Some(Thrown { switch, is_on: row.is_on, reason: row.reason, changed_at: row.changed_at })
    });
    Ok(thrown.collect())
}

/// Throws a switch.
pub async fn set_switch(
    tx: &mut Tx,
    switch: Switch,
    is_on: bool,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    sqlx::query_file!("src/features/operations/set_switch.sql", switch.as_str(), is_on, reason, now)
        .execute(tx)
        .await?;
    Ok(())
}

/// The first parked events.
pub async fn parked_events(tx: &mut Tx, limit: i64) -> Result<Vec<Parked>, Problem> {
    let rows = sqlx::query_file!("src/features/operations/parked_events.sql", limit).fetch_all(tx).await?;
    let parked = rows.into_iter().map(|row| Parked {
        user_id: row.user_id,
        id: row.id,
        topic: row.topic,
        utc_day: row.utc_day,
        attempts: row.attempts,
        parked_at: row.parked_at,
        last_error: row.last_error,
    });
    Ok(parked.collect())
}
