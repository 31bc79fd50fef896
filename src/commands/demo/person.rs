//! Who a demo is.

use std::time::Duration;

/// The user's name.
pub(super) const USER: &str = "demo";
/// Where that person lives.
pub(super) const ZONE: chrono_tz::Tz = chrono_tz::Europe::Berlin;
/// Another one gives another year, and what stands of this one would stay beside it.
pub(super) const SEED: u64 = 1;
/// How much of it there is.
pub(super) const DAYS: u32 = 365;
/// How long each of a command's transactions may take.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
