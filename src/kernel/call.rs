//! What one request or worker step carries with it: its id, its trace, its deadline, and what the database answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::problem::Code;

/// One request or one worker step. Clones share the record of what the database answered.
#[derive(Clone, Debug)]
pub struct Call {
    /// From `X-Request-Id`, or minted: UUIDv7.
    pub request_id: Uuid,
    /// From `traceparent`, or minted.
    pub trace: Trace,
    /// When the whole call must be over.
    pub deadline: Instant,
    /// What the database answered to this call.
    pub upstream: Upstream,
}

impl Call {
    /// A call that starts now and may take `limit`.
    pub fn new(request_id: Uuid, trace: Trace, limit: Duration) -> Self {
        Self { request_id, trace, deadline: Instant::now() + limit, upstream: Upstream::default() }
    }

    /// A worker step or an operator's command, which has no caller to take ids from.
    pub fn internal(limit: Duration) -> Self {
        Self::new(Uuid::now_v7(), Trace::mint(), limit)
    }

    /// How long is left; zero when overdue.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// W3C trace context: who called, in which trace. Baggage is never taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    trace_id: String,
    parent_id: String,
    flags: String,
}

impl Trace {
    /// A new trace, not sampled.
    pub fn mint() -> Self {
        let trace_id = Uuid::now_v7().simple().to_string();
        let parent_id = Uuid::now_v7().simple().to_string()[16..].to_owned();
        Self { trace_id, parent_id, flags: "00".to_owned() }
    }

    /// Reads a `traceparent` header; `None` where it is not one.
    pub fn parse(header: &str) -> Option<Self> {
        let parts: Vec<&str> = header.split('-').collect();
        let [version, trace_id, parent_id, flags, ..] = parts.as_slice() else {
            return None;
        };
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_zero = |text: &str| text.bytes().all(|b| b == b'0');
        let well_formed = is_hex(version, 2)
            && *version != "ff"
            && (*version != "00" || parts.len() == 4)
            && is_hex(trace_id, 32)
            && is_hex(parent_id, 16)
            && is_hex(flags, 2)
            && !is_zero(trace_id)
            && !is_zero(parent_id);
        well_formed.then(|| Self {
            trace_id: (*trace_id).to_owned(),
            parent_id: (*parent_id).to_owned(),
            flags: (*flags).to_owned(),
        })
    }

    /// The trace's id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The header to pass on.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Why there is no answer from the database to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// No connection became free in time.
    PoolExhausted,
}

impl Evidence {
    /// As the log line spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PoolExhausted => "pool_exhausted",
        }
    }
}

/// What the database answered to one call, in HTTP terms: the last answer counts. That work was undone is none.
#[derive(Clone, Debug, Default)]
pub struct Upstream(Arc<Mutex<Answers>>);

/// A copy of the record at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// HTTP-like status of the last answer; `None` when the database was never heard.
    pub status: Option<u16>,
    /// Time spent waiting for the database.
    pub latency: Option<Duration>,
    /// Why there is no answer.
    pub evidence: Option<Evidence>,
    /// How often the work was begun again after a passing failure.
    pub retries: u32,
    /// `executed` or `replayed`, for a request with an Idempotency-Key.
    pub idempotency: Option<&'static str>,
}

impl Answers {
    fn waited(&mut self, latency: Duration) {
        self.latency = Some(self.latency.unwrap_or_default() + latency);
    }
}

impl Upstream {
    /// The database answered, or was overrun, after `latency`.
    pub fn answered(&self, status: u16, latency: Duration) {
        self.change(|answers| {
            answers.status = Some(status);
            answers.waited(latency);
        });
    }

    /// The database undid work, in `latency`: the call stays known by what it answered to that work.
    pub fn undone(&self, latency: Duration) {
        self.change(|answers| answers.waited(latency));
    }

    /// The database was not asked.
    pub fn not_asked(&self, evidence: Evidence) {
        self.change(|answers| {
            answers.status = None;
            answers.evidence = Some(evidence);
        });
    }

    /// The work is begun again.
    pub fn retried(&self) {
        self.change(|answers| answers.retries += 1);
    }

    /// What the Idempotency-Key led to.
    pub fn keyed(&self, outcome: &'static str) {
        self.change(|answers| answers.idempotency = Some(outcome));
    }

    /// Takes over what the database answered to work that was done on this call's behalf.
    pub fn take_over(&self, other: &Self) {
        let other = other.answers();
        self.change(|answers| {
            answers.status = other.status;
            answers.evidence = other.evidence;
            answers.retries += other.retries;
            if let Some(latency) = other.latency {
                answers.waited(latency);
            }
        });
    }

    /// What is known so far.
    pub fn answers(&self) -> Answers {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_over_only_when_it_is_one() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(Trace::parse(header).unwrap().traceparent(), header);
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
        let minted = Trace::mint();
        assert_eq!(Trace::parse(&minted.traceparent()), Some(minted));
    }

    #[test]
    fn the_last_answer_counts_and_waiting_adds_up() {
        let upstream = Upstream::default();
        assert_eq!(upstream.answers(), Answers::default());
        upstream.answered(409, Duration::from_millis(2));
        upstream.clone().answered(200, Duration::from_millis(3));
        let answers = upstream.answers();
        assert_eq!((answers.status, answers.latency), (Some(200), Some(Duration::from_millis(5))));
        upstream.answered(503, Duration::from_millis(7));
        upstream.undone(Duration::from_millis(11));
        let answers = upstream.answers();
        assert_eq!((answers.status, answers.latency), (Some(503), Some(Duration::from_millis(23))));
    }
}
