//! The SQL of a rollup's state.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What a user's rollup is in, how fresh it is, and in which zone a request is answered.
#[derive(Clone, Debug)]
pub struct StateRow {
    /// As of when: the start of this transaction, until it is known that a standby has it.
    pub read_at: DateTime<Utc>,
    /// When the user's first change began that is not folded yet, parked or not.
    pub oldest_event_at: Option<DateTime<Utc>>,
    /// The user's newest change that is not folded yet.
    pub newest_event_id: Option<i64>,
    /// The user wants another zone than the rollup's.
    pub zone_change_waits: bool,
    /// Rises when a row of the rollup changes.
    pub version: i64,
    /// The price book that the rows are in.
    pub book: Option<i32>,
    /// The price book that is in force.
    pub book_in_force: Option<i32>,
    /// The zone of the rollup's days.
    pub recorded_zone: String,
    /// The zone that was asked for, where that is another one.
    pub other_zone: Option<String>,
    /// The local date of now, in the zone of the answer.
    pub today: NaiveDate,
    /// The first day whose buckets are kept; `None` where none were removed.
    pub frozen_before: Option<NaiveDate>,
}

/// Reads the state of a user's rollup, for a request that may name another zone. `None` where the user was erased.
pub async fn rollup_state(
    tx: &mut Tx,
    user_id: Uuid,
    now: DateTime<Utc>,
    time_zone: Option<&str>,
) -> Result<Option<StateRow>, Problem> {
    let row = sqlx::query_file!("src/features/dashboard_rollup/state/rollup_state.sql", user_id, now, time_zone)
        .fetch_optional(tx)
        .await?;
    Ok(row.map(|row| StateRow {
        read_at: row.read_at,
        oldest_event_at: row.oldest_event_at,
        newest_event_id: row.newest_event_id,
        zone_change_waits: row.zone_change_waits,
        version: row.version,
        book: row.book,
        book_in_force: row.book_in_force,
        recorded_zone: row.recorded_zone,
        other_zone: row.asked_zone,
        today: row.today,
        frozen_before: row.frozen_before,
    }))
}

/// From when on the buckets of a user whose rollup is frozen can answer.
pub async fn kept_from(tx: &mut Tx, user_id: Uuid) -> Result<DateTime<Utc>, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/state/kept_from.sql", user_id);
    Ok(query.fetch_one(tx).await?)
}
