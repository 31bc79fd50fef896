//! The SQL of devices. Constraints on devices become problems here.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::name;
use crate::kernel::access::erased_user;
use crate::kernel::database::{Tx, broken_constraint};
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::intake::Heard;

/// A device, as its owner sees it.
#[derive(Debug)]
pub struct DeviceRow {
    pub device_id: Uuid,
    pub name: String,
    pub platform: String,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub speaks: Option<String>,
    pub heard_at: Option<DateTime<Utc>>,
    pub kept: i64,
    pub last_kept_at: Option<DateTime<Utc>>,
    pub counts: Option<bool>,
}

/// Since when a device is revoked, and whether that is new.
#[derive(Debug)]
pub struct RevokedRow {
    pub revoked_at: DateTime<Utc>,
    pub changed: bool,
}

/// Errors: 409 for a name in use and for more than `limit` active devices, 422 for a name or
/// platform that is not acceptable, 401 where the user was erased.
pub async fn insert_device(
    tx: &mut Tx,
    user_id: Uuid,
    device_id: Uuid,
    name: &str,
    platform: &str,
    limit: i64,
) -> Result<(), Problem> {
    let inserted =
        sqlx::query_file!("src/features/accounts/devices/insert_device.sql", user_id, device_id, name, platform, limit)
            .execute(tx)
            .await
            .map_err(|error| refusal(error, "/name"))?;
    if inserted.rows_affected() == 0 {
        let detail = format!("A user has at most {limit} active devices; revoke some first.");
        return Err(Problem::new(Code::Conflict, detail));
    }
    Ok(())
}

/// The user's active device of that name.
pub async fn find_device(tx: &mut Tx, user_id: Uuid, name: &str) -> Result<Option<Uuid>, Problem> {
    let device_id = sqlx::query_file_scalar!("src/features/accounts/devices/find_device.sql", user_id, name);
    Ok(device_id.fetch_optional(tx).await?)
}

/// When one of a user's devices last showed its token.
pub async fn last_heard(tx: &mut Tx, user_id: Uuid) -> Result<Option<DateTime<Utc>>, Problem> {
    let heard = sqlx::query_file_scalar!("src/features/accounts/devices/last_heard.sql", user_id);
    Ok(heard.fetch_one(tx).await?)
}

/// One page of a user's devices.
pub async fn list_devices(
    tx: &mut Tx,
    user_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<DeviceRow>, Problem> {
    let rows = sqlx::query_file_as!(DeviceRow, "src/features/accounts/devices/list_devices.sql", user_id, after, limit);
    Ok(rows.fetch_all(tx).await?)
}

/// Writes down in which protocol devices reported last, and when.
pub async fn note_reports(tx: &mut Tx, heard: &[Heard]) -> Result<(), Problem> {
    let user_ids: Vec<_> = heard.iter().map(|heard| heard.user_id).collect();
    let device_ids: Vec<_> = heard.iter().map(|heard| heard.device_id).collect();
    let protocols: Vec<_> = heard.iter().map(|heard| heard.speaks).collect();
    let heard_ats: Vec<_> = heard.iter().map(|heard| heard.heard_at).collect();
    sqlx::query_file!(
        "src/features/accounts/devices/note_reports.sql",
        &user_ids,
        &device_ids,
        &protocols as &[&str],
        &heard_ats
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Revokes a device and its tokens. `None` where the user has no such device.
pub async fn revoke_device(tx: &mut Tx, user_id: Uuid, device_id: Uuid) -> Result<Option<RevokedRow>, Problem> {
    let row = sqlx::query_file_as!(RevokedRow, "src/features/accounts/devices/revoke_device.sql", user_id, device_id);
    Ok(row.fetch_optional(tx).await?)
}

/// Holds a device until the transaction ends, and says whether it is active. `None` where the user
/// has no such device.
pub async fn lock_device(tx: &mut Tx, user_id: Uuid, device_id: Uuid) -> Result<Option<bool>, Problem> {
    let active = sqlx::query_file_scalar!("src/features/accounts/devices/lock_device.sql", user_id, device_id);
    Ok(active.fetch_optional(tx).await?)
}

/// Holds a device until the transaction ends, and says what it is called. `None` where the user has no such device.
pub async fn lock_device_name(tx: &mut Tx, user_id: Uuid, device_id: Uuid) -> Result<Option<String>, Problem> {
    let name = sqlx::query_file_scalar!("src/features/accounts/devices/lock_device_name.sql", user_id, device_id);
    Ok(name.fetch_optional(tx).await?)
}

/// Gives a device another name. Errors: 409 for one that another active device has, 422 for one that is not acceptable.
pub async fn rename_device(tx: &mut Tx, user_id: Uuid, device_id: Uuid, name: &str) -> Result<(), Problem> {
    let renamed = sqlx::query_file!("src/features/accounts/devices/rename_device.sql", user_id, device_id, name);
    renamed.execute(tx).await.map_err(|error| refusal(error, "/name"))?;
    Ok(())
}

/// The problem behind a broken constraint on devices. `name` points to the field with the device's
/// name.
pub fn refusal(error: sqlx::Error, name: &str) -> Problem {
    match broken_constraint(&error) {
        Some("device_name_is_unique_while_active") => {
            name::in_use(name, "This user already has an active device of this name.")
        }
        Some("device_belongs_to_user" | "token_belongs_to_user") => erased_user(),
        Some("device_name_is_1_to_100_characters") => name::of_wrong_length(name),
        Some("device_name_has_no_control_characters") => name::with_control_character(name),
        Some("device_platform_is_1_to_40_characters") => {
            let detail = "A platform has 1 to 40 characters.";
            Problem::invalid(vec![Violation::new("/platform", "wrong_length", detail)])
        }
        _ => Problem::from(error),
    }
}
