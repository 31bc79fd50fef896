//! Undoes the `Content-Encoding` of request bodies, by RFC 9110. All members of gzip are one body, as all frames of zstd
//! are.
//!
//! Memory is bounded whatever comes, because each coding is undone piece by piece, and only as far as somebody reads.
//! [Why so](../../../docs/decisions/0023-bodies-and-their-encodings.md).

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderValue};
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio::task::coop::poll_proceed;
use tokio_util::io::{ReaderStream, StreamReader};

use super::field_reader::MAX_NAME;
use crate::kernel::problem::{Code, Problem};

/// So many codings may lie over each other.
const MOST_CODINGS: usize = 4;

/// So many bytes may pass between two codings that lie over each other. A kilobyte could unfold to a gigabyte of empty
/// members otherwise, which costs time and gives nothing that a limit of the body would see.
const MOST_BETWEEN: usize = 16 * 1024 * 1024;

/// A frame of zstd may look back over 8 MiB, which is what a decoder has to hold of it. RFC 8878 asks for as much of every
/// decoder, and encoders go beyond it only where they are told to.
const MOST_WINDOW_LOG: u32 = 23;

/// What is decoded at once.
const PIECE: usize = 8 * 1024;

/// What a caller may send instead.
const ACCEPTED: &str = "Send the body plain, or with `Content-Encoding: gzip` or `zstd`.";

/// The middleware: the request as if its body had come plain.
///
/// Errors: 415 for a coding that is not known, and for too many of them.
pub async fn undo_codings(mut request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() || !request.headers().contains_key(CONTENT_ENCODING) {
        return Ok(request);
    }
    let codings = codings_of(request.headers())?;
    request.headers_mut().remove(CONTENT_ENCODING);
    if codings.is_empty() {
        return Ok(request);
    }
    request.headers_mut().remove(CONTENT_LENGTH);
    Ok(request.map(|body| undo(body, &codings)))
}

/// A coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Zstd,
}

type Coded = Pin<Box<dyn AsyncBufRead + Send>>;
type Decoded = Pin<Box<dyn AsyncRead + Send>>;

impl Coding {
    /// What was coded, to its last member or frame. Zeros after the last member are no member either.
    fn undo(self, coded: Coded) -> Decoded {
        match self {
            Self::Gzip => {
                let mut members = GzipDecoder::new(coded);
                members.multiple_members(true);
                Box::pin(members)
            }
            Self::Zstd => {
                let window = DParameter::window_log_max(MOST_WINDOW_LOG);
                let mut frames = ZstdDecoder::with_params(coded, &[window]);
                frames.multiple_members(true);
                Box::pin(frames)
            }
        }
    }
}

/// The codings in the order in which they were applied.
fn codings_of(headers: &HeaderMap) -> Result<Vec<Coding>, Problem> {
    let mut codings = Vec::new();
    let values = headers.get_all(CONTENT_ENCODING).iter();
    for name in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => {}
            b"gzip" | b"x-gzip" => codings.push(Coding::Gzip),
            b"zstd" => codings.push(Coding::Zstd),
            other => return Err(unknown(other)),
        }
    }
    if codings.len() > MOST_CODINGS {
        return Err(refused(format!("At most {MOST_CODINGS} content codings may lie over each other. {ACCEPTED}")));
    }
    Ok(codings)
}

fn unknown(name: &[u8]) -> Problem {
    let ordinary = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._+*".contains(byte);
    let name = str::from_utf8(name).ok().filter(|name| name.len() <= MAX_NAME && name.as_bytes().iter().all(ordinary));
    refused(match name {
        Some(name) => format!("The content coding `{name}` is not known here. {ACCEPTED}"),
        None => format!("`Content-Encoding` has a name that no content coding has. {ACCEPTED}"),
    })
}

/// RFC 9110, 15.5.16: what is accepted stands in the answer, so that it is not taken for a refusal of the media type.
fn refused(detail: String) -> Problem {
    let accepted = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"))]);
    Problem::new(Code::UnsupportedMediaType, detail).with_headers(accepted)
}

fn undo(body: Body, codings: &[Coding]) -> Body {
    let Some((first, others)) = codings.split_first() else { return body };
    let mut coded: Coded = Box::pin(StreamReader::new(body.into_data_stream().map_err(io::Error::other)));
    for coding in others.iter().rev() {
        coded = Box::pin(Between { bytes: BufReader::with_capacity(PIECE, coding.undo(coded)), left: MOST_BETWEEN });
    }
    Body::from_stream(ReaderStream::with_capacity(first.undo(coded), PIECE))
}

/// More than [`MOST_BETWEEN`] bytes came between two codings.
#[derive(Debug, thiserror::Error)]
#[error("more than {MOST_BETWEEN} bytes came between two content codings")]
struct Overgrown;

/// 413 where that is why a body could not be read.
pub fn overgrown(error: &(dyn Error + 'static)) -> Option<Problem> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let found = causes.any(|error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.is_some_and(<dyn Error + Send + Sync>::is::<Overgrown>)
    });
    found.then(|| {
        let detail = format!("A body of several content codings may have {MOST_BETWEEN} bytes between two; send one.");
        Problem::new(Code::BatchTooLarge, detail)
    })
}

/// What passes from one coding to the next: not too much in all, and not so much at once that other requests wait.
struct Between {
    bytes: BufReader<Decoded>,
    left: usize,
}

impl AsyncBufRead for Between {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let turn = ready!(poll_proceed(context));
        let this = self.get_mut();
        let bytes = ready!(Pin::new(&mut this.bytes).poll_fill_buf(context))?;
        turn.made_progress();
        Poll::Ready(if bytes.len() > this.left { Err(io::Error::other(Overgrown)) } else { Ok(bytes) })
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.left = this.left.saturating_sub(amount);
        Pin::new(&mut this.bytes).consume(amount);
    }
}

impl AsyncRead for Between {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(context))?;
        let amount = bytes.len().min(into.remaining());
        into.put_slice(&bytes[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codings(values: &[&str]) -> Result<Vec<Coding>, Problem> {
        let named = |value: &&str| (CONTENT_ENCODING, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in values.iter().map(named) {
            headers.append(name, value);
        }
        codings_of(&headers)
    }

    fn detail(problem: &Problem) -> String {
        problem.body(uuid::Uuid::nil(), "").detail
    }

    #[test]
    fn codings_are_named_in_any_case_in_lists_and_over_several_lines() {
        use Coding::{Gzip, Zstd};
        for (values, expected) in [
            (&[][..], &[][..]),
            (&[""], &[]),
            (&["identity"], &[]),
            (&[" , ,Identity"], &[]),
            (&["GZIP"], &[Gzip]),
            (&["X-Gzip"], &[Gzip]),
            (&["zSTD\t"], &[Zstd]),
            (&["gzip, zstd"], &[Gzip, Zstd]),
            (&["zstd", "identity,gzip"], &[Zstd, Gzip]),
            (&["gzip,gzip", "gzip,gzip"], &[Gzip; 4]),
        ] {
            assert_eq!(codings(values).unwrap(), expected, "{values:?}");
        }
    }

    #[test]
    fn what_cannot_be_undone_is_named_beside_what_can() {
        let long = "x".repeat(MAX_NAME + 1);
        for (values, named) in [
            (&["br"][..], "`br`"),
            (&["gzip, Deflate"], "`deflate`"),
            (&["gzip;q=1"], "no content coding"),
            (&["<script>"], "no content coding"),
            (&["gzip zstd"], "no content coding"),
            (&["gzi\u{17f}"], "no content coding"),
            (&[&long], "no content coding"),
            (&["gzip,gzip,gzip", "gzip,zstd"], "At most 4"),
        ] {
            let problem = codings(values).unwrap_err();
            assert_eq!(problem.code(), Code::UnsupportedMediaType, "{values:?}");
            let detail = detail(&problem);
            assert!(detail.contains(named) && detail.ends_with(ACCEPTED), "{values:?}: {detail}");
        }
    }
}
