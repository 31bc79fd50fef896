//! What the two ends of a connection know of each other: the wire below the parser, and the routes above it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};

use crate::kernel::http::request_line::AnswerReader;
use crate::kernel::problem::Problem;

/// How far one connection has come. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct WireProgress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Requests that the parser has handed over.
    begun: AtomicU64,
    /// Of those, how many have no whole answer.
    open: AtomicUsize,
    /// The one that stands for a head that was refused, by its number, and what it is answered.
    refusal: Mutex<Option<(u64, Problem)>>,
    wire: AtomicWaker,
    reader: AnswerReader,
}

impl WireProgress {
    /// The parser hands a request over. It is open until what is returned is dropped.
    pub fn begin(&self) -> OpenRequest {
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        self.0.open.fetch_add(1, Ordering::AcqRel);
        OpenRequest(self.clone())
    }

    /// What the request that was handed over last is answered, where it stands for a head that was refused.
    pub fn refusal(&self) -> Option<Problem> {
        let begun = self.0.begun.load(Ordering::Acquire);
        let mut refusal = self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.take_if(|(number, _)| *number == begun).map(|(_, problem)| problem)
    }

    /// Who reads this connection's answers.
    pub fn reader(&self) -> &AnswerReader {
        &self.0.reader
    }

    /// The head of that number was refused.
    pub fn refuse(&self, number: u64, problem: Problem) {
        *self.0.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, problem));
    }

    /// Whether a request is open. If so, the wire is woken when it ends.
    pub fn is_open(&self, wire: &Context<'_>) -> bool {
        self.0.wire.register(wire.waker());
        self.0.open.load(Ordering::Acquire) > 0
    }

    /// Whether the parser has handed over all of so many requests, and all were answered.
    pub fn has_answered(&self, heads: u64) -> bool {
        self.0.begun.load(Ordering::Acquire) >= heads && self.0.open.load(Ordering::Acquire) == 0
    }
}

/// A request without a whole answer.
#[derive(Debug)]
pub struct OpenRequest(WireProgress);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let Self(WireProgress(shared)) = self;
        shared.open.fetch_sub(1, Ordering::AcqRel);
        shared.wire.wake();
    }
}

/// The body of an answer. Its request is open for as long as it lives.
#[derive(Debug)]
pub struct AnswerBody {
    /// What is sent.
    pub body: Body,
    /// The request.
    pub _request: OpenRequest,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
