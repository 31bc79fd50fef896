//! What a database error means: to the log line, to a retry, to the caller, and to the connection.
//!
//! One table says it all, by SQLSTATE and by the driver's variant, and never by a text.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use crate::kernel::problem::{Code, Problem};

/// What went wrong, as far as anybody but the log needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// There is no connection, or not any more: refused, lost, closed by PostgreSQL, or out of step.
    Connection,
    /// There was no connection to be had in the pool.
    Pool,
    /// PostgreSQL did not answer in the time that it was given on this side.
    Silence,
    /// PostgreSQL takes no changes, as after a failover.
    ReadOnly,
    /// PostgreSQL lacks something: connections, memory, disk, a disk that works, or its own health.
    Resources,
    /// It took too long.
    Overrun,
    /// A competing transaction won.
    Conflict,
    /// The key is there already.
    Duplicate,
    /// A lock was not to be had in time.
    Lock,
    /// The data is not acceptable.
    Data,
    /// What a connection remembers of the schema is not true any more.
    Outdated,
    /// PostgreSQL answered well, and the answer was not understood here.
    Misread,
    /// A bug, or something that nobody thought of.
    Other,
}

impl Failure {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => error.code().map_or(Self::Other, |code| Self::of_sqlstate(&code)),
            sqlx::Error::Io(error) => match gave_up(error) {
                Some(GaveUp::Silent(_)) => Self::Silence,
                Some(GaveUp::Overdue) => Self::Overrun,
                None => Self::Connection,
            },
            // `Protocol`: what came is no reply, so that nobody knows where the next one begins.
            sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => Self::Connection,
            sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => Self::Pool,
            sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_) => Self::Misread,
            _ => Self::Other,
        }
    }

    /// By the whole code first, and then by its class.
    fn of_sqlstate(code: &str) -> Self {
        match (code, code.get(..2).unwrap_or_default()) {
            // The last two: PostgreSQL ends a transaction that idles, and one that takes too long (17 and newer).
            (_, "08") | ("25P03", _) => Self::Connection,
            ("57014" | "25P04", _) => Self::Overrun,
            // Ended by an operator or a crash, starting, database dropped. Logins are judged when connecting only.
            (_, "57" | "28" | "3D") => Self::Connection,
            ("25006", _) => Self::ReadOnly,
            (_, "53" | "58" | "XX") => Self::Resources,
            (_, "40") => Self::Conflict,
            ("55P03", _) => Self::Lock,
            ("23505", _) => Self::Duplicate,
            (_, "22" | "23") => Self::Data,
            // A prepared statement's columns have changed; it is not there any more.
            ("0A000", _) | (_, "26") => Self::Outdated,
            _ => Self::Other,
        }
    }

    /// In HTTP terms, as the log line has it.
    const fn upstream_status(self) -> u16 {
        match self {
            Self::Misread => 200,
            Self::Data => 400,
            Self::Conflict | Self::Duplicate => 409,
            Self::Lock | Self::Outdated | Self::Other => 500,
            Self::Connection | Self::Pool | Self::ReadOnly | Self::Resources => 503,
            Self::Silence | Self::Overrun => 504,
        }
    }

    const fn problem_code(self) -> Code {
        match self {
            Self::Connection | Self::Pool | Self::Silence | Self::ReadOnly | Self::Resources => {
                Code::DatabaseUnavailable
            }
            Self::Overrun => Code::DeadlineExceeded,
            Self::Conflict | Self::Lock => Code::DatabaseConflict,
            Self::Duplicate | Self::Data | Self::Outdated | Self::Misread | Self::Other => Code::Internal,
        }
    }

    /// Whether another connection is the better one from here on.
    const fn spoils_connection(self) -> bool {
        matches!(self, Self::Connection | Self::Silence | Self::ReadOnly | Self::Outdated)
    }
}

/// Why this side stopped waiting for an answer. It travels inside of the driver's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GaveUp {
    /// PostgreSQL should have given up itself by then, and said nothing.
    #[error("PostgreSQL said nothing for {} ms", .0.as_millis())]
    Silent(Duration),
    /// The time of the whole transaction was used up.
    #[error("the transaction's time was used up")]
    Overdue,
}

impl From<GaveUp> for sqlx::Error {
    fn from(gave_up: GaveUp) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::TimedOut, gave_up))
    }
}

fn gave_up(error: &io::Error) -> Option<GaveUp> {
    error.get_ref()?.downcast_ref().copied()
}

/// The HTTP-like status of a database error, by its SQLSTATE and never by its text.
pub fn upstream_status(error: &sqlx::Error) -> u16 {
    Failure::of(error).upstream_status()
}

/// True where the same work may succeed at once: a lost race, a deadlock, a lost connection.
pub fn is_transient(error: &sqlx::Error) -> bool {
    matches!(Failure::of(error), Failure::Connection | Failure::ReadOnly | Failure::Conflict)
}

/// True where the data is at fault: SQLSTATE classes 22 and 23, and P0001.
pub fn is_data_fault(error: &sqlx::Error) -> bool {
    matches!(Failure::of(error), Failure::Data | Failure::Duplicate)
        || sqlstate(error).is_some_and(|code| code == "P0001")
}

/// True where a lock was not to be had in time, which is nobody's bug: SQLSTATE 55P03.
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    Failure::of(error) == Failure::Lock
}

/// True where this side gave up waiting for an answer that was overdue.
pub(super) fn is_silence(error: &sqlx::Error) -> bool {
    Failure::of(error) == Failure::Silence
}

/// True where no connection could be had, for other reasons than that there are too many or that the pool is closed:
/// breakers count that.
pub(super) fn is_unreachable(error: &sqlx::Error) -> bool {
    let is_full = sqlstate(error).is_some_and(|code| code.starts_with("53"));
    !is_full && !matches!(error, sqlx::Error::PoolClosed)
}

/// True where the connection is not to be used again.
pub(super) fn spoils_connection(error: &sqlx::Error) -> bool {
    Failure::of(error).spoils_connection()
}

fn sqlstate(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

/// A sum that is none: negative, or no whole number.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no sum of counts")]
pub struct NoSum(pub String);

/// Triggers that refuse what no statement does.
const ASSERTIONS: [&str; 2] = ["frozen_before_never_falls", "version_never_falls"];

/// The assertion that did not hold, where that is why a statement failed.
fn failed_assertion(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::ColumnDecode { source, .. } if source.is::<NoSum>() => Some("sums_are_not_negative"),
        _ => ASSERTIONS.into_iter().find(|name| broken_constraint(error) == Some(name)),
    }
}

impl From<sqlx::Error> for Problem {
    /// For failures that no slice expects. Expected ones (a named constraint) are matched before they come here.
    fn from(error: sqlx::Error) -> Self {
        if let Some(assertion) = failed_assertion(&error) {
            return Self::wrong_number(assertion, error);
        }
        let failure = Failure::of(&error);
        let detail = match (failure, failure.problem_code()) {
            (Failure::ReadOnly, _) => "The database takes no changes just now.",
            (Failure::Resources, _) => "The database lacks something that it needs.",
            (_, Code::DatabaseUnavailable) => "The database did not answer.",
            (_, Code::DatabaseConflict) => "A competing change won.",
            (_, Code::DeadlineExceeded) => "The database did not finish in time; its work was undone.",
            _ => "Something failed inside halfhour.",
        };
        Self::new(failure.problem_code(), detail).because(error)
    }
}

/// The name of the constraint that a statement broke, where that is why it failed.
pub fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_has_its_meaning() {
        use Code::{DatabaseConflict, DatabaseUnavailable, DeadlineExceeded, Internal};
        use Failure::{Conflict, Connection, Data, Duplicate, Lock, Other, Outdated, Overrun, ReadOnly, Resources};
        // SQLSTATE, meaning, upstream status, code, connection replaced.
        let table = [
            ("08000", Connection, 503, DatabaseUnavailable, true),
            ("08006", Connection, 503, DatabaseUnavailable, true),
            ("08P01", Connection, 503, DatabaseUnavailable, true),
            ("0A000", Outdated, 500, Internal, true),
            ("22003", Data, 400, Internal, false),
            ("22P02", Data, 400, Internal, false),
            ("23503", Data, 400, Internal, false),
            ("23505", Duplicate, 409, Internal, false),
            ("25006", ReadOnly, 503, DatabaseUnavailable, true),
            ("25P02", Other, 500, Internal, false),
            ("25P03", Connection, 503, DatabaseUnavailable, true),
            ("25P04", Overrun, 504, DeadlineExceeded, false),
            ("26000", Outdated, 500, Internal, true),
            ("28000", Connection, 503, DatabaseUnavailable, true),
            ("28P01", Connection, 503, DatabaseUnavailable, true),
            ("3D000", Connection, 503, DatabaseUnavailable, true),
            ("40001", Conflict, 409, DatabaseConflict, false),
            ("40P01", Conflict, 409, DatabaseConflict, false),
            ("42501", Other, 500, Internal, false),
            ("42P01", Other, 500, Internal, false),
            ("53100", Resources, 503, DatabaseUnavailable, false),
            ("53200", Resources, 503, DatabaseUnavailable, false),
            ("53300", Resources, 503, DatabaseUnavailable, false),
            ("55000", Other, 500, Internal, false),
            ("55P03", Lock, 500, DatabaseConflict, false),
            ("57014", Overrun, 504, DeadlineExceeded, false),
            ("57P01", Connection, 503, DatabaseUnavailable, true),
            ("57P02", Connection, 503, DatabaseUnavailable, true),
            ("57P03", Connection, 503, DatabaseUnavailable, true),
            ("57P04", Connection, 503, DatabaseUnavailable, true),
            ("58030", Resources, 503, DatabaseUnavailable, false),
            ("P0001", Other, 500, Internal, false),
            ("XX000", Resources, 503, DatabaseUnavailable, false),
            ("XX001", Resources, 503, DatabaseUnavailable, false),
            ("", Other, 500, Internal, false),
            ("é", Other, 500, Internal, false),
        ];
        for (sqlstate, failure, status, code, replaced) in table {
            let found = Failure::of_sqlstate(sqlstate);
            assert_eq!(found, failure, "{sqlstate}");
            assert_eq!((found.upstream_status(), found.problem_code()), (status, code), "{sqlstate}");
            assert_eq!(found.spoils_connection(), replaced, "{sqlstate}");
        }
    }

    #[test]
    fn every_error_of_the_driver_has_its_meaning() {
        let io = |kind: io::ErrorKind| sqlx::Error::Io(kind.into());
        let table = [
            (io(io::ErrorKind::ConnectionRefused), 503, Code::DatabaseUnavailable, true),
            (io(io::ErrorKind::UnexpectedEof), 503, Code::DatabaseUnavailable, true),
            (io(io::ErrorKind::TimedOut), 503, Code::DatabaseUnavailable, true),
            (sqlx::Error::Tls("expired".into()), 503, Code::DatabaseUnavailable, true),
            (sqlx::Error::Protocol("no message".to_owned()), 503, Code::DatabaseUnavailable, true),
            (sqlx::Error::PoolTimedOut, 503, Code::DatabaseUnavailable, false),
            (sqlx::Error::PoolClosed, 503, Code::DatabaseUnavailable, false),
            (sqlx::Error::WorkerCrashed, 503, Code::DatabaseUnavailable, false),
            (GaveUp::Silent(Duration::from_secs(5)).into(), 504, Code::DatabaseUnavailable, true),
            (GaveUp::Overdue.into(), 504, Code::DeadlineExceeded, false),
            (sqlx::Error::RowNotFound, 200, Code::Internal, false),
            (sqlx::Error::ColumnNotFound("day".to_owned()), 200, Code::Internal, false),
            (sqlx::Error::Decode("no number".into()), 200, Code::Internal, false),
            (sqlx::Error::Configuration("no host".into()), 500, Code::Internal, false),
        ];
        for (error, status, code, replaced) in table {
            let text = format!("{error:?}");
            assert_eq!((upstream_status(&error), spoils_connection(&error)), (status, replaced), "{text}");
            assert_eq!(Problem::from(error).code(), code, "{text}");
        }
    }

    #[test]
    fn breakers_count_what_says_that_nobody_is_there_and_nothing_else() {
        assert!(is_silence(&GaveUp::Silent(Duration::ZERO).into()));
        for error in [sqlx::Error::RowNotFound, GaveUp::Overdue.into(), sqlx::Error::Protocol(String::new())] {
            assert!(!is_silence(&error), "{error:?}");
        }
        assert!(!is_unreachable(&sqlx::Error::PoolClosed));
        assert!(is_unreachable(&sqlx::Error::Io(io::ErrorKind::ConnectionRefused.into())));
        assert!(is_unreachable(&sqlx::Error::PoolTimedOut), "judged only where the pool is not full");
    }

    #[test]
    fn what_is_begun_again_is_lost_races_and_lost_connections() {
        assert!(is_transient(&sqlx::Error::Io(io::ErrorKind::UnexpectedEof.into())));
        assert!(is_transient(&sqlx::Error::Protocol(String::new())));
        for error in [sqlx::Error::PoolTimedOut, GaveUp::Silent(Duration::ZERO).into(), GaveUp::Overdue.into()] {
            assert!(!is_transient(&error), "{error:?}");
        }
    }
}
