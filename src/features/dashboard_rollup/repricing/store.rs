//! The SQL of what another price book changes.

use chrono::NaiveDate;

use crate::features::dashboard_rollup::store::{Sum, sums_of_row};
use crate::features::dashboard_rollup::sums::Counters;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Usage that falls under one rate in the former book and under another one in the new book.
#[derive(Clone, Debug)]
pub struct RateChange {
    /// What is sold.
    pub sku: String,
    /// The first day of the UTC month.
    pub month: NaiveDate,
    /// The rate in the former book; 0 for none.
    pub former_rate_id: i32,
    /// The rate in the new book; 0 for none.
    pub rate_id: i32,
    /// The usage.
    pub sums: Counters,
    /// Users of all that changes of this sku and month, and their UTC days.
    pub reach: (i64, i64),
    /// The same of all that changes.
    pub whole_reach: (i64, i64),
}

/// All usage whose rate changes, by sku and month.
pub async fn rate_changes(tx: &mut Tx, former: Option<i32>, book: i32) -> Result<Vec<RateChange>, Problem> {
    let rows = sqlx::query_file!("src/features/dashboard_rollup/repricing/rate_changes.sql", former, book)
        .fetch_all(tx)
        .await?;
    let changes = rows.into_iter().map(|row| {
        let sums = sums_of_row!(row);
        RateChange {
            sku: row.sku,
            month: row.utc_month,
            former_rate_id: row.former_rate_id,
            rate_id: row.rate_id,
            sums,
            reach: (row.users, row.user_days),
            whole_reach: (row.all_users, row.all_user_days),
        }
    });
    Ok(changes.collect())
}
