//! What vibeusage's tracker is answered.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::kernel::dialect::{Enrolled, Taken};

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeUsageReceipt {
    success: bool,
    ok: bool,
    /// Rows that are stored, or were.
    #[schema(example = 6)]
    inserted: usize,
    /// Rows that were not taken, or against which another version of the bucket stands.
    #[schema(example = 0)]
    skipped: usize,
    /// Rows by project are not read.
    #[schema(example = 0)]
    project_inserted: usize,
    #[schema(example = 0)]
    project_skipped: usize,
}

/// An answer to a sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeUsagePong {
    success: bool,
    updated: bool,
    /// When it came.
    #[schema(example = "2026-11-20T12:00:00.000Z")]
    last_sync_at: String,
    /// How long the tracker should wait for the next one.
    #[schema(example = 30)]
    min_interval_minutes: u32,
}

/// A device and its token.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeUsageDevice {
    /// Shown now and never again.
    #[schema(example = "hhd_…")]
    token: String,
    device_id: Uuid,
    user_id: Uuid,
    #[schema(example = "2026-11-20T12:00:00.000Z")]
    created_at: String,
}

impl From<&Taken> for VibeUsageReceipt {
    fn from(taken: &Taken) -> Self {
        let skipped = taken.skipped() + taken.outweighed;
        Self { success: true, ok: true, inserted: taken.accepted, skipped, project_inserted: 0, project_skipped: 0 }
    }
}

impl VibeUsagePong {
    /// That came now.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { success: true, updated: true, last_sync_at: spelled(now), min_interval_minutes: 30 }
    }
}

impl From<Enrolled> for VibeUsageDevice {
    fn from(enrolled: Enrolled) -> Self {
        let Enrolled { user_id, device_id, token, created_at } = enrolled;
        Self { token: token.reveal().to_owned(), device_id, user_id, created_at: spelled(created_at) }
    }
}

fn spelled(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}
