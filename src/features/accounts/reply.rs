//! What callers are told. A secret in a reply is written out by serialising it and by nothing else.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::directory::{DeviceListing, UserListing};
use super::link_code::LinkCode;
use crate::kernel::access::Token;

/// Oneself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Profile {
    pub user_id: Uuid,
    /// Chosen by the operator.
    #[schema(example = "ann")]
    pub name: String,
    /// The wanted IANA zone. Replies of `/v1/rollups` name the zone that the rollup is in; for seconds after a change it
    /// may still be the old one.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    pub created_at: DateTime<Utc>,
}

/// A page of devices, in the order of their registration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Devices)]
pub struct DevicesPage {
    pub data: Vec<Device>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<String>,
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
pub struct Device {
    pub device_id: Uuid,
    #[schema(example = "laptop")]
    pub name: String,
    #[schema(example = "linux")]
    pub platform: String,
    pub created_at: DateTime<Utc>,
    /// Since when it may not post; null while it is active.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it last called, give or take a minute or two; null where it never did.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<DeviceListing> for Device {
    fn from(device: DeviceListing) -> Self {
        let DeviceListing { device_id, name, platform, created_at, revoked_at, last_used_at } = device;
        Self { device_id, name, platform, created_at, revoked_at, last_used_at }
    }
}

/// A page of users, in the order of their creation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Users)]
pub struct UsersPage {
    pub data: Vec<User>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<String>,
}

/// A user, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    pub user_id: Uuid,
    #[schema(example = "ann")]
    pub name: String,
    /// The wanted IANA zone.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing; null while it is active.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When any of its tokens was last used, give or take a minute or two.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<UserListing> for User {
    fn from(user: UserListing) -> Self {
        let UserListing { user_id, name, time_zone, created_at, revoked_at, last_used_at } = user;
        Self { user_id, name, time_zone, created_at, revoked_at, last_used_at }
    }
}

/// A user that was just created.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedUser {
    pub user_id: Uuid,
    /// Shown now and never again.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String, example = "hhv_…")]
    pub viewer_token: Token,
}

/// A device that was just registered.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredDevice {
    pub device_id: Uuid,
    /// Shown now and never again.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String, example = "hhd_…")]
    pub token: Token,
}

/// A device with a new token.
#[derive(Debug, Serialize, ToSchema)]
pub struct RotatedDevice {
    pub device_id: Uuid,
    /// Works at once. Shown now and never again.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String, example = "hhd_…")]
    pub token: Token,
    /// For how many seconds more the device's other tokens work.
    #[schema(example = 600)]
    pub previous_valid_for_s: u32,
}

/// A device that may not post any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedDevice {
    pub device_id: Uuid,
    pub revoked_at: DateTime<Utc>,
}

/// A link code that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LinkCode)]
pub struct MadeLinkCode {
    /// To be typed on the new device. Shown now and never again.
    #[serde(serialize_with = "reveal_code")]
    #[schema(value_type = String, example = "7K3M-9QXD-2VTA")]
    pub code: LinkCode,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

/// What was deleted, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erasure {
    /// True where nothing was deleted: these are the buckets that would be.
    pub dry_run: bool,
    /// Snapshots of the scope that were taken at or before this instant are refused from now on; null in a dry run.
    pub erased_at: Option<DateTime<Utc>>,
    /// Only of this device; null for all.
    pub device: Option<Uuid>,
    /// Only of this tool; null for all.
    pub source: Option<&'static str>,
    /// From this local day on; null where there is no such end.
    pub from: Option<NaiveDate>,
    /// Up to this local day, inclusive; null where there is no such end.
    pub to: Option<NaiveDate>,
    /// How many buckets.
    pub buckets: i64,
    /// The first half hour of them; null where there are none.
    pub first_hour: Option<DateTime<Utc>>,
    /// The last half hour of them; null where there are none.
    pub last_hour: Option<DateTime<Utc>>,
}

fn reveal<S: Serializer>(token: &Token, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.reveal())
}

fn reveal_code<S: Serializer>(code: &LinkCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&code.reveal())
}
