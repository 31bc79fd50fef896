//! Throws away what is left of a request's body once the request is answered.
//!
//! A caller that is still writing sees a broken connection instead of its answer, if the socket is closed under it. So
//! the rest is read while the answer is sent, up to some limits. Beyond them the connection is closed. [Why
//! so](../../../docs/decisions/0023-bodies-and-their-encodings.md).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CONNECTION, EXPECT};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;

use super::body_room::BodyRoom;

/// How much is thrown away for a caller, for how long, and for how many callers at once.
#[derive(Clone, Debug)]
pub struct UnreadBodies {
    most_bytes: usize,
    longest: Duration,
    places: Arc<Semaphore>,
}

impl UnreadBodies {
    /// Limits of this process.
    pub fn new(most_bytes: usize, longest: Duration, at_once: usize) -> Self {
        Self { most_bytes, longest, places: Arc::new(Semaphore::new(at_once)) }
    }

    /// True where the rest will be read to its end, as far as can be known now.
    fn read_on(&self, rest: Body) -> bool {
        let may_end = usize::try_from(rest.size_hint().lower()).is_ok_and(|least| least <= self.most_bytes);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return false };
        let (most_bytes, longest) = (self.most_bytes, self.longest);
        tokio::spawn(async move {
            // Too late or too much: the connection is closed, because the body is dropped.
            let _ = tokio::time::timeout(longest, throw_away(rest, most_bytes)).await;
            drop(place);
        });
        may_end
    }
}

impl Default for UnreadBodies {
    fn default() -> Self {
        Self::new(64 * 1024 * 1024, Duration::from_secs(5), 64)
    }
}

async fn throw_away(mut rest: Body, most_bytes: usize) {
    let mut left = most_bytes;
    while let Some(Ok(frame)) = rest.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// What becomes of bodies.
#[derive(Clone, Debug, Default)]
pub struct Bodies {
    /// Of what nobody reads of them.
    pub unread: UnreadBodies,
    /// Where those are held that somebody reads.
    pub room: BodyRoom,
}

/// The middleware, which has to be the outermost one.
pub async fn throw_away_unread<F>(bodies: &Bodies, request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    if request.body().is_end_stream() {
        return next(request).await;
    }
    let may_wait = request.headers().contains_key(EXPECT);
    let home = Home { journey: Arc::default(), room: bodies.room.clone() };
    let mut request = request.map(|body| Body::new(Lent { body, asked: false, ended: false, home: home.clone() }));
    request.extensions_mut().insert(home.clone());
    let mut response = next(request).await;
    if let Some((rest, asked)) = home.take() {
        // A caller that was never asked for its body may send it or not. Only on a connection that is closed after this
        // answer is what comes next surely a part of it.
        let unclear = may_wait && !asked;
        if !bodies.unread.read_on(rest) || unclear {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}

/// Where a body comes from, and its rest goes back to. It rides in the request's extensions.
#[derive(Clone)]
pub struct Home {
    journey: Arc<Mutex<Journey>>,
    room: BodyRoom,
}

#[derive(Default)]
struct Journey {
    /// What nobody wanted to read, and whether anything of the body was asked for.
    rest: Option<(Body, bool)>,
    /// Since when somebody waits for the client to send more.
    waiting_since: Option<Instant>,
    /// For how long that was so before.
    waited: Duration,
}

impl Home {
    /// For how long the request had to wait for its client.
    pub fn waited(&self) -> Duration {
        let journey = self.journey();
        journey.waited + journey.waiting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Where the body may be held.
    pub fn room(&self) -> &BodyRoom {
        &self.room
    }

    fn take(&self) -> Option<(Body, bool)> {
        self.journey().rest.take()
    }

    fn put(&self, rest: Body, asked: bool) {
        self.journey().rest = Some((rest, asked));
    }

    fn note(&self, is_waiting: bool) {
        let mut journey = self.journey();
        if is_waiting {
            journey.waiting_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = journey.waiting_since.take() {
            journey.waited += since.elapsed();
        }
    }

    fn journey(&self) -> std::sync::MutexGuard<'_, Journey> {
        self.journey.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's body, which goes home when nobody wants to read on.
struct Lent {
    body: Body,
    asked: bool,
    ended: bool,
    home: Home,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.asked = true;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.home.note(polled.is_pending());
        let frame = ready!(polled);
        this.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.note(false);
        if !self.ended && !self.body.is_end_stream() {
            self.home.put(std::mem::take(&mut self.body), self.asked);
        }
    }
}
