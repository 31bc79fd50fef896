//! The SQL of what vibe-usage reads.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::access::erased_user;
use crate::kernel::bucket::TokenCounts;
use crate::kernel::database::{Tx, counters_of_row};
use crate::kernel::problem::Problem;

/// Whose usage it is.
#[derive(Debug)]
pub struct OwnerRow {
    pub name: String,
    pub has_any_data: bool,
}

/// One bucket as it stands.
#[derive(Debug)]
pub struct UsageRow {
    pub hour_start: DateTime<Utc>,
    pub source: String,
    pub model: String,
    pub device_name: String,
    pub counts: TokenCounts,
}

/// Whose usage it is, of one device or of all. Errors: 401 the user was erased.
pub async fn find_owner(tx: &mut Tx, user_id: Uuid, device_id: Option<Uuid>) -> Result<OwnerRow, Problem> {
    let query = sqlx::query_file_as!(OwnerRow, "src/features/speaks_vibe_cafe/find_owner.sql", user_id, device_id);
    query.fetch_optional(tx).await?.ok_or_else(erased_user)
}

/// The buckets from an instant on, of one device or of all, at most `limit` of them.
pub async fn list_usage(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Option<Uuid>,
    from: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<UsageRow>, Problem> {
    let query = sqlx::query_file!("src/features/speaks_vibe_cafe/list_usage.sql", user_id, device_id, from, limit);
    let rows = query.fetch_all(tx).await?.into_iter().map(|row| UsageRow {
        hour_start: row.hour_start,
        counts: counters_of_row!(row),
        source: row.source,
        model: row.model,
        device_name: row.device_name,
    });
    Ok(rows.collect())
}
