//! Where each message on a connection begins and ends, found before the parser sees a byte of it.
//!
//! Bytes come in as they were read. A head is held back until it is whole and has been judged, so
//! that nothing of a refused one reaches the parser. What belongs to a body is passed on at once.

use axum::http::StatusCode;

use super::head::{self, Body, LONGEST_HEAD, Unacceptable};

/// What a connection has sent, cut into messages.
#[derive(Debug, Default)]
pub struct Framing {
    /// Bytes that were read and not yet passed on.
    held: Vec<u8>,
    /// As many of them, from the first, may be passed on.
    ready: usize,
    /// As many of those behind `ready` were looked at in vain for the end of a head.
    searched: usize,
    part: Part,
    /// How many heads were found acceptable.
    heads: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// A head.
    #[default]
    Head,
    /// So many bytes of a body.
    Length(u64),
    /// A body in chunks.
    Chunks(Chunks),
    /// Something that only the parser can refuse. No message can be found behind it.
    Broken,
}

/// Within a body of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    Size(u64),
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a line of the trailer.
    TrailerStart,
    TrailerLine,
    TrailerLineEnd,
    /// Behind the CR of the empty line that ends everything.
    End,
}

impl Framing {
    /// Takes what was read. Errors: a head that is not acceptable. Nothing of it will be passed on, nor of what follows.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Unacceptable> {
        self.held.extend_from_slice(bytes);
        self.advance().inspect_err(|_| {
            self.held.truncate(self.ready);
            self.part = Part::Broken;
        })
    }

    /// Puts a message of this process in the place of one that was refused.
    pub fn put(&mut self, message: &[u8]) {
        self.held.truncate(self.ready);
        self.held.extend_from_slice(message);
        (self.ready, self.part) = (self.held.len(), Part::Broken);
        self.heads += 1;
    }

    /// What may be passed on now.
    pub fn ready(&self) -> &[u8] {
        &self.held[..self.ready]
    }

    /// So many bytes were passed on. What is empty gives its memory back.
    pub fn passed(&mut self, count: usize) {
        self.held.drain(..count);
        self.ready -= count;
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// So many bytes of a body may be passed on without being looked at.
    pub fn unseen(&self) -> Option<u64> {
        match self.part {
            Part::Length(left) if self.held.is_empty() => Some(left),
            Part::Broken if self.held.is_empty() => Some(u64::MAX),
            _ => None,
        }
    }

    /// So many of those were passed on.
    pub fn passed_unseen(&mut self, count: u64) {
        if let Part::Length(left) = self.part {
            self.part = of_length(left.saturating_sub(count));
        }
    }

    /// Whether the next byte begins a message.
    pub fn is_between(&self) -> bool {
        self.part == Part::Head && self.held.is_empty()
    }

    /// Whether a head has begun and is not whole.
    pub fn is_in_head(&self) -> bool {
        self.part == Part::Head && self.held.len() > self.ready
    }

    /// Whether no further message can come.
    pub fn is_broken(&self) -> bool {
        self.part == Part::Broken
    }

    /// How many heads were found so far.
    pub const fn heads(&self) -> u64 {
        self.heads
    }

    fn advance(&mut self) -> Result<(), Unacceptable> {
        loop {
            let rest = &self.held[self.ready..];
            if rest.is_empty() {
                return Ok(());
            }
            match self.part {
                Part::Head => match find_end(rest, self.searched)? {
                    None => {
                        self.searched = rest.len();
                        return within_limits(rest);
                    }
                    Some(length) => {
                        within_limits(&rest[..length])?;
                        self.part = match head::judge(&rest[..length])? {
                            Body::Length(length) => of_length(length),
                            Body::Chunked => Part::Chunks(Chunks::Size(0)),
                        };
                        (self.ready, self.searched, self.heads) = (self.ready + length, 0, self.heads + 1);
                    }
                },
                Part::Length(left) => {
                    let count = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.ready += count;
                    self.part = of_length(left - u64::try_from(count).unwrap_or(left));
                }
                Part::Chunks(chunks) => {
                    let (count, part) = chunks.follow(rest);
                    (self.ready, self.part) = (self.ready + count, part);
                }
                Part::Broken => self.ready = self.held.len(),
            }
        }
    }
}

const fn of_length(length: u64) -> Part {
    if length == 0 { Part::Head } else { Part::Length(length) }
}

/// Behind the empty line that ends a head, where it is there. Empty lines before a head belong to it. Errors: a line that
/// does not end with CR and LF.
fn find_end(bytes: &[u8], searched: usize) -> Result<Option<usize>, Unacceptable> {
    for at in memchr::memchr_iter(b'\n', &bytes[searched..]).map(|at| searched + at) {
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err(Unacceptable::malformed("Each line of a head ends with CR and LF; one here ends without CR."));
        }
        let line_before = &bytes[..at - 1];
        let is_leading = line_before.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if line_before.ends_with(b"\r\n") && !is_leading {
            return Ok(Some(at + 1));
        }
    }
    Ok(None)
}

/// Errors: 431, and 414 where it is the request's first line that is too long.
fn within_limits(head: &[u8]) -> Result<(), Unacceptable> {
    let first_line = memchr::memchr(b'\n', head).unwrap_or(head.len());
    if first_line > head::LONGEST_TARGET + head::LONGEST_METHOD + 16 {
        // A method of that length has no space in it that a target could follow.
        let has_target = memchr::memchr(b' ', head).is_some_and(|length| length <= head::LONGEST_METHOD);
        return Err(if has_target { Unacceptable::long_target() } else { Unacceptable::bad_method() });
    }
    if head.len() > LONGEST_HEAD {
        let detail = format!("A request's head may have {LONGEST_HEAD} bytes.");
        return Err(Unacceptable { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail });
    }
    Ok(())
}

impl Chunks {
    /// Follows the bytes to their end, or to the end of the body. Returns how many belong to it, and what comes next.
    fn follow(mut self, bytes: &[u8]) -> (usize, Part) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Self::Data(left) = self {
                let count = (bytes.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                at += count;
                let left = left - u64::try_from(count).unwrap_or(left);
                self = if left == 0 { Self::DataCr } else { Self::Data(left) };
                continue;
            }
            at += 1;
            if (self, byte) == (Self::End, b'\n') {
                return (at, Part::Head);
            }
            let Some(next) = self.next(byte) else { return (bytes.len(), Part::Broken) };
            self = next;
        }
        (at, Part::Chunks(self))
    }

    /// `None` for a byte that cannot stand there.
    fn next(self, byte: u8) -> Option<Self> {
        let sized = |size| if size == 0 { Self::TrailerStart } else { Self::Data(size) };
        Some(match (self, byte) {
            (Self::Size(size) | Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size), b' ' | b'\t' | b';') => Self::Extension(size),
            (Self::Size(size), digit) => {
                let digit = char::from(digit).to_digit(16)?;
                Self::Size(size.checked_mul(16)?.checked_add(u64::from(digit))?)
            }
            (Self::Extension(_) | Self::TrailerLine, b'\n') => return None,
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeEnd(size), b'\n') => sized(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size(0),
            (Self::TrailerStart, b'\r') => Self::End,
            (Self::TrailerLine, b'\r') => Self::TrailerLineEnd,
            (Self::TrailerLineEnd, b'\n') => Self::TrailerStart,
            (Self::TrailerStart | Self::TrailerLine, _) => Self::TrailerLine,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const POST: &str = "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12\n\r\n";
    const CHUNKED: &str = "PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n\
                           5;a=\"b\"\r\n\r\nGET\r\n0a\r\n0123456789\r\n0\r\nx: y\r\n\r\n";

    /// All that is passed on of a text that comes in pieces of such sizes, again and again.
    fn passed_on(text: &[u8], sizes: &[usize]) -> (Vec<u8>, Result<u64, StatusCode>) {
        let (mut framing, mut passed, mut rest) = (Framing::default(), Vec::new(), text);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                return (passed, Ok(framing.heads()));
            }
            let most = framing.unseen().map_or(rest.len(), |unseen| usize::try_from(unseen).unwrap_or(usize::MAX));
            let (piece, behind) = rest.split_at(rest.len().min(*size).min(most));
            rest = behind;
            if framing.unseen().is_some() {
                passed.extend_from_slice(piece);
                framing.passed_unseen(piece.len().try_into().unwrap());
                continue;
            }
            let taken = framing.take(piece);
            passed.extend_from_slice(framing.ready());
            framing.passed(framing.ready().len());
            if let Err(refused) = taken {
                return (passed, Err(refused.status));
            }
        }
        unreachable!("sizes are never empty")
    }

    proptest! {
        #[test]
        fn whatever_is_acceptable_is_passed_on_byte_by_byte_however_it_is_cut(
            messages in prop::collection::vec(prop::sample::select(vec![GET, POST, CHUNKED]), 1..6),
            sizes in prop::collection::vec(1_usize..40, 1..5),
        ) {
            let text = messages.concat();
            let (passed, heads) = passed_on(text.as_bytes(), &sizes);
            prop_assert_eq!(String::from_utf8_lossy(&passed), text);
            prop_assert_eq!(heads, Ok(messages.len().try_into().unwrap()));
        }

        #[test]
        fn a_refused_head_is_the_end_and_nothing_of_it_is_passed_on(
            messages in prop::collection::vec(prop::sample::select(vec![GET, POST, CHUNKED]), 0..4),
            refused in prop::sample::select(vec![
                "GET / HTTP/1.1\nhost: x\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\nhost: x\r\n\n", "\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
            ]),
            sizes in prop::collection::vec(1_usize..40, 1..5),
        ) {
            let text = messages.concat() + refused + GET;
            let (passed, heads) = passed_on(text.as_bytes(), &sizes);
            prop_assert_eq!(String::from_utf8_lossy(&passed), messages.concat());
            prop_assert_eq!(heads, Err(StatusCode::BAD_REQUEST));
        }
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_ends_and_named_for_what_it_is() {
        let refused = |text: String, status: u16| {
            let (passed, heads) = passed_on(text.as_bytes(), &[1000]);
            assert_eq!((passed.len(), heads.map_err(|status| status.as_u16())), (0, Err(status)), "{}", &text[..20]);
        };
        refused(format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(head::LONGEST_TARGET)), 414);
        refused(format!("GET /{}", "x".repeat(300_000)), 414);
        refused("X".repeat(300_000), 400);
        refused(format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}", "x".repeat(300_000)), 431);
        refused(format!("GET / HTTP/1.1\r\nhost: x\r\n{}", "x: y\r\n".repeat(10_000)), 431);
        refused(format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(head::MOST_FIELDS)), 431);
        let most = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(head::MOST_FIELDS - 1));
        assert_eq!(passed_on(most.as_bytes(), &[7]).1, Ok(1));
    }

    #[test]
    fn a_body_that_breaks_its_framing_is_left_to_the_parser() {
        let broken = "PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\n12345\r\n0\r\n\r\n";
        for size in [1, 3, 1000] {
            let (passed, heads) = passed_on(broken.as_bytes(), &[size]);
            assert_eq!((passed.len(), heads), (broken.len(), Ok(1)));
        }
    }
}
