//! The SQL of a rollup's state.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::RollupState;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Reads the state of a user's rollup, for a question that may name another zone.
pub async fn rollup_state(
    tx: &mut Tx,
    user_id: Uuid,
    now: DateTime<Utc>,
    time_zone: Option<&str>,
) -> Result<RollupState, Problem> {
    let row = sqlx::query_file!("src/features/dashboard_rollup/state/rollup_state.sql", user_id, now, time_zone)
        .fetch_one(tx)
        .await?;
    Ok(RollupState {
        read_at: row.read_at,
        oldest_event_at: row.oldest_event_at,
        newest_event_id: row.newest_event_id,
        zone_change_waits: row.zone_change_waits,
        version: row.version,
        recorded_zone: row.recorded_zone,
        other_zone: row.asked_zone,
        today: row.today,
        frozen_before: row.frozen_before,
    })
}

/// From when on the buckets of a user whose rollup is frozen can answer.
pub async fn kept_from(tx: &mut Tx, user_id: Uuid) -> Result<DateTime<Utc>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/state/kept_from.sql", user_id);
    Ok(query.fetch_one(tx).await?)
}
