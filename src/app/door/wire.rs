//! A connection's bytes, with a limit for everything that a client can be slow at.
//!
//! It stands between the socket and the parser. A head that is refused, or does not come to its end
//! in time, reaches the routes as a request of its own ([`STAND_IN`]), so that its refusal is an
//! answer like any other: in its turn, with an id and a line in the log. A connection that nobody
//! uses ends where a client would expect it to end, between two messages.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep};

use super::framing::Framing;
use super::head::Unacceptable;
use super::limits::{DoorLimits, TimedOut};
use super::progress::WireProgress;
use super::room::Room;
use crate::kernel::problem::{Code, Problem};

/// The request that stands for a head that was refused. Nothing is at its path.
const STAND_IN: &[u8] = b"GET /- HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";
/// What is read at once where it has to be looked at.
const PIECE: usize = 4096;
/// Within [`DoorLimits::unread`] a client has to take so many bytes of what is waiting for it.
const LEAST_TAKEN: usize = 32 * 1024;
/// What a client still sends behind a refused head is thrown away up to so many bytes, so that it can read the refusal.
const MOST_BEHIND: usize = 1024 * 1024;
/// And for so long.
const LONGEST_BEHIND: Duration = Duration::from_secs(2);

/// What the connection waits for its client to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Nothing that is limited here: a request is open, or a body is read.
    Unlimited,
    /// The first byte of a message.
    Idle,
    /// The rest of a head, the one behind so many.
    Head(u64),
}

/// A client's connection.
#[derive(Debug)]
pub struct Wire<S> {
    stream: Take<S>,
    framing: Framing,
    progress: WireProgress,
    limits: DoorLimits,
    room: Arc<Room>,
    waiting: Waiting,
    timer: Pin<Box<Sleep>>,
    /// Called when room is needed for somebody else, while this one is idle.
    eviction: Option<Pin<Box<OwnedNotified>>>,
    /// Nothing more is read.
    ended: bool,
    /// While something waits to be taken: until when, and how much was taken since.
    unread: Option<(Pin<Box<Sleep>>, usize)>,
    /// What was thrown away behind a refused head.
    behind: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection that was just accepted.
    pub fn new(stream: S, progress: WireProgress, limits: DoorLimits, room: Arc<Room>) -> Self {
        Self {
            stream: stream.take(0),
            framing: Framing::default(),
            progress,
            limits,
            room,
            waiting: Waiting::Unlimited,
            timer: Box::pin(tokio::time::sleep(limits.head)),
            eviction: None,
            ended: false,
            unread: None,
            behind: None,
        }
    }

    fn refuse(&mut self, refused: Unacceptable) {
        let code = match refused.status.as_u16() {
            414 => Code::UriTooLong,
            431 => Code::HeadersTooLarge,
            _ => Code::Malformed,
        };
        self.stand_in(Problem::new(code, refused.detail));
    }

    fn stand_in(&mut self, problem: Problem) {
        self.framing.put(STAND_IN);
        self.progress.refuse(self.framing.heads(), problem);
        self.behind = Some((Box::pin(tokio::time::sleep(LONGEST_BEHIND)), 0));
    }

    /// Passes on what was read and may be passed on.
    fn pass_on(&mut self, into: &mut ReadBuf<'_>) -> bool {
        let ready = self.framing.ready();
        let count = ready.len().min(into.remaining());
        into.put_slice(&ready[..count]);
        self.framing.passed(count);
        count > 0
    }

    /// Nothing came. Pending, unless that has lasted for too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_open = self.progress.is_open(context);
        let waiting = if self.framing.is_in_head() {
            Waiting::Head(self.framing.heads())
        } else if self.framing.is_between() && !is_open && self.progress.has_answered(self.framing.heads()) {
            Waiting::Idle
        } else {
            Waiting::Unlimited
        };
        if waiting != self.waiting {
            self.waiting = waiting;
            self.eviction = (waiting == Waiting::Idle).then(|| Box::pin(self.room.wanted()));
            // A client that has said nothing yet has as long as one whose head is under way.
            let is_first = self.framing.heads() == 0;
            let limit = if waiting == Waiting::Idle && !is_first { self.limits.idle } else { self.limits.head };
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        if waiting == Waiting::Unlimited {
            return Poll::Pending;
        }
        let is_evicted = self.eviction.as_mut().is_some_and(|eviction| eviction.as_mut().poll(context).is_ready());
        if !is_evicted {
            ready!(self.timer.as_mut().poll(context));
        }
        if let Waiting::Head(_) = waiting {
            TimedOut::Head.count();
            let detail = format!("The request's head was not there after {} s.", self.limits.head.as_secs_f32());
            self.stand_in(Problem::new(Code::RequestTimeout, detail));
        } else {
            if is_evicted { TimedOut::Evicted } else { TimedOut::Idle }.count();
            self.ended = true;
        }
        Poll::Ready(())
    }

    /// Something is to be written and the socket takes nothing. Errors: it has taken too little for too long.
    fn wait_for_reader(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let limit = self.limits.unread;
        let (timer, taken) = self.unread.get_or_insert_with(|| (Box::pin(tokio::time::sleep(limit)), 0));
        while timer.as_mut().poll(context).is_ready() {
            if *taken < LEAST_TAKEN {
                TimedOut::Unread.count();
                self.progress.reader().stalled(limit);
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer"));
            }
            *taken = 0;
            timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }

    fn written(&mut self, context: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(count)) => {
                if let Some((_, taken)) = &mut self.unread {
                    *taken += count;
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.wait_for_reader(context).map(Err),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.pass_on(into) || this.ended || into.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if this.behind.is_some() {
                // Behind a refused head there is nothing to read. The answer closes the connection.
                return Poll::Pending;
            }
            if let Some(unseen) = this.framing.unseen() {
                let is_open = this.progress.is_open(context);
                if this.framing.is_broken() && !is_open && this.progress.has_answered(this.framing.heads()) {
                    this.ended = true;
                    continue;
                }
                this.stream.set_limit(unseen);
                let before = into.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
                let count = into.filled().len() - before;
                this.framing.passed_unseen(u64::try_from(count).unwrap_or(unseen));
                return Poll::Ready(Ok(()));
            }
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(this.stream.get_mut()).poll_read(context, &mut piece) {
                Poll::Ready(read) => {
                    read?;
                    if piece.filled().is_empty() {
                        this.ended = true;
                    } else if let Err(refused) = this.framing.take(piece.filled()) {
                        this.refuse(refused);
                    }
                }
                Poll::Pending => ready!(this.wait(context)),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(this.stream.get_mut()).poll_write(context, bytes);
        this.written(context, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(this.stream.get_mut()).poll_write_vectored(context, slices);
        this.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    /// The parser asks for this only when it has handed everything over.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.unread = None;
        Pin::new(this.stream.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(this.stream.get_mut()).poll_shutdown(context))?;
        // Were the socket closed while the client still writes, it would see a reset in place of its answer.
        while let Some((timer, thrown_away)) = &mut this.behind {
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            let read = Pin::new(this.stream.get_mut()).poll_read(context, &mut piece);
            *thrown_away += piece.filled().len();
            let is_over = match read {
                Poll::Ready(Ok(())) => piece.filled().is_empty() || *thrown_away > MOST_BEHIND,
                Poll::Ready(Err(_)) => true,
                Poll::Pending => {
                    ready!(timer.as_mut().poll(context));
                    true
                }
            };
            if is_over {
                this.behind = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}
