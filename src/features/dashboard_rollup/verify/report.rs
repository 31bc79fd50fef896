//! What a verification is asked for, and what it finds.

use std::time::Duration;

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

/// Days with drift, orphans, unknown tools, and users not compared that a report lists; it counts all.
pub const LISTED: usize = 100;
/// What to verify.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Only these users; `None` for all who have buckets or rollup rows.
    pub user_ids: Option<Vec<Uuid>>,
    /// The first local day; `None` for no bound.
    pub from: Option<NaiveDate>,
    /// The last local day; `None` for no bound.
    pub to: Option<NaiveDate>,
    /// How long one user may take; `None` for a minute.
    pub limit: Option<Duration>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Users that were looked at.
    pub users: u64,
    /// Days of users that were compared.
    pub user_days: u64,
    /// Days of users with an event that is not folded yet.
    pub pending: u64,
    /// Days of users whose rollup is not the fold of their buckets.
    pub drifted: u64,
    /// The first [`LISTED`] of them.
    pub drift: Vec<Drift>,
    /// Users and devices that do not exist and yet have buckets or rollup rows.
    pub orphaned: u64,
    /// The first [`LISTED`] of them.
    pub orphans: Vec<Orphan>,
    /// Buckets of tools that `usage.source` does not have, in the window or not. Retired tools are known.
    pub of_unknown_sources: u64,
    /// The first [`LISTED`] of these tools, by user.
    pub unknown_sources: Vec<UnknownSource>,
    /// Users that could not be compared.
    pub not_compared: u64,
    /// The first [`LISTED`] of them.
    pub not_compared_users: Vec<NotCompared>,
}

/// A day of a user whose rollup is not the fold of its buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Whose.
    pub user_id: Uuid,
    /// The local day.
    pub day: NaiveDate,
    /// Rows that should be there.
    pub missing_rows: i64,
    /// Rows that should not be there.
    pub extra_rows: i64,
    /// Rows with other sums.
    pub different_rows: i64,
    /// `total_tokens` of the buckets.
    pub expected_tokens: i64,
    /// `total_tokens` of the rollup.
    pub actual_tokens: i64,
}

/// Someone who does not exist, and yet has buckets or rollup rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// The user that is named.
    pub user_id: Uuid,
    /// The device that does not exist; `None` where the user does not.
    pub device_id: Option<Uuid>,
}

/// Buckets of a user whose tool nobody ever allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownSource {
    /// Whose.
    pub user_id: Uuid,
    /// What the buckets say.
    pub source: String,
    /// How many there are.
    pub buckets: u64,
}

/// Someone who could not be compared, such as a user in a time zone that PostgreSQL does not know any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// Who.
    pub user_id: Uuid,
    /// Why: `took_too_long`, or `refused_` and what SQLSTATE the database refused the user's data with.
    pub code: String,
}

impl Report {
    /// Whether the rollups are what the buckets say, as far as events are folded, and everything in them is known.
    pub fn is_clean(&self) -> bool {
        self.drifted == 0 && self.orphaned == 0 && self.of_unknown_sources == 0 && self.not_compared == 0
    }
}

/// What one user's snapshot shows.
#[derive(Debug)]
pub struct UserFindings {
    /// Days that were compared.
    pub user_days: u64,
    /// Days with an event that is not folded yet.
    pub pending: u64,
    /// Days that drifted.
    pub drift: Vec<Drift>,
    /// Users and devices that do not exist.
    pub orphans: Vec<Orphan>,
    /// Buckets of unknown tools.
    pub of_unknown_sources: u64,
    /// The first of these tools.
    pub unknown_sources: Vec<UnknownSource>,
}

impl Report {
    /// Adds what was found of one more user.
    pub fn add(&mut self, found: UserFindings) {
        self.users += 1;
        self.user_days += found.user_days;
        self.pending += found.pending;
        self.drifted += count(&found.drift);
        self.orphaned += count(&found.orphans);
        self.of_unknown_sources += found.of_unknown_sources;
        self.unknown_sources.extend(found.unknown_sources.into_iter().take(LISTED - self.unknown_sources.len()));
        self.drift.extend(found.drift.into_iter().take(LISTED - self.drift.len()));
        self.orphans.extend(found.orphans.into_iter().take(LISTED - self.orphans.len()));
    }

    /// Adds a user who could not be compared.
    pub fn add_not_compared(&mut self, user: NotCompared) {
        self.users += 1;
        self.not_compared += 1;
        if self.not_compared_users.len() < LISTED {
            self.not_compared_users.push(user);
        }
    }
}

fn count<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}
