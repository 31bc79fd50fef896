//! The SQL of deletions that is not the kernel's.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// The first and the last half hour of local days; absent where that end is open.
#[derive(Debug)]
pub struct HoursRow {
    pub first_hour: Option<DateTime<Utc>>,
    pub last_hour: Option<DateTime<Utc>>,
}

/// The half hours of local days in the user's zone; `None` where the user was erased.
pub async fn erasure_hours(
    tx: &mut Tx,
    user_id: Uuid,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
) -> Result<Option<HoursRow>, Problem> {
    let row = sqlx::query_file_as!(HoursRow, "src/features/accounts/erasing/erasure_hours.sql", user_id, from, to);
    Ok(row.fetch_optional(tx).await?)
}
