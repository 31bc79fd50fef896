//! Why the primary answers although there is a standby.

use crate::kernel::problem::{Code, Problem};

/// Why the primary answers although there is a standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nobody has looked at the standby since the start.
    NotSeen,
    /// It has not replayed yet what the primary had committed.
    Behind,
    /// It shows what the primary, which waits for yet another standby, does not show yet.
    Ahead,
    /// It follows nobody any more, so that it has a history of its own.
    Promoted,
    /// It follows another history of the same cluster: one that began with a promotion somewhere else.
    OtherTimeline,
    /// It is of another cluster, or another database.
    OtherDatabase,
    /// It does not answer, or has no connection left.
    Unreachable,
    /// All connections to it are busy.
    Busy,
    /// What it replayed was in the way of the read.
    Conflict,
    /// It took too long.
    Slow,
    /// The primary does not say in time how far it has come, or is in recovery itself.
    NoMark,
    /// Anything else.
    Failed,
}

impl Fallback {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::NotSeen,
        Self::Behind,
        Self::Ahead,
        Self::Promoted,
        Self::OtherTimeline,
        Self::OtherDatabase,
        Self::Unreachable,
        Self::Busy,
        Self::Conflict,
        Self::Slow,
        Self::NoMark,
        Self::Failed,
    ];

    /// As log lines, metrics and the status spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSeen => "not_seen",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Promoted => "promoted",
            Self::OtherTimeline => "other_timeline",
            Self::OtherDatabase => "other_database",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Conflict => "conflict",
            Self::Slow => "slow",
            Self::NoMark => "no_mark",
            Self::Failed => "failed",
        }
    }

    /// Whether it is over with whoever met it, and says nothing of the standby.
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::NotSeen | Self::Busy | Self::Conflict | Self::NoMark)
    }

    /// What a failure on the standby means.
    pub fn of(problem: &Problem) -> Self {
        match problem.code() {
            Code::DatabaseUnavailable => Self::Unreachable,
            Code::Overloaded => Self::Busy,
            Code::DatabaseConflict => Self::Conflict,
            Code::DeadlineExceeded => Self::Slow,
            _ => Self::Failed,
        }
    }
}
