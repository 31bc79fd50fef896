//! What stands around the routes: who may call from a browser, what caches may keep, and what a panic is answered.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_METHODS, CACHE_CONTROL, VARY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::{FutureExt as _, stream};
use http_body::Body as _;
use http_body_util::{BodyExt as _, StreamBody};
use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tower_http::cors::CorsLayer;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;

use super::contract_headers::{answer_headers, request_headers};
use super::paths::KnownPaths;
use crate::config::Limits;
use crate::kernel::access::{Addresses, AnonymousCallers, Authenticator, Limit};
use crate::kernel::http::content_coding::undo_codings;
use crate::kernel::http::request_line::RequestLine;
use crate::kernel::http::unread_body::{Bodies, throw_away_unread};
use crate::kernel::idempotency;
use crate::kernel::problem::Problem;

/// `None` where no browser may call from elsewhere. What it may send and read is what the contract describes.
pub(crate) fn cors(origins: &[HeaderValue], contract: &Document) -> Option<CorsLayer> {
    let cors = CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allow_headers(request_headers(contract))
        .expose_headers(answer_headers(contract))
        .max_age(Duration::from_hours(1));
    (!origins.is_empty()).then_some(cors)
}

/// The answer to a preflight has no body, and some callers want that said.
pub(crate) async fn say_nothing_to_preflight(mut response: Response) -> Response {
    // Only answers to preflights have this.
    if response.status() == StatusCode::OK && response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS) {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

/// Exchanges of link codes a minute for each address, unless strangers may do even less.
const EXCHANGES_PER_MINUTE: u32 = 10;

/// What callers without a valid token may do.
#[derive(Debug)]
pub(crate) struct StrangerLimits {
    /// On the routes for everyone.
    pub(crate) routes: Option<Limit>,
    /// Exchanges of link codes, whose guessing must be slow.
    pub(crate) exchange: Option<Limit>,
    /// Of trackers that pair, each of which asks every five seconds.
    pub(crate) pairing: Option<Limit>,
    /// Of browsers that sign in.
    pub(crate) sign_in: Option<Limit>,
    /// For whatever they are refused, by the count of the routes.
    pub(crate) callers: AnonymousCallers,
}

impl StrangerLimits {
    /// By address, behind these proxies.
    pub(crate) fn new(limits: &Limits, trusted_proxies: &[IpNet]) -> Self {
        let addresses = Addresses::new(trusted_proxies);
        let routes = Limit::by_address("anonymous", limits.anonymous, &addresses);
        let exchange = Limit::by_address("link_code", limits.anonymous.min(EXCHANGES_PER_MINUTE), &addresses);
        let pairing = Limit::by_address("pairing", limits.anonymous, &addresses);
        let sign_in = Limit::by_address("sign_in", limits.anonymous, &addresses);
        let unknown = Limit::by_address("unknown_token", limits.anonymous, &addresses);
        let callers = AnonymousCallers::new(addresses, routes.clone(), unknown);
        Self { routes, exchange, pairing, sign_in, callers }
    }
}

/// The operation's name of every route, by method and pattern, once all routes are known.
pub(crate) type Operations = Arc<OnceLock<Arc<HashMap<(Method, String), String>>>>;

/// For reads: an Idempotency-Key there would promise what nobody keeps. Whatever changes something takes its key itself.
pub(crate) async fn without_key_to_read(known: State<Operations>, request: Request) -> Result<Request, Problem> {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return refuse_key(&known, request, "Reads take no Idempotency-Key; leave the header out.");
    }
    Ok(request)
}

/// For exchanges of link codes, whose callers are nobody yet.
pub(crate) async fn without_key(known: State<Operations>, request: Request) -> Result<Request, Problem> {
    let instead = "This route takes no Idempotency-Key: `request_id` in its body is one. Leave the header out.";
    refuse_key(&known, request, instead)
}

/// For protocols of other products, whose clients know no such header.
pub(crate) async fn without_key_for_trackers(known: State<Operations>, request: Request) -> Result<Request, Problem> {
    let instead = "This route takes no Idempotency-Key: the clients of this protocol know none. Leave the header out.";
    refuse_key(&known, request, instead)
}

/// A method that the route does not have promises nothing, and is told so.
fn refuse_key(known: &Operations, request: Request, instead: &'static str) -> Result<Request, Problem> {
    let Err(refused) = idempotency::refuse_key(request.headers(), instead) else { return Ok(request) };
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let route = request.extensions().get::<MatchedPath>().map(|route| (method, route.as_str().to_owned()));
    let is_operation = route.zip(known.get()).is_none_or(|(route, operations)| operations.contains_key(&route));
    if is_operation { Err(refused) } else { Ok(request) }
}

/// What stands around every route.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) bodies: Bodies,
    pub(crate) line: RequestLine,
    pub(crate) paths: Arc<KnownPaths>,
    /// The routes that trackers post to.
    pub(crate) posts: HashSet<String>,
    /// The runtime that answers everything else.
    pub(crate) aside: Handle,
}

/// The outermost layer. It calls what it is made of, because each layer of a router costs a request copies of itself and of
/// its answer.
pub(crate) async fn observed(State(all): State<Arc<Surroundings>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    if route.is_some_and(|route| all.posts.contains(route.as_str())) {
        let observed = |request| all.line.observe(request, |request| next.run(request));
        return throw_away_unread(&all.bodies, request, observed).await;
    }
    // The rest of a body is the connection's, which must not be asked for it before it has the answer.
    throw_away_unread(&all.bodies, request, |request| aside(all.clone(), request, next)).await
}

/// What is no post is answered by another runtime than the one that serves the connection, so that no post waits while an
/// answer is put together. Who goes away takes the work along.
async fn aside(all: Arc<Surroundings>, request: Request, next: Next) -> Response {
    let runtime = all.aside.clone();
    let answer = runtime.spawn(async move { all.line.observe(request, |request| next.run(request)).await });
    match AbortOnDropHandle::new(answer).await.map_err(JoinError::try_into_panic) {
        Ok(answer) => answer.map(|body| continued_on(&runtime, body)),
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(ended)) => Problem::internal(ended).into_response(),
    }
}

/// What is put together while it is read, a stream of rows or a compressed page, is put together there, too. It is a body
/// whose length nobody knows. One that breaks off ends in an error, so that nobody takes it for whole.
fn continued_on(runtime: &Handle, mut body: Body) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    let (frames, ready) = mpsc::channel(1);
    let work = runtime.spawn(async move {
        while let Some(frame) = body.frame().await {
            if frames.send(frame).await.is_err() {
                return;
            }
        }
    });
    let rest = stream::unfold(Some((ready, AbortOnDropHandle::new(work))), |rest| async {
        let (mut ready, work) = rest?;
        match ready.recv().await {
            Some(frame) => Some((frame, Some((ready, work)))),
            None => work.await.err().map(|broken_off| (Err(axum::Error::new(broken_off)), None)),
        }
    });
    Body::new(StreamBody::new(rest))
}

/// The innermost layer of all routes: they get a body without its codings, for a path that may have a route, and neither
/// panics nor want of time leave a request without an answer.
pub(crate) async fn answered(State(all): State<Arc<Surroundings>>, request: Request, next: Next) -> Response {
    let plain = async |request| match undo_codings(request).await.and_then(|request| all.paths.admit(request)) {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let caught = async |request| AssertUnwindSafe(plain(request)).catch_unwind().await.unwrap_or_else(panicked);
    all.line.answer_in_time(request, caught).await
}

#[expect(clippy::needless_pass_by_value, reason = "whoever catches it hands it over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(format!("panic: {}", words.unwrap_or("no message"))).into_response()
}

/// Who has a token may enter, and how often.
#[derive(Clone, Debug)]
pub(crate) struct TokenGate {
    pub(crate) authenticator: Authenticator,
    pub(crate) limit: Option<Limit>,
}

/// The layer around routes that are not for everyone.
pub(crate) async fn admitted(State(gate): State<TokenGate>, request: Request, next: Next) -> Response {
    let limited = async |request| match &gate.limit {
        Some(limit) => limit.within(request, |request| next.run(request)).await,
        None => next.run(request).await,
    };
    keep_private(gate.authenticator.admit(request, limited).await)
}

/// One user's data is for no shared cache.
fn keep_private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("authorization"));
    response
}

/// What stands around routes, where there are any.
pub(crate) fn around<S: Clone + Send + Sync + 'static>(
    routes: OpenApiRouter<S>,
    put: impl FnOnce(OpenApiRouter<S>) -> OpenApiRouter<S>,
) -> OpenApiRouter<S> {
    if routes.get_openapi().paths.paths.is_empty() { routes } else { put(routes) }
}

/// Routes behind a limit, if there is one.
pub(crate) fn limited<S: Clone + Send + Sync + 'static>(
    routes: OpenApiRouter<S>,
    limit: Option<&Limit>,
) -> OpenApiRouter<S> {
    match limit {
        Some(limit) => limit.guard(routes),
        None => routes,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::thread;

    use axum::body::Bytes;

    use super::*;
    use crate::kernel::call::Threads;

    /// A body of so many frames, each of which says which thread made it, and which may panic at the end.
    fn telling(frames: usize, then_panics: bool) -> Body {
        Body::from_stream(stream::unfold(0, move |frame| async move {
            assert!(frame < frames || !then_panics, "a bug");
            let name = thread::current().name().unwrap_or_default().to_owned();
            (frame < frames).then(|| (Ok::<_, axum::Error>(Bytes::from(name)), frame + 1))
        }))
    }

    #[tokio::test]
    async fn a_body_without_a_length_is_put_together_where_it_was_begun_and_breaks_off_with_an_error() {
        let running = Threads::start(NonZeroUsize::MIN).unwrap();
        let aside = &running.threads().runtimes()[0];
        let whole = continued_on(aside, telling(3, false)).collect().await.unwrap().to_bytes();
        assert_eq!(whole, "serve-0".repeat(3));
        assert!(continued_on(aside, telling(3, true)).collect().await.is_err());
        // Nothing has to be put together of this one.
        let known = continued_on(aside, Body::from("known"));
        assert_eq!(known.size_hint().exact(), Some(5));
    }

    #[tokio::test]
    async fn who_goes_away_takes_the_rest_of_a_body_along() {
        let running = Threads::start(NonZeroUsize::MIN).unwrap();
        let (alive, mut gone) = mpsc::channel::<()>(1);
        let endless = Body::from_stream(stream::unfold(alive, |alive| async {
            Some((Ok::<_, axum::Error>(Bytes::from_static(b"more")), alive))
        }));
        let mut body = continued_on(&running.threads().runtimes()[0], endless);
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), gone.recv()).await, Ok(None));
    }
}
