//! Accepts connections and hands their requests to the routes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::limits::DoorLimits;
use super::progress::{AnswerBody, WireProgress};
use super::room::{Room, Seat};
use super::wire::Wire;
use crate::kernel::call::Threads;
use crate::kernel::http::request_line::{LastCall, RefusedAtDoor};
use crate::kernel::problem::{Code, Problem};

/// What the parser may hold of what it has read, and of what it has to write.
const PARSER_BUFFER: usize = 128 * 1024;
/// Where no more can be accepted, it is tried again after this time.
const PAUSE: Duration = Duration::from_millis(100);
/// What is answered to requests that nobody waits for any longer gets this time to be written.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// Below this path are the probes of orchestrators.
const PROBES: &str = "/health/";

/// Serves on `threads` until `shutdown`. Then no more connections are accepted, idle ones end, and open requests get some
/// time.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: DoorLimits,
    threads: &Threads,
    shutdown: CancellationToken,
) {
    let room = Arc::new(Room::new(limits.connections, limits.reserve));
    let (last_call, cut) = (CancellationToken::new(), CancellationToken::new());
    let connections = Connections { routes, limits, room: room.clone(), stopping: shutdown.clone(), last_call, cut };
    let (tasks, hosts) = (TaskTracker::new(), Hosts::new(threads));
    let mut is_exhausted = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                if std::mem::take(&mut is_exhausted) {
                    room.is_made();
                    tracing::info!("connections are accepted again");
                }
                let (host, guest) = hosts.least_busy();
                let served = connections.clone().serve(stream, peer, place);
                tasks.spawn_on(served.map(|()| drop(guest)), host);
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                metrics::counter!("halfhour_connections_refused_total", "reason" => "descriptors").increment(1);
                if !std::mem::replace(&mut is_exhausted, true) {
                    tracing::error!(%error, "no connection can be accepted; raise `ulimit -n` if it is too low");
                }
                room.make();
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(limits.drain, tasks.wait()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
        connections.last_call.cancel();
        let _ = tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await;
        connections.cut.cancel();
        // A thread that is stuck does not see that, and ends with the process.
        let _ = tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await;
    }
}

/// The threads, each with what its connections hold a clone of.
#[derive(Debug)]
struct Hosts(Vec<(Handle, Arc<()>)>);

impl Hosts {
    fn new(threads: &Threads) -> Self {
        Self(threads.runtimes().iter().map(|runtime| (runtime.clone(), Arc::default())).collect())
    }

    /// The one with the fewest connections, and what one more holds.
    fn least_busy(&self) -> (&Handle, Arc<()>) {
        let fewest = self.0.iter().min_by_key(|(_, guests)| Arc::strong_count(guests));
        let (host, guests) = fewest.unwrap_or(&self.0[0]);
        (host, guests.clone())
    }
}

/// The place comes first: what waits to be accepted costs this process nothing. The stream is still on no runtime.
async fn accept(listener: &TcpListener, room: &Room) -> io::Result<(std::net::TcpStream, SocketAddr, Seat)> {
    let place = room.place().await;
    let (stream, peer) = listener.accept().await?;
    let stream = stream.into_std()?;
    // What was the last of the reserve may have become an ordinary place while nobody called.
    if !room.is_ordinary(&place) {
        room.make();
    }
    Ok((stream, peer, place))
}

/// The client has gone before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// A connection that is counted as open until this is dropped.
#[derive(Debug)]
struct Open;

impl Open {
    fn counted() -> Self {
        metrics::gauge!("halfhour_connections_open").increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("halfhour_connections_open").decrement(1.0);
    }
}

/// What all connections have in common.
#[derive(Clone, Debug)]
struct Connections {
    routes: Router,
    limits: DoorLimits,
    room: Arc<Room>,
    stopping: CancellationToken,
    /// What is open is answered now, whatever it waits for.
    last_call: CancellationToken,
    cut: CancellationToken,
}

impl Connections {
    async fn serve(self, stream: std::net::TcpStream, peer: SocketAddr, place: Seat) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::error!(%error, "a connection was accepted and cannot be listened to"),
        };
        // What has come already is seen before the connection may be taken for an idle one.
        tokio::task::yield_now().await;
        let _open = Open::counted();
        self.converse(stream, peer, &place).await;
    }

    async fn converse(&self, stream: TcpStream, peer: SocketAddr, place: &Seat) {
        // An answer is written at once and whole. If the socket cannot say so, it is only slower.
        let _ = stream.set_nodelay(true);
        let limits = if self.room.is_ordinary(place) { self.limits } else { self.limits.in_reserve() };
        let progress = WireProgress::default();
        let wire = Wire::new(stream, progress.clone(), limits, self.room.clone());
        let service = service_fn(|request| self.answer(request, peer, place, &progress));
        let connection = http1::Builder::new()
            // The wire has limits of its own, which tell an idle connection from a slow head.
            .header_read_timeout(None)
            .timer(TokioTimer::new())
            .max_buf_size(PARSER_BUFFER)
            .serve_connection(TokioIo::new(wire), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                // A request that has come by now is answered.
                tokio::task::yield_now().await;
                let _ = connection.as_mut().now_or_never();
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.cut.cancelled() => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            // Whatever a request made of it has a line already.
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        peer: SocketAddr,
        place: &Seat,
        progress: &WireProgress,
    ) -> Result<hyper::Response<Body>, Infallible> {
        let open = progress.begin();
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(LastCall(self.last_call.clone()));
        request.extensions_mut().insert(progress.reader().clone());
        let refusal = progress.refusal().or_else(|| self.no_room(&request, place));
        if let Some(problem) = refusal {
            request.extensions_mut().insert(RefusedAtDoor(problem));
        }
        let response: Response = self.routes.clone().oneshot(request).await?;
        Ok(response.map(|body| Body::new(AnswerBody { body, _request: open })))
    }

    /// Where there is room for probes only, what everybody else is answered.
    fn no_room(&self, request: &Request, place: &Seat) -> Option<Problem> {
        if self.room.is_ordinary(place) || request.uri().path().starts_with(PROBES) {
            return None;
        }
        metrics::counter!("halfhour_connections_refused_total", "reason" => "full").increment(1);
        let close = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("close"))]);
        let detail = "As many connections are open as this server can serve; nothing was read. Keep connections open for \
                      several requests, and close those that are not used.";
        Some(Problem::new(Code::Overloaded, detail).with_headers(close))
    }
}
