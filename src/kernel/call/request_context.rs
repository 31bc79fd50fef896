//! What one request or worker step carries with it: its id, its trace, its deadline, and what the database answered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::span::{CallSpan, Tracer};
use super::trace::Trace;
use super::upstream::Upstream;

/// One request or one worker step. Clones share the record of what the database answered.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// From `X-Request-Id`, or minted: UUIDv7.
    pub request_id: Uuid,
    /// From `traceparent`, or minted. Its parent is [`RequestContext::span`], where there is one.
    pub trace: Trace,
    /// What is recorded of it.
    pub span: CallSpan,
    /// The address that the request comes from, where there is a request and that is known.
    pub caller: Option<IpAddr>,
    /// When the whole call must be over.
    pub deadline: Instant,
    /// How long each statement may take, where that is less than the whole call.
    pub statement_limit: Option<Duration>,
    /// What the database answered to this call.
    pub upstream: Upstream,
}

impl RequestContext {
    /// A call that starts now and may take `limit`.
    pub fn new(request_id: Uuid, trace: Trace, limit: Duration) -> Self {
        Self {
            request_id,
            trace,
            span: CallSpan::default(),
            caller: None,
            deadline: Instant::now() + limit,
            statement_limit: None,
            upstream: Upstream::default(),
        }
    }

    /// A worker step or an operator's command, which has no caller to take ids from.
    pub fn internal(limit: Duration) -> Self {
        Self::new(Uuid::now_v7(), Trace::mint(), limit)
    }

    /// A worker's step of this name, as a trace of its own.
    pub fn step(name: &'static str, tracer: &Tracer, limit: Duration) -> Self {
        let (trace, span) = tracer.begin_step(name);
        Self::new(Uuid::now_v7(), trace, limit).within(span)
    }

    /// The same, recorded in `span`.
    #[must_use]
    pub fn within(self, span: CallSpan) -> Self {
        Self { span, ..self }
    }

    /// How long is left; zero when overdue.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
