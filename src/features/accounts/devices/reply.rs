//! What users are told of their devices.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::tokens::reveal;
use super::store::DeviceRow;
use crate::kernel::access::Token;
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;

/// A page of devices, in the order of their registration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Devices)]
pub struct DevicesPage {
    pub data: Vec<DeviceListing>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<String>,
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub struct DeviceListing {
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
    /// The protocol in which it reported last, by the name of the product; null where it never did.
    #[schema(example = "vibeusage")]
    pub speaks: Option<String>,
    /// When that was, give or take a minute or two; null where it never did.
    pub heard_at: Option<DateTime<Utc>>,
    /// How many of its snapshots replaced nothing, because it reports less for old half hours than it once did: its
    /// tool deletes logs.
    #[schema(example = 0, minimum = 0)]
    pub kept: i64,
    /// When the last of them arrived; null where there was none.
    pub last_kept_at: Option<DateTime<Utc>>,
    /// True where its records are added up, as OpenTelemetry's are, and false where its snapshots replace each other. Its
    /// first post decides; null before that.
    pub counts: Option<bool>,
}

impl From<DeviceRow> for DeviceListing {
    fn from(row: DeviceRow) -> Self {
        Self {
            device_id: row.device_id,
            name: row.name,
            platform: row.platform,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            speaks: row.speaks,
            heard_at: row.heard_at,
            kept: row.kept,
            last_kept_at: row.last_kept_at,
            counts: row.counts,
        }
    }
}

/// A device that was just registered.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredDevice {
    /// Its id, for good.
    pub device_id: Uuid,
    /// Shown now and never again.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String, example = "hhd_…")]
    pub token: Token,
}

impl RegisteredDevice {
    /// The answer to its registration.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Ok(Answer::created(self)?.with_secret(self.token.reveal()))
    }
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

impl RotatedDevice {
    /// The answer to its rotation.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Ok(Answer::created(self)?.with_secret(self.token.reveal()))
    }
}

/// A device under its other name.
#[derive(Debug, Serialize, ToSchema)]
pub struct RenamedDevice {
    pub device_id: Uuid,
    /// What it is called now.
    #[schema(example = "laptop of work")]
    pub name: String,
}

impl RenamedDevice {
    /// The answer to its change.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Answer::ok(self)
    }
}

/// A device that may not post any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedDevice {
    pub device_id: Uuid,
    pub revoked_at: DateTime<Utc>,
}

impl RevokedDevice {
    /// The answer to its revocation.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Ok(Answer::ok(self)?.unkept())
    }
}
