//! A job: what it is to do, what state it is in, how far it has come.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::pairing::Merge;
use super::repricing::Repricing;
use crate::kernel::bucket::BucketKey;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Writes buckets.
    Import,
    /// Folds a window again.
    Replay,
    /// Compares rollups with their buckets.
    Verify,
    /// Moves the buckets of a device into another one of the same user.
    Merge,
    /// Puts a price book in force, and moves every rollup into it.
    Reprice,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Import, Self::Replay, Self::Verify, Self::Merge, Self::Reprice];

    /// As stored and in bodies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Replay => "replay",
            Self::Verify => "verify",
            Self::Merge => "merge",
            Self::Reprice => "reprice",
        }
    }

    /// It changes buckets.
    pub const fn changes_buckets(self) -> bool {
        matches!(self, Self::Import | Self::Merge)
    }

    /// It can be taken back.
    pub const fn can_be_taken_back(self) -> bool {
        self.changes_buckets() || matches!(self, Self::Reprice)
    }

    /// The inverse of [`Action::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// Where a job is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its lines are being read.
    Planning,
    /// It can be looked at, executed or cancelled.
    Planned,
    /// A worker executes it.
    Running,
    /// All of it was done, and is folded.
    Succeeded,
    /// It came to its end, but something did not go as planned.
    Failed,
    /// An operator stopped it.
    Cancelled,
    /// A worker takes it back.
    RollingBack,
    /// It was taken back, and that is folded.
    RolledBack,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Planning,
        Self::Planned,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::RollingBack,
        Self::RolledBack,
    ];

    /// As stored and in replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
        }
    }

    /// The inverse of [`State::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// A worker has to do with it.
    pub const fn is_at_work(self) -> bool {
        matches!(self, Self::Running | Self::RollingBack)
    }
}

/// UTC days, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}

impl Days {
    /// How many they are.
    pub fn count(self) -> i64 {
        self.last.signed_duration_since(self.first).num_days() + 1
    }

    /// The start of the first half hour.
    pub fn first_hour(self) -> DateTime<Utc> {
        self.first.and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// The start of the last half hour.
    pub fn last_hour(self) -> DateTime<Utc> {
        self.last.and_time(chrono::NaiveTime::MIN).and_utc() + TimeDelta::minutes(24 * 60 - 30)
    }

    /// Whether a half hour lies in them.
    pub fn contain(self, start: DateTime<Utc>) -> bool {
        (self.first_hour()..=self.last_hour()).contains(&start)
    }
}

/// What an import or a merge does to the buckets that stood when it was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Rows without a bucket.
    pub inserted: i64,
    /// Rows with a greater total.
    pub raised: i64,
    /// Rows with a smaller total.
    pub lowered: i64,
    /// Rows with the same total in other classes.
    pub changed: i64,
    /// Rows that say what stands.
    pub unchanged: i64,
    /// Rollup rows that this touches.
    pub rollup_rows: i64,
    /// Total tokens of the buckets that stand.
    pub tokens_before: u128,
    /// Total tokens of the rows.
    pub tokens_after: u128,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// UUIDv7.
    pub job_id: Uuid,
    /// What it does.
    pub action: Action,
    /// Where it is on its way.
    pub state: State,
    /// Changes with the state.
    pub version: i64,
    /// Why, in the operator's words.
    pub reason: String,
    /// The window.
    pub days: Days,
    /// Its users; `None` for all.
    pub user_ids: Option<Vec<Uuid>>,
    /// A fingerprint of the plan; `None` while planning.
    pub plan_hash: Option<String>,
    /// For imports and merges.
    pub diff: Diff,
    /// For merges.
    pub merge: Option<Merge>,
    /// For reprices.
    pub repricing: Option<Repricing>,
    /// Rows of an import, pairs of a merge, users of another job.
    pub total: i64,
    /// How many of them the present phase has behind it.
    pub done: i64,
    /// Lines and rows that could not be taken.
    pub poisoned: i64,
    /// Rows that had changed since the plan.
    pub skipped: i64,
    /// How often a rollback was begun.
    pub rollbacks: i32,
    /// How far the execution had come when the first rollback began.
    pub reached: Option<i64>,
    /// The last key that was stepped over.
    pub cursor: Cursor,
    /// What a verification found, as JSON.
    pub drift: Option<serde_json::Value>,
    /// Why it failed, in a word.
    pub failure: Option<String>,
    /// SHA-256 of the request that made it.
    pub fingerprint: Option<Vec<u8>>,
    /// Whether someone holds a lease on it now.
    pub is_leased: bool,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// Start of its execution.
    pub executed_at: Option<DateTime<Utc>>,
    /// When it came to its present end.
    pub finished_at: Option<DateTime<Utc>>,
    /// When its rows were removed.
    pub purged_at: Option<DateTime<Utc>>,
}

/// How far a job has come, as people want to know it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Rows or users that are done.
    pub done: i64,
    /// Rows or users in all.
    pub total: i64,
    /// From 0 to 100.
    pub percent: f64,
    /// Seconds to the end of the rows, at the rate so far; `None` where that is not known.
    pub eta_seconds: Option<i64>,
}

impl Job {
    /// How far it has come.
    pub fn progress(&self, now: DateTime<Utc>) -> Progress {
        let total = self.phase_total();
        // Where there is nothing to do, the order does it.
        let permille = if total == 0 { i64::from(self.executed_at.is_some()) * 1000 } else { self.done * 1000 / total };
        let percent = f64::from(u16::try_from(permille.clamp(0, 1000)).unwrap_or(0)) / 10.0;
        let elapsed = self.executed_at.map(|at| now.signed_duration_since(at).num_seconds().max(0));
        let eta_seconds = match (self.state, elapsed) {
            (State::Running, Some(elapsed)) if self.done > 0 => {
                Some(elapsed.saturating_mul(total - self.done) / self.done)
            }
            _ => None,
        };
        Progress { done: self.done, total, percent, eta_seconds }
    }

    /// How many rows or users the present phase has: a rollback goes no further than the execution came. But that of a reprice
    /// goes through all users, since there may be new ones.
    pub fn phase_total(&self) -> i64 {
        if self.rollbacks > 0 && self.action != Action::Reprice {
            self.reached.unwrap_or(self.total)
        } else {
            self.total
        }
    }
}

/// The key after which a worker goes on; all `None` at the beginning. The last four are for imports and merges only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The user.
    pub user_id: Option<Uuid>,
    /// The half hour.
    pub hour_start: Option<DateTime<Utc>>,
    /// The device.
    pub device_id: Option<Uuid>,
    /// The tool.
    pub source: Option<String>,
    /// The model.
    pub model: Option<String>,
}

impl Cursor {
    /// After a user.
    pub fn after_user(user_id: Uuid) -> Self {
        Self { user_id: Some(user_id), ..Self::default() }
    }

    /// After a row.
    pub fn after(key: &BucketKey) -> Self {
        Self {
            user_id: Some(key.user_id),
            hour_start: Some(key.hour_start.start()),
            device_id: Some(key.device_id),
            source: Some(key.source.as_str().to_owned()),
            model: Some(key.model.as_str().to_owned()),
        }
    }
}

/// Why a row did not go as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionKind {
    /// Not acceptable.
    Poisoned,
    /// It had changed since the plan.
    Skipped,
    /// It had changed since the execution, so that a rollback left it.
    Kept,
}

impl ExceptionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Poisoned, Self::Skipped, Self::Kept];

    /// As stored and in replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poisoned => "poisoned",
            Self::Skipped => "skipped",
            Self::Kept => "kept",
        }
    }

    /// The inverse of [`ExceptionKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A row that did not go as planned.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Why.
    pub kind: ExceptionKind,
    /// The line of the stream it was on, from 1.
    pub line: Option<i64>,
    /// The bucket; `None` where a line's key could not be read.
    pub key: Option<BucketKey>,
    /// What is wrong with it.
    pub code: String,
    /// The field of a line that is wrong, and what was expected of it.
    pub expected: Option<(String, String)>,
}

impl Exception {
    /// A bucket, which is on no line.
    pub fn of(kind: ExceptionKind, key: BucketKey, code: &str) -> Self {
        Self { kind, line: None, key: Some(key), code: code.to_owned(), expected: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(first: &str, last: &str) -> Days {
        Days { first: first.parse().unwrap(), last: last.parse().unwrap() }
    }

    #[test]
    fn a_window_holds_the_half_hours_of_its_utc_days_and_no_others() {
        let window = days("2026-10-01", "2026-10-02");
        assert_eq!(window.count(), 2);
        for (hour, inside) in [
            ("2026-09-30T23:30:00Z", false),
            ("2026-10-01T00:00:00Z", true),
            ("2026-10-02T23:30:00Z", true),
            ("2026-10-03T00:00:00Z", false),
        ] {
            assert_eq!(window.contain(hour.parse().unwrap()), inside, "{hour}");
        }
    }

    #[test]
    fn names_are_read_back_and_others_are_not() {
        assert!(State::ALL.iter().all(|state| State::parse(state.as_str()) == Some(*state)));
        assert!(Action::ALL.iter().all(|action| Action::parse(action.as_str()) == Some(*action)));
        assert!(ExceptionKind::ALL.iter().all(|kind| ExceptionKind::parse(kind.as_str()) == Some(*kind)));
        assert_eq!((State::parse("done"), Action::parse("Import"), ExceptionKind::parse("")), (None, None, None));
    }
}
