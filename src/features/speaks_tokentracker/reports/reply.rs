//! What TokenTracker is answered.

use chrono::SecondsFormat;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::kernel::dialect::{BegunPairing, Enrolled, Paired, Taken};

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenTrackerReceipt {
    success: bool,
    ok: bool,
    /// Rows that are stored, or were.
    #[schema(example = 8)]
    inserted: usize,
    /// Rows that were not taken, or against which another version of the bucket stands.
    #[schema(example = 0)]
    skipped: usize,
    /// There are no rows by project.
    #[schema(example = 0)]
    project_inserted: usize,
    #[schema(example = 0)]
    project_skipped: usize,
}

/// A pairing that waits for its owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenTrackerPairing {
    #[schema(example = "hhp_…")]
    device_code: String,
    #[schema(example = "7K3M-9QXD-2VTA")]
    user_code: String,
    /// A page that says how to approve it.
    verification_uri: String,
    /// The same with the code.
    verification_uri_complete: String,
    /// Seconds until it is too late.
    #[schema(example = 900)]
    expires_in: u32,
    /// Seconds between two questions.
    #[schema(example = 5)]
    interval: u32,
}

/// What became of a pairing.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenTrackerPolled {
    /// `pending`, `approved`, `expired` or `unknown`.
    #[schema(example = "approved")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    /// Shown to whoever has the device code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "hhd_…")]
    device_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<Uuid>,
}

/// A device and its token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenTrackerDevice {
    /// Shown now and never again.
    #[schema(example = "hhd_…")]
    token: String,
    device_id: Uuid,
    #[schema(example = "2026-11-20T12:00:00.000Z")]
    created_at: String,
}

/// That something came.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenTrackerOk {
    ok: bool,
}

impl From<&Taken> for TokenTrackerReceipt {
    fn from(taken: &Taken) -> Self {
        let skipped = taken.skipped() + taken.outweighed;
        Self { success: true, ok: true, inserted: taken.accepted, skipped, project_inserted: 0, project_skipped: 0 }
    }
}

impl TokenTrackerPairing {
    /// Approved at `public_url`.
    pub fn of(pairing: BegunPairing, public_url: &str) -> Self {
        let BegunPairing { device_code, user_code, expires_in_s } = pairing;
        let verification_uri = format!("{public_url}/pair");
        let verification_uri_complete = format!("{verification_uri}?user_code={user_code}");
        Self {
            device_code,
            user_code,
            verification_uri,
            verification_uri_complete,
            expires_in: expires_in_s,
            interval: 5,
        }
    }
}

impl TokenTrackerPolled {
    /// There is no device yet, or will be none.
    pub const fn without_device(status: &'static str) -> Self {
        Self { status, user_id: None, device_token: None, device_id: None }
    }
}

impl From<&Paired> for TokenTrackerPolled {
    fn from(paired: &Paired) -> Self {
        Self {
            status: "approved",
            user_id: Some(paired.user_id),
            device_token: Some(paired.token.reveal().to_owned()),
            device_id: Some(paired.device_id),
        }
    }
}

impl From<Enrolled> for TokenTrackerDevice {
    fn from(enrolled: Enrolled) -> Self {
        let created_at = enrolled.created_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Self { token: enrolled.token.reveal().to_owned(), device_id: enrolled.device_id, created_at }
    }
}

impl TokenTrackerOk {
    /// It came.
    pub const fn yes() -> Self {
        Self { ok: true }
    }
}
