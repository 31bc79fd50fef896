//! What a review of a log says.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::blame::Blame;

/// What a review of a log says. `lines` is the sum of `known`, `foreign` and `broken`.
#[derive(Debug, Serialize)]
pub struct BlameReport {
    /// Lines read.
    pub lines: u64,
    /// M1 lines.
    pub known: u64,
    /// Lines that are none.
    pub foreign: Strays,
    /// Lines that begin like a JSON object and are not exactly one, or are too long.
    pub broken: Strays,
    /// M1 lines from before the instant that was asked for. Nothing below counts them.
    pub before_since: u64,
    /// M1 lines that do not say when they were written. They are counted whatever instant was asked for.
    pub without_time: u64,
    /// M1 lines that blame somebody whom their evidence does not.
    pub contradictory: Strays,
    /// M1 lines that are more than a second older than the line before them.
    pub steps_back: Strays,
    /// When the first call ended.
    pub from: Option<DateTime<Utc>>,
    /// When the last call ended.
    pub to: Option<DateTime<Utc>>,
    /// Calls that failed, by whose fault it was.
    pub failed: FailedCalls,
    /// Calls that succeeded slowly, by whose fault it was.
    pub slow: SlowCalls,
    /// `p50_ms` and `p99_ms` are this share off at most.
    pub quantile_error: f64,
    /// Calls that stand in rows without a function, because there were too many functions and codes.
    pub ungrouped: u64,
    /// Functions by blame and error code: what matters most first, then the most frequent.
    pub verdicts: Vec<BlameRow>,
}

/// Calls that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FailedCalls {
    /// Through their callers.
    pub client: u64,
    /// While the database was well.
    pub application: u64,
    /// With the database.
    pub upstream: u64,
    /// Without evidence against anybody.
    pub unknown: u64,
}

impl FailedCalls {
    /// Those that were not their callers' fault, or not certainly so.
    pub const fn not_of_clients(&self) -> u64 {
        self.application + self.upstream + self.unknown
    }
}

/// Calls that succeeded slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SlowCalls {
    /// While the database was not why.
    pub application: u64,
    /// Because the database was slow.
    pub upstream: u64,
}

/// Lines of some kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Strays {
    /// How many there are.
    pub count: u64,
    /// Where the first one is.
    pub first: Option<LinePlace>,
}

impl Strays {
    /// Counts one more, at that line of that file.
    pub fn note(&mut self, file: &str, line: u64, why: Option<&'static str>) {
        self.count += 1;
        self.first.get_or_insert_with(|| LinePlace { file: file.to_owned(), line, why });
    }
}

/// Where a line is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinePlace {
    /// As the file was called.
    pub file: String,
    /// The first line is 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: Option<&'static str>,
}

/// The calls of one function that ended in the same way.
#[derive(Debug, Serialize)]
pub struct BlameRow {
    /// The operation, or the worker's step; null for `ungrouped` calls.
    pub function: Option<String>,
    /// Whose fault it was.
    pub attribution: Blame,
    /// The problem's code.
    pub error_code: Option<String>,
    /// How many there are.
    pub count: u64,
    /// Of all calls that are counted.
    pub share: f64,
    /// Half of them were quicker.
    pub p50_ms: f64,
    /// 99 of 100 were quicker.
    pub p99_ms: f64,
    /// When the first one ended.
    pub first_seen: Option<DateTime<Utc>>,
    /// When the last one ended.
    pub last_seen: Option<DateTime<Utc>>,
    /// What their lines say of the database, the most frequent first.
    pub evidence: Vec<EvidenceRow>,
    /// Calls with other evidence than the kinds that are listed.
    pub other_evidence: u64,
    /// Ids of some of them.
    pub request_ids: Vec<String>,
}

/// What lines say of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceRow {
    /// What was answered.
    pub status: u16,
    /// What the database answered.
    pub upstream_status: Option<u16>,
    /// Why there is no answer.
    pub upstream_evidence: Option<String>,
    /// How many lines say so.
    pub count: u64,
}
