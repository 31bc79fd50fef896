//! The outermost layer, but for the one that throws unread bodies away. It gives every request an
//! id, a trace and a deadline, renders every problem, and writes the one log line that says how the
//! request ended, even when the client has gone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::body::{NDJSON, media_type};
use super::http_1_0;
use super::manner::{Manner, Rendered, Verbatim, rendered};
use super::public_url::PublicUrl;
use super::unread_body::Home;
use crate::kernel::access::{AnonymousCallers, RATE_LIMIT};
use crate::kernel::call::{CallOutcome, Observed, Place, REQUEST, RequestContext, RequestLogLine, Trace, Tracer};
use crate::kernel::problem::{Code, Problem};

/// The header that carries a request's id, in and out.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What a browser may do with an answer that says nothing else: show it. The pages of problems bring their style along.
const NOTHING_RUNS: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// What no page asks the machine for.
const NOTHING_IS_ASKED: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
                                magnetometer=(), microphone=(), midi=(), payment=(), usb=(), browsing-topics=()";
/// What stands in lines and labels for whatever is no operation.
const UNMATCHED: &str = "unmatched";
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What the outermost layer needs to know.
#[derive(Debug)]
pub struct RequestLine {
    /// How long a request may take.
    pub deadline: Duration,
    /// Routes whose streams of lines may take longer: what they do has deadlines of its own.
    pub streaming_routes: &'static [&'static str],
    /// How problems are told where that is not by problem+json alone.
    pub manners: Vec<Manner>,
    /// Where callers reach this server, and with it `/problems/{code}`.
    pub public_url: PublicUrl,
    /// The operation's name of every route, by method and pattern.
    pub operations: Arc<HashMap<(Method, String), String>>,
    /// Who counts what strangers are refused.
    pub anonymous_callers: AnonymousCallers,
    /// Begins the spans of requests.
    pub tracer: Tracer,
}

/// Rides in the extensions of a request that nobody is to look at: its head was refused, or there is no room for it.
#[derive(Clone, Debug)]
pub struct RefusedAtDoor(pub Problem);

/// Rides in the extensions of a request on a connection that will be cut soon after this was cancelled.
#[derive(Clone, Debug)]
pub struct LastCall(pub CancellationToken);

/// Who reads the answers of one connection: rides in the extensions of its requests. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct AnswerReader(Arc<Mutex<Option<Record>>>);

impl AnswerReader {
    /// From now on it is this answer that is read.
    fn begins(&self, record: Record) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
    }

    /// It has taken next to nothing of its answer for so long, and gets no more of it. Writes a line of its own for that,
    /// because the request's line was written when the answer began.
    pub fn stalled(&self, limit: Duration) {
        let Some(record) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let limit_ms = limit.as_millis();
        let detail =
            format!("Next to nothing of the answer was read within {limit_ms} ms, and the connection was ended.");
        let problem = Problem::new(Code::RequestTimeout, detail);
        record.line("answer", &CallOutcome::Failed(&problem), record.started.elapsed()).write();
    }
}

/// A stream of lines may take this long on a route that takes one.
const STREAM_DEADLINE: Duration = Duration::from_hours(1);

impl RequestLine {
    fn deadline_of(&self, request: &Request) -> Duration {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let streams = route.is_some_and(|route| self.streaming_routes.contains(&route))
            && media_type(request.headers()) == NDJSON;
        if streams { STREAM_DEADLINE } else { self.deadline }
    }

    fn call_of(&self, request: &Request, method: Option<&Method>) -> RequestContext {
        let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let request_id = text(X_REQUEST_ID).and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_else(Uuid::now_v7);
        let trace = text(TRACEPARENT).and_then(Trace::parse);
        let state = if self.tracer.is_on() { list(request.headers(), &TRACESTATE) } else { None };
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let (trace, span) = self.tracer.begin_request(trace, state.as_deref(), method.map(Method::as_str), route);
        let context = RequestContext::new(request_id, trace, self.deadline).within(span);
        RequestContext { caller: self.anonymous_callers.caller(request), ..context }
    }

    /// The answer of `next`, with what every answer has, and the line about it.
    pub async fn observe<F>(&self, mut request: Request, next: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let manner = Manner::of(&request, &self.manners);
        let refused = request.extensions_mut().remove::<RefusedAtDoor>();
        let reader = request.extensions().get::<AnswerReader>().cloned();
        let method = refused.is_none().then(|| request.method().clone());
        // Also of a stream the first transaction is to begin soon.
        let context = self.call_of(&request, method.as_ref());
        let mut record = Record {
            started: Instant::now(),
            context: context.clone(),
            observed: Observed::default(),
            method,
            route: request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()),
            operations: self.operations.clone(),
            written: false,
        };
        request.extensions_mut().insert(context.clone());
        request.extensions_mut().insert(record.observed.clone());

        let speaks_1_0 = http_1_0::speaks_it(&request);
        let refused = match refused {
            Some(RefusedAtDoor(problem)) => Some(problem),
            None if speaks_1_0 => http_1_0::prepare(request.headers_mut()).err(),
            None => None,
        };
        let response = match refused {
            // A browser's question before its request would be answered on the way in.
            Some(problem) if request.method() == Method::OPTIONS => problem.into_response(),
            Some(problem) => {
                request.extensions_mut().insert(RefusedAtDoor(problem));
                next(request).await
            }
            None => next(request).await,
        };
        let response = if speaks_1_0 { http_1_0::whole_or_refused(response) } else { response };
        let problem = problem_of(&response);
        let outcome = problem.as_ref().map_or(CallOutcome::Done(response.status().as_u16()), CallOutcome::Failed);
        record.write(&outcome);
        if let Some(reader) = reader {
            reader.begins(record);
        }
        let mut response = match problem {
            Some(problem) => render(&problem, response, manner, context.request_id, &self.public_url),
            None => response,
        };
        response.headers_mut().insert(X_REQUEST_ID, header(&context.request_id.to_string()));
        self.public_url.lead_headers(response.headers_mut());
        secure(response.headers_mut());
        response
    }

    /// The answer of `next`, or what is answered in its place: a refusal at the door, the end of the request's time, or the
    /// end of what a stranger may be refused. It stands within the layers that say what a page of another origin may read,
    /// so that a page can read these like any other.
    pub async fn answer_in_time<F>(&self, mut request: Request, next: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let observed = request.extensions().get::<Observed>().cloned().unwrap_or_default();
        let caller = request.extensions().get::<RequestContext>().and_then(|context| context.caller);
        let deadline = self.deadline_of(&request);
        let sender = self.anonymous_callers.sender(&request);
        let response = match request.extensions_mut().remove::<RefusedAtDoor>() {
            Some(RefusedAtDoor(problem)) => problem.into_response(),
            None => answer(request, next, deadline).await,
        };
        let is_strangers = observed.principal().is_none() && !response.headers().contains_key(RATE_LIMIT);
        let is_refused = response.status().is_client_error() && response.status() != StatusCode::TOO_MANY_REQUESTS;
        let response =
            if is_strangers && is_refused { self.anonymous_callers.count(caller, response) } else { response };
        if response.status() == StatusCode::TOO_MANY_REQUESTS && observed.principal().is_none() {
            self.anonymous_callers.note_refused(sender);
        }
        response
    }
}

/// The lines of a header that is a list, as one.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Option<Vec<&str>> = headers.get_all(name).iter().map(|line| line.to_str().ok()).collect();
    lines.filter(|lines| !lines.is_empty()).map(|lines| lines.join(","))
}

/// [`RequestLine::observe`] as a layer, for who puts nothing else beside it.
pub async fn observe(State(line): State<Arc<RequestLine>>, request: Request, next: Next) -> Response {
    line.observe(request, |request| next.run(request)).await
}

/// Whatever a browser is led to show of this server runs nothing, and stands in nobody's frame. A page shares nothing with
/// pages of other origins, and asks the machine for nothing.
fn secure(headers: &mut HeaderMap) {
    let shown = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if shown.starts_with("text/html") {
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
        headers.insert("permissions-policy", HeaderValue::from_static(NOTHING_IS_ASKED));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING_RUNS));
}

async fn answer<F>(request: Request, next: impl FnOnce(Request) -> F, deadline: Duration) -> Response
where
    F: Future<Output = Response>,
{
    let (home, last_call) =
        (request.extensions().get::<Home>().cloned(), request.extensions().get::<LastCall>().cloned());
    // Time that went by until the client had sent its body is the client's.
    let is_clients = |time: Duration| home.as_ref().is_some_and(|home| home.waited() * 2 >= time);
    let began = Instant::now();
    let response = tokio::select! {
        ended = tokio::time::timeout(deadline, next(request)) => {
            ended.unwrap_or_else(|_elapsed| overdue(deadline).into_response())
        }
        () = called(last_call) => return stopped(is_clients(began.elapsed())).into_response(),
    };
    let is_overdue = response.extensions().get::<Problem>().map(Problem::code) == Some(Code::DeadlineExceeded);
    if is_overdue && is_clients(deadline) { body_overdue(deadline).into_response() } else { response }
}

async fn called(last_call: Option<LastCall>) {
    match last_call {
        Some(LastCall(call)) => call.cancelled().await,
        None => std::future::pending().await,
    }
}

/// What a request is answered that the server did not wait for when it had to stop.
fn stopped(is_clients: bool) -> Problem {
    let (code, detail) = if is_clients {
        (Code::RequestTimeout, "The server is stopping, and the body was not there yet; send the request again.")
    } else {
        (
            Code::DeadlineExceeded,
            "The server is stopping, and could not wait for the end of this request; send it again.",
        )
    };
    Problem::new(code, detail)
}

fn overdue(deadline: Duration) -> Problem {
    let limit_ms = deadline.as_millis();
    Problem::new(Code::DeadlineExceeded, format!("The request was not finished within {limit_ms} ms and was stopped."))
}

fn body_overdue(deadline: Duration) -> Problem {
    let limit_ms = deadline.as_millis();
    Problem::new(
        Code::RequestTimeout,
        format!("The body was not there in time: a request may take {limit_ms} ms in all."),
    )
}

/// The problem that a response carries, or the one that stands for a bare error status of some layer.
fn problem_of(response: &Response) -> Option<Problem> {
    let status = response.status();
    if response.extensions().get::<Verbatim>().is_some() {
        return None;
    }
    let carried = response.extensions().get::<Problem>().cloned();
    carried.or_else(|| (status.is_client_error() || status.is_server_error()).then(|| Problem::from_status(status)))
}

/// Gives the response its body, which is problem+json unless the caller reads another form. Headers that the inner layers
/// set (`Allow` and the like) stay.
fn render(
    problem: &Problem,
    response: Response,
    manner: Option<&Manner>,
    request_id: Uuid,
    public_url: &PublicUrl,
) -> Response {
    let mut body = problem.body(request_id, public_url.as_str());
    for text in body.errors.iter_mut().map(|error| &mut error.detail).chain([&mut body.detail]) {
        if let Cow::Owned(led) = public_url.lead(text) {
            *text = led;
        }
    }
    let Rendered { status, media_type, body, policy } = rendered(problem, body, manner, public_url);
    let (mut parts, _) = response.into_parts();
    parts.status = status;
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(policy) = policy {
        parts.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    if status == StatusCode::UNAUTHORIZED {
        parts.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"halfhour\""));
    }
    if let Some(seconds) = problem.retry_after_s() {
        parts.headers.entry(RETRY_AFTER).or_insert_with(|| header(&seconds.to_string()));
    }
    Response::from_parts(parts, Body::from(body))
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Writes the line exactly once. Dropped unwritten, the client hung up before there was an answer.
#[derive(Debug)]
struct Record {
    started: Instant,
    context: RequestContext,
    observed: Observed,
    /// Unknown where the head could not be read.
    method: Option<Method>,
    route: Option<String>,
    operations: Arc<HashMap<(Method, String), String>>,
    written: bool,
}

impl Record {
    fn line(&self, stage: &'static str, outcome: &CallOutcome<'_>, latency: Duration) -> RequestLogLine<'_> {
        let key = self.method.clone().zip(self.route.clone());
        let place = Place {
            function: key.and_then(|key| self.operations.get(&key)).map_or(UNMATCHED, String::as_str),
            stage,
            method: self.method.as_ref().map(Method::as_str),
            route: self.route.as_deref(),
            principal: self.observed.principal(),
        };
        RequestLogLine::new(&self.context, place, outcome, latency)
    }

    fn write(&mut self, outcome: &CallOutcome<'_>) {
        self.written = true;
        let latency = self.started.elapsed();
        let line = self.line(REQUEST, outcome, latency);
        let route = match (&self.method, &self.route) {
            (Some(method), Some(route)) if line.function != UNMATCHED => format!("{method} {route}"),
            _ => UNMATCHED.to_owned(),
        };
        let seconds = metrics::histogram!("halfhour_request_seconds", "route" => route, "status" => class(line.status));
        seconds.record(latency.as_secs_f64());
        line.write();
    }
}

/// Few enough for a label.
const fn class(status: u16) -> &'static str {
    match status {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.write(&CallOutcome::Abandoned);
        }
    }
}
