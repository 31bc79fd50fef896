//! Whether anybody is being served just now, so that what interrupts can wait for a moment when nobody is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;

/// Counts the requests that are being answered. Clones share it.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Mutex<Counted>>);

#[derive(Debug)]
struct Counted {
    under_way: usize,
    /// When the last one began or ended.
    changed: Instant,
}

/// One request that is being answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Activity);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Counted { under_way: 0, changed: Instant::now() })))
    }
}

impl Activity {
    /// For how long nobody has been served. `None` while somebody is.
    pub fn quiet_for(&self) -> Option<Duration> {
        let Counted { under_way, changed } = *self.counted();
        (under_way == 0).then(|| changed.elapsed())
    }

    fn begin(&self) -> UnderWay {
        self.counted().under_way += 1;
        UnderWay(self.clone())
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counted = self.0.counted();
        counted.under_way = counted.under_way.saturating_sub(1);
        counted.changed = Instant::now();
    }
}

/// The middleware. An answer that is made while it is sent is under way until its end.
pub(crate) async fn note(State(activity): State<Activity>, request: Request, next: Next) -> Response {
    let under_way = activity.begin();
    let response = next.run(request).await;
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // Held by the body, and dropped with it.
    response.map(|body| {
        Body::new(body.map_err(move |error| {
            let _held = &under_way;
            error
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_from_the_last_end_on_and_never_while_a_request_is_under_way() {
        let activity = Activity::default();
        assert!(activity.quiet_for().is_some());
        let (first, second) = (activity.begin(), activity.begin());
        assert_eq!(activity.quiet_for(), None);
        drop(first);
        assert_eq!(activity.quiet_for(), None);
        let before = Instant::now();
        drop(second);
        assert!(activity.quiet_for().unwrap() <= before.elapsed());
    }

    #[tokio::test]
    async fn a_stream_is_under_way_until_its_last_byte_and_a_whole_answer_until_its_head() {
        use axum::Router;
        use axum::middleware::from_fn_with_state;
        use axum::routing::get;
        use futures_util::stream;
        use tower::ServiceExt as _;

        let activity = Activity::default();
        let lines = || async { Body::from_stream(stream::iter([Ok::<_, std::io::Error>("line"), Ok("line")])) };
        let router = Router::new()
            .route("/stream", get(lines))
            .route("/whole", get(async || "whole"))
            .layer(from_fn_with_state(activity.clone(), note));
        let ask = async |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        let whole = ask("/whole").await;
        assert!(activity.quiet_for().is_some());
        assert_eq!(whole.body().size_hint().exact(), Some(5));
        let stream = ask("/stream").await;
        assert_eq!(activity.quiet_for(), None);
        assert_eq!(stream.into_body().collect().await.unwrap().to_bytes(), "lineline");
        assert!(activity.quiet_for().is_some());
        // A caller that hangs up in the middle leaves nothing behind.
        drop(ask("/stream").await);
        assert!(activity.quiet_for().is_some());
    }
}
