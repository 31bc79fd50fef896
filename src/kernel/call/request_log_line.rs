//! The M1 line: one JSON object for each request and each worker step, enough to say who failed.
//! `null` means unknown.

use std::time::Duration;

use opentelemetry::TraceId;
use uuid::Uuid;

use super::request_context::RequestContext;
use super::span::CallSpan;
use super::upstream::{Answers, Evidence};
use crate::kernel::problem::{Fault, Problem};

/// The target of these lines' events. The subscriber writes such an event as one object of these fields alone.
pub const REQUEST_LOG: &str = "halfhour::m1";

/// The stage of every request.
pub const REQUEST: &str = "request";

/// The status of a call whose client went away, by custom.
const ABANDONED: u16 = 499;

/// A success that took longer than this was slow.
pub const SLOW: Duration = Duration::from_secs(1);

/// Who is to blame for one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// Nothing to blame.
    None,
    /// The database failed.
    Upstream,
    /// The request was refused, or halfhour failed, while the database was well.
    Application,
    /// Slow, and the database was not why.
    ApplicationLatency,
    /// Slow, because the database was.
    UpstreamLatency,
    /// The database was not heard: no evidence either way.
    Unknown,
}

impl Attribution {
    /// As the line spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Upstream => "UPSTREAM",
            Self::Application => "APPLICATION",
            Self::ApplicationLatency => "APPLICATION_LATENCY",
            Self::UpstreamLatency => "UPSTREAM_LATENCY",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Who is calling, as the line names it.
#[derive(Clone, Debug)]
pub struct PrincipalName {
    /// device, viewer or operator.
    pub kind: &'static str,
    /// The token's id.
    pub id: Uuid,
}

/// One line. Its fields are documented in `docs/operations.md`.
#[derive(Debug)]
pub struct RequestLogLine<'a> {
    pub(crate) request_id: Uuid,
    pub(crate) trace_id: TraceId,
    pub(crate) function: &'a str,
    pub(crate) stage: &'a str,
    pub(crate) method: Option<&'a str>,
    pub(crate) route: Option<&'a str>,
    pub(crate) principal: Option<PrincipalName>,
    pub(crate) status: u16,
    pub(crate) latency_ms: f64,
    pub(crate) error_code: Option<&'static str>,
    pub(crate) fault: Option<Fault>,
    pub(crate) upstream_status: Option<u16>,
    pub(crate) upstream_latency_ms: Option<f64>,
    pub(crate) upstream_evidence: Option<&'static str>,
    pub(crate) attribution: Attribution,
    pub(crate) retries: u32,
    pub(crate) idempotency: Option<&'static str>,
    pub(crate) read_from: Option<&'static str>,
    pub(crate) read_fallback: Option<&'static str>,
    pub(crate) error: Option<String>,
    span: &'a CallSpan,
}

/// How a call ended.
#[derive(Debug)]
pub enum CallOutcome<'a> {
    /// It did what was asked, with this status.
    Done(u16),
    /// It was refused or failed.
    Failed(&'a Problem),
    /// The client went away before the answer: 499, by custom.
    Abandoned,
}

/// Where and by whom a call was made.
#[derive(Debug)]
pub struct Place<'a> {
    /// The operation, or the worker's step.
    pub function: &'a str,
    /// [`REQUEST`], or the worker's stage.
    pub stage: &'a str,
    /// The HTTP method.
    pub method: Option<&'a str>,
    /// The route's pattern.
    pub route: Option<&'a str>,
    /// The caller.
    pub principal: Option<PrincipalName>,
}

impl<'a> RequestLogLine<'a> {
    /// The line for a call that took `latency`.
    pub fn new(context: &'a RequestContext, place: Place<'a>, outcome: &CallOutcome<'_>, latency: Duration) -> Self {
        let mut answers = context.upstream.answers();
        let (status, problem) = match outcome {
            CallOutcome::Done(status) => (*status, None),
            CallOutcome::Failed(problem) => (problem.code().status().as_u16(), Some(*problem)),
            CallOutcome::Abandoned => (ABANDONED, None),
        };
        let abandoned = matches!(outcome, CallOutcome::Abandoned);
        if status < 400 && latency >= SLOW && answers.turn * 2 >= latency {
            answers.evidence = Some(Evidence::Queued);
        }
        Self {
            request_id: context.request_id,
            trace_id: context.span.context().map_or(context.trace.trace_id(), |span| span.trace_id()),
            function: place.function,
            stage: place.stage,
            method: place.method,
            route: place.route,
            principal: place.principal,
            status,
            latency_ms: milliseconds(latency),
            error_code: problem.map(|problem| problem.code().as_str()).or(abandoned.then_some("client_disconnected")),
            fault: problem.map(|problem| problem.code().fault()).or(abandoned.then_some(Fault::Client)),
            upstream_status: answers.status,
            upstream_latency_ms: answers.latency.map(milliseconds),
            upstream_evidence: answers.evidence.map(Evidence::as_str),
            attribution: attribute(status, latency, &answers),
            retries: answers.retries,
            idempotency: answers.idempotency,
            read_from: answers.read_from,
            read_fallback: answers.read_fallback,
            error: problem.and_then(Problem::source_chain),
            span: &context.span,
        }
    }

    /// Writes the line and ends the span. It never blocks: the subscriber queues it and counts what it drops.
    pub fn write(&self) {
        // The level is a part of an event's static description, hence two events with the same fields.
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    target: REQUEST_LOG,
                    request_id = %self.request_id,
                    trace_id = %self.trace_id,
                    function = self.function,
                    stage = self.stage,
                    method = self.method,
                    route = self.route,
                    principal.kind = self.principal.as_ref().map(|principal| principal.kind),
                    principal.id = self.principal.as_ref().map(|principal| tracing::field::display(principal.id)),
                    status = self.status,
                    latency_ms = self.latency_ms,
                    error_code = self.error_code,
                    fault = self.fault.map(Fault::as_str),
                    upstream_status = self.upstream_status,
                    upstream_latency_ms = self.upstream_latency_ms,
                    upstream_evidence = self.upstream_evidence,
                    attribution = self.attribution.as_str(),
                    retries = self.retries,
                    idempotency = self.idempotency,
                    read_from = self.read_from,
                    read_fallback = self.read_fallback,
                    error = self.error.as_deref(),
                )
            };
        }
        if self.status >= 500 {
            self.count_failure();
            event!(error);
        } else {
            event!(info);
        }
        self.end_span();
    }

    /// What this process failed at, and through whom: functions and codes are few, and none is a caller's word.
    fn count_failure(&self) {
        metrics::counter!(
            "halfhour_failures_total",
            "function" => self.function.to_owned(),
            "attribution" => self.attribution.as_str(),
            "code" => self.error_code.unwrap_or("none"),
        )
        .increment(1);
    }

    /// What a caller did wrong is no error of a request's span: the standard wants it so.
    fn end_span(&self) {
        let is_request = self.stage == REQUEST;
        if is_request && self.status != ABANDONED {
            self.span.note("http.response.status_code", i64::from(self.status));
        }
        if let Some(code) = self.error_code.filter(|_| !is_request || self.status >= ABANDONED) {
            self.span.fail(code);
        }
        self.span.end();
    }
}

/// Who is to blame, by status and time alone and never by a message's text.
pub fn attribute(status: u16, latency: Duration, answers: &Answers) -> Attribution {
    let slow_upstream = |time: Duration| time * 2 >= latency;
    match (status, answers.status) {
        (_, None) => Attribution::Unknown,
        (500.., Some(500..)) => Attribution::Upstream,
        (400.., Some(..500)) => Attribution::Application,
        (..400, Some(_)) if latency >= SLOW && answers.latency.is_some_and(slow_upstream) => {
            Attribution::UpstreamLatency
        }
        // The turn was others'. Whether they were many or the database was slow for them, this call does not know.
        (..400, Some(_)) if latency >= SLOW && answers.evidence == Some(Evidence::Queued) => Attribution::Unknown,
        (..400, Some(_)) if latency >= SLOW => Attribution::ApplicationLatency,
        _ => Attribution::None,
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame_follows_the_table_and_missing_evidence_is_unknown() {
        let slow = SLOW;
        let quick = Duration::from_millis(3);
        let heard = |status, latency| Answers { status: Some(status), latency: Some(latency), ..Answers::default() };
        let queued = |latency| Answers { evidence: Some(Evidence::Queued), ..heard(200, latency) };
        let cases = [
            (200, quick, Answers::default(), Attribution::Unknown),
            (503, quick, Answers::default(), Attribution::Unknown),
            (503, quick, heard(503, quick), Attribution::Upstream),
            (504, slow, heard(504, slow), Attribution::Upstream),
            (500, quick, heard(200, quick), Attribution::Application),
            (500, quick, heard(400, quick), Attribution::Application),
            (422, quick, heard(200, quick), Attribution::Application),
            (404, quick, heard(503, quick), Attribution::None),
            (200, slow, heard(200, quick), Attribution::ApplicationLatency),
            (200, slow, heard(200, slow), Attribution::UpstreamLatency),
            (200, slow, queued(quick), Attribution::Unknown),
            (200, slow, queued(slow), Attribution::UpstreamLatency),
            (200, quick, queued(quick), Attribution::None),
            (200, quick, heard(200, quick), Attribution::None),
        ];
        for (status, latency, answers, expected) in cases {
            assert_eq!(attribute(status, latency, &answers), expected, "{status} {latency:?} {answers:?}");
        }
    }
}
