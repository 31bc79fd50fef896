//! The SQL of profiles.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// A user, as it sees itself.
#[derive(Debug)]
pub struct ProfileRow {
    /// Unique among active users.
    pub name: String,
    /// The wanted IANA zone. The rollup may be in another one until the relay has rebuilt it.
    pub time_zone: String,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
}

/// A user as it sees itself.
pub async fn find_profile(tx: &mut Tx, user_id: Uuid) -> Result<Option<ProfileRow>, Problem> {
    let row = sqlx::query_file_as!(ProfileRow, "src/features/accounts/profile/find_profile.sql", user_id);
    Ok(row.fetch_optional(tx).await?)
}

/// The same, held until the transaction ends.
pub async fn lock_profile(tx: &mut Tx, user_id: Uuid) -> Result<Option<ProfileRow>, Problem> {
    let row = sqlx::query_file_as!(ProfileRow, "src/features/accounts/profile/lock_profile.sql", user_id);
    Ok(row.fetch_optional(tx).await?)
}

/// False where there is no such zone.
pub async fn set_time_zone(tx: &mut Tx, user_id: Uuid, time_zone: &str) -> Result<bool, Problem> {
    let updated =
        sqlx::query_file!("src/features/accounts/profile/set_time_zone.sql", user_id, time_zone).execute(tx).await?;
    Ok(updated.rows_affected() == 1)
}
