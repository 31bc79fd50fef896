//! Verification compares every rollup row of a window with the fold of its buckets. It changes
//! nothing.
//!
//! Each user is read in one snapshot, which shows the work of a writer or the relay whole or not at
//! all. A day with an event that is not folded yet may differ and counts as `pending`. Any other
//! difference is drift. Days before the retention horizon have no buckets to compare with and are
//! left out. A user who cannot be compared, through the user's own data or in time, is reported,
//! and the others are compared all the same.

mod store;

use std::time::Duration;

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Pool, is_data_fault};
use crate::kernel::problem::{Code, Problem};

/// Days with drift, orphans, and users not compared that a report lists; it counts all.
pub const LISTED: usize = 100;
/// Users of one page.
const PAGE: i64 = 500;
/// A page of users, and one user where nothing is said, may take this long.
const LIMIT: Duration = Duration::from_mins(1);

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

/// Someone who could not be compared, such as a user in a time zone that PostgreSQL does not know any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// Who.
    pub user_id: Uuid,
    /// Why: `took_too_long`, or `refused_` and what SQLSTATE the database refused the user's data with.
    pub code: String,
}

impl Report {
    /// Whether the rollups are what the buckets say, as far as events are folded.
    pub fn is_clean(&self) -> bool {
        self.drifted == 0 && self.orphaned == 0 && self.not_compared == 0
    }
}

/// Compares. Holds a page of user ids and one user's differing days in memory, never more. Errors: the database's, but
/// for those of one user, which the report lists.
pub async fn verify(pool: &Pool, window: &Window) -> Result<Report, Problem> {
    let mut report = Report::default();
    let mut after = Uuid::nil();
    loop {
        let page = next_users(pool, window, after).await?;
        for user_id in &page {
            match examine(pool, *user_id, window).await {
                Ok(found) => report.add(found),
                Err(problem) => match reason(&problem) {
                    Some(code) => report.add_not_compared(NotCompared { user_id: *user_id, code }),
                    None => return Err(problem),
                },
            }
        }
        match page.last() {
            Some(last) => after = *last,
            None => return Ok(report),
        }
    }
}

/// What one user's snapshot shows.
#[derive(Debug)]
struct Found {
    user_days: u64,
    pending: u64,
    drift: Vec<Drift>,
    orphans: Vec<Orphan>,
}

impl Report {
    fn add(&mut self, found: Found) {
        self.users += 1;
        self.user_days += found.user_days;
        self.pending += found.pending;
        self.drifted += count(&found.drift);
        self.orphaned += count(&found.orphans);
        self.drift.extend(found.drift.into_iter().take(LISTED - self.drift.len()));
        self.orphans.extend(found.orphans.into_iter().take(LISTED - self.orphans.len()));
    }

    fn add_not_compared(&mut self, user: NotCompared) {
        self.users += 1;
        self.not_compared += 1;
        if self.not_compared_users.len() < LISTED {
            self.not_compared_users.push(user);
        }
    }
}

/// Why a user could not be compared; `None` where that was nothing of the user's.
fn reason(problem: &Problem) -> Option<String> {
    if problem.code() == Code::DeadlineExceeded {
        return Some("took_too_long".to_owned());
    }
    let error = problem.database_error().filter(|error| is_data_fault(error))?;
    Some(format!("refused_{}", error.as_database_error()?.code()?))
}

fn count<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

async fn next_users(pool: &Pool, window: &Window, after: Uuid) -> Result<Vec<Uuid>, Problem> {
    if let Some(named) = &window.user_ids {
        let mut named: Vec<Uuid> = named.iter().copied().filter(|user_id| *user_id > after).collect();
        named.sort_unstable();
        named.dedup();
        return Ok(named);
    }
    let mut tx = pool.begin(&RequestContext::internal(LIMIT), Access::Worker, Mode::Snapshot).await?;
    let page = store::users_with_usage(&mut tx, after, PAGE).await?;
    tx.rollback().await?;
    Ok(page)
}

async fn examine(pool: &Pool, user_id: Uuid, window: &Window) -> Result<Found, Problem> {
    let context = RequestContext::internal(window.limit.unwrap_or(LIMIT));
    let mut tx = pool.begin(&context, Access::Worker, Mode::Snapshot).await?;
    let days = store::compare_user_days(&mut tx, user_id, window).await?;
    let orphans = store::find_orphans(&mut tx, user_id).await?;
    tx.rollback().await?;
    let (user_days, pending) = days.first().map_or((0, 0), |day| (day.compared, day.pending));
    Ok(Found { user_days, pending, drift: days.into_iter().filter_map(|day| day.drift).collect(), orphans })
}
