//! The SQL of retention.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// A user to look after.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who.
    pub user_id: Uuid,
    /// The first half hour to keep; `None` where the user's time zone is not known any more, so that nobody can say.
    pub first_hour: Option<DateTime<Utc>>,
}

/// The next `limit` users after `after` who have buckets past their retention, or of whom nobody can say so.
pub async fn users_past_retention(
    tx: &mut Tx,
    now: DateTime<Utc>,
    days: u32,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Candidate>, Problem> {
    let query = sqlx::query_file_as!(
        Candidate,
        "src/features/dashboard_rollup/retention/users_past_retention.sql",
        now,
        i32::try_from(days).map_err(Problem::internal)?,
        after,
        limit
    );
    Ok(query.fetch_all(tx).await?)
}

/// How far a user's rollup is to be frozen next.
#[derive(Clone, Debug)]
pub struct FrozenDays {
    /// The zone of the rollup's days.
    pub time_zone: String,
    /// The first day to keep.
    pub day: NaiveDate,
}

/// The next days of a user to freeze, at most `days`; `None` where nothing is left to remove.
pub async fn next_frozen_days(tx: &mut Tx, user_id: Uuid, days: i32) -> Result<Option<FrozenDays>, Problem> {
    let row = sqlx::query_file!("src/features/dashboard_rollup/retention/next_frozen_days.sql", user_id, days);
    Ok(row.fetch_optional(tx).await?.map(|row| FrozenDays { time_zone: row.time_zone, day: row.day }))
}

/// Freezes the days before `day`; false where one of them has an event that is not folded yet.
pub async fn freeze_days(tx: &mut Tx, user_id: Uuid, time_zone: &str, day: NaiveDate) -> Result<bool, Problem> {
    let frozen = sqlx::query_file!("src/features/dashboard_rollup/retention/freeze_days.sql", user_id, time_zone, day);
    Ok(frozen.execute(tx).await?.rows_affected() == 1)
}
