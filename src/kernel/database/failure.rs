//! What a database error means: to the log line, to a retry, and to the caller.

use crate::kernel::problem::{Code, Problem};

/// The HTTP-like status of a database error, by its SQLSTATE and never by its text.
pub fn upstream_status(error: &sqlx::Error) -> u16 {
    match error {
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("57014") => 504,
            Some("40001" | "40P01" | "23505") => 409,
            Some(code) if code.starts_with("08") || code.starts_with("57P0") || code.starts_with("53") => 503,
            Some(code) if code.starts_with("22") || code.starts_with("23") => 400,
            _ => 500,
        },
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => 503,
        sqlx::Error::RowNotFound => 200,
        _ => 500,
    }
}

/// True where the same work may succeed at once: a lost race, a deadlock, a lost connection.
pub fn is_transient(error: &sqlx::Error) -> bool {
    !is_unique_violation(error) && matches!(upstream_status(error), 409)
        || matches!(error, sqlx::Error::Io(_))
        || sqlstate(error).is_some_and(|code| code.starts_with("08") || code.starts_with("57P0"))
}

/// True where the data is at fault: SQLSTATE classes 22 and 23, and P0001.
pub fn is_data_fault(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("22") || code.starts_with("23") || code == "P0001")
}

/// True where a lock was not to be had in time, which is nobody's bug: SQLSTATE 55P03.
pub fn is_lock_timeout(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code == "55P03")
}

fn sqlstate(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

/// The problem that a database error is to the caller, unless the slice knows better.
pub fn problem_code(error: &sqlx::Error) -> Code {
    match upstream_status(error) {
        503 => Code::DatabaseUnavailable,
        504 => Code::DeadlineExceeded,
        409 if !is_unique_violation(error) => Code::DatabaseConflict,
        _ if is_lock_timeout(error) => Code::DatabaseConflict,
        _ => Code::Internal,
    }
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
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
        let code = problem_code(&error);
        let detail = match code {
            Code::DatabaseUnavailable => "The database did not answer.",
            Code::DatabaseConflict => "A competing change won.",
            Code::DeadlineExceeded => "The database did not finish in time; its work was undone.",
            _ => "Something failed inside halfhour.",
        };
        Self::new(code, detail).because(error)
    }
}

/// The name of the constraint that a statement broke, where that is why it failed.
pub fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}
