//! What one request or worker step carries with it: its id, its trace, its deadline, and what the database answered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::trace::Trace;
use super::upstream::Upstream;

/// One request or one worker step. Clones share the record of what the database answered.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// From `X-Request-Id`, or minted: UUIDv7.
    pub request_id: Uuid,
    /// From `traceparent`, or minted.
    pub trace: Trace,
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
        let (deadline, upstream) = (Instant::now() + limit, Upstream::default());
        Self { request_id, trace, caller: None, deadline, statement_limit: None, upstream }
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
