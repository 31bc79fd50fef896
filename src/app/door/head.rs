//! Whether a request's head is one that this server reads, and where its body ends.
//!
//! It is stricter than the parser behind it where leniency lets two readers of one message see two
//! different ones: a proxy that ends lines elsewhere, or finds another length, or another host.

use axum::http::{StatusCode, Uri};

/// A head may have so many bytes.
pub const LONGEST_HEAD: usize = 32 * 1024;
/// What is asked for may have so many bytes, with its query.
pub const LONGEST_TARGET: usize = 16 * 1024;
/// No method has a longer name.
pub const LONGEST_METHOD: usize = 32;
/// So many header fields may come, which is what the parser reads at most.
pub const MOST_FIELDS: usize = 100;

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// After so many bytes; none is no body.
    Length(u64),
    /// Where its last chunk says.
    Chunked,
}

/// Why a head is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unacceptable {
    /// 400, 414 or 431.
    pub status: StatusCode,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl Unacceptable {
    /// 400.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    /// 414.
    pub fn long_target() -> Self {
        let detail = format!("A path with its query may have {LONGEST_TARGET} bytes; ask for less at once.");
        Self { status: StatusCode::URI_TOO_LONG, detail }
    }

    /// 400 for a method that cannot be one.
    pub fn bad_method() -> Self {
        Self::malformed("The request does not begin with a method, such as GET.")
    }
}

/// The fields that decide how a message is read.
#[derive(Debug, Default)]
struct Framed<'a> {
    count: usize,
    hosts: usize,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
}

/// Judges a whole head, from its first byte to the empty line at its end.
pub fn judge(head: &[u8]) -> Result<Body, Unacceptable> {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    let mut lines = Lines(&head[start..]);
    let is_1_1 = judge_request_line(lines.next().unwrap_or_default())?;
    let mut framed = Framed::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        framed.add(line)?;
    }
    match framed.hosts {
        0 if is_1_1 => return Err(Unacceptable::malformed("HTTP/1.1 asks for a `Host` field; send one.")),
        0 | 1 => {}
        _ => return Err(Unacceptable::malformed("Send one `Host` field, not several.")),
    }
    framed.body(is_1_1)
}

/// Whether the line ends with HTTP/1.1, and not with HTTP/1.0.
fn judge_request_line(line: &[u8]) -> Result<bool, Unacceptable> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    if method.is_empty() || method.len() > LONGEST_METHOD || !method.iter().copied().all(is_token) {
        return Err(Unacceptable::bad_method());
    }
    let target = words.next().unwrap_or_default();
    if target.len() > LONGEST_TARGET {
        return Err(Unacceptable::long_target());
    }
    let is_plain = target.starts_with(b"/") && target.iter().all(|byte| is_plain_in_target(*byte));
    if !is_plain && Uri::try_from(target).is_err() {
        let detail = "The path or the query has bytes that a URI may not have; write them as `%` and two digits.";
        return Err(Unacceptable::malformed(detail));
    }
    match words.next() {
        Some(b"HTTP/1.1") => Ok(true),
        Some(b"HTTP/1.0") => Ok(false),
        _ => Err(Unacceptable::malformed("The request's first line does not end with HTTP/1.1, which is spoken here.")),
    }
}

impl<'a> Framed<'a> {
    fn add(&mut self, line: &'a [u8]) -> Result<(), Unacceptable> {
        self.count += 1;
        if self.count > MOST_FIELDS {
            let detail = format!("A request may have {MOST_FIELDS} header fields.");
            return Err(Unacceptable { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail });
        }
        let colon = memchr::memchr(b':', line).unwrap_or_default();
        let (name, value) = (&line[..colon], &line[colon..]);
        if name.is_empty() || !name.iter().copied().all(is_token) {
            let detail = "A line of the head is no header field: a name, a colon, and a value on the same line.";
            return Err(Unacceptable::malformed(detail));
        }
        if !value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)) {
            return Err(Unacceptable::malformed("A header field has control characters in its value."));
        }
        let value = value[1..].trim_ascii();
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            if !value.iter().all(|byte| is_token(*byte) || b"[]:%;=,()@".contains(byte)) {
                return Err(Unacceptable::malformed("The `Host` field names no host."));
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some_and(|length| length != value) {
                return Err(Unacceptable::malformed("Two `Content-Length` fields say different things."));
            }
            self.length = Some(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // Two of them are a list, of which chunked could not be all.
            self.coding = Some(if self.coding.is_some() { b"chunked, chunked" } else { value });
        }
        Ok(())
    }

    fn body(&self, is_1_1: bool) -> Result<Body, Unacceptable> {
        match (self.length, self.coding) {
            (None, None) => Ok(Body::Length(0)),
            (Some(length), None) => {
                let digits = str::from_utf8(length).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                // The parser keeps the two greatest numbers for other uses.
                let length = digits.and_then(|digits| digits.parse().ok()).filter(|length| *length < u64::MAX - 1);
                length
                    .map(Body::Length)
                    .ok_or_else(|| Unacceptable::malformed("`Content-Length` is not a number of bytes."))
            }
            (Some(_), Some(_)) => {
                Err(Unacceptable::malformed("Send `Content-Length` or `Transfer-Encoding: chunked`, not both."))
            }
            (None, Some(coding)) if is_1_1 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunked),
            (None, Some(_)) => Err(Unacceptable::malformed(
                "The only transfer coding here is `chunked`, in HTTP/1.1; name compression in `Content-Encoding`.",
            )),
        }
    }
}

/// Lines that end with CR and LF, without these.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.0)?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// What nearly all targets are made of.
const fn is_plain_in_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'?' | b'=' | b'&' | b'%' | b'+' | b',' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lines: &[&str]) -> Result<Body, String> {
        let head = lines.join("\r\n") + "\r\n\r\n";
        judge(head.as_bytes()).map_err(|refused| format!("{} {}", refused.status.as_u16(), refused.detail))
    }

    #[test]
    fn ordinary_heads_are_taken_with_the_length_of_their_body() {
        for (lines, body) in [
            (&["GET / HTTP/1.1", "host: x"][..], Body::Length(0)),
            (&["", "GET / HTTP/1.1", "host: x"], Body::Length(0)),
            (&["GET / HTTP/1.0"], Body::Length(0)),
            (&["OPTIONS * HTTP/1.1", "Host:"], Body::Length(0)),
            (&["CONNECT x.example:443 HTTP/1.1", "host: x.example:443"], Body::Length(0)),
            (&["GET http://x.example/a?b HTTP/1.1", "HOST: [::1]:80"], Body::Length(0)),
            (&["GET /a{b}|\"é HTTP/1.1", "host: x"], Body::Length(0)),
            (&["POST /a HTTP/1.1", "host: x", "content-length: 17 ", "Content-Length:\t17"], Body::Length(17)),
            (&["POST /a HTTP/1.1", "host: x", "transfer-encoding:  CHUNKED "], Body::Chunked),
            (&["POST /a HTTP/1.1", "host: x", "x: \u{e9}\t", "y:"], Body::Length(0)),
        ] {
            assert_eq!(judged(lines), Ok(body), "{lines:?}");
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused_and_named() {
        let long = "X".repeat(LONGEST_METHOD + 1) + " / HTTP/1.1";
        for (lines, named) in [
            (&["GET / HTTP/1.1"][..], "`Host`"),
            (&["GET / HTTP/1.1", "host: x", "Host: x"], "`Host`"),
            (&["GET / HTTP/1.0", "host: x", "host: y"], "`Host`"),
            (&["GET / HTTP/1.1", "host: x y"], "`Host`"),
            (&["GET / HTTP/1.1", "host: x/y"], "`Host`"),
            (&["GET / HTTP/1.1", "host: x", "host : y"], "no header field"),
            (&["GET / HTTP/1.1", "host: x", " folded"], "no header field"),
            (&["GET / HTTP/1.1", "host: x", "bare"], "no header field"),
            (&["GET / HTTP/1.1", "host: x", ": empty"], "no header field"),
            (&["GET / HTTP/1.1", "host: x", "x: a\rb"], "control"),
            (&["GET / HTTP/1.1", "host: x", "x: \0"], "control"),
            (&["GET / HTTP/1.1", "host: x", "x: \u{7f}"], "control"),
            (&["GET / HTTP/2.0", "host: x"], "HTTP/1.1"),
            (&["GET /", "host: x"], "HTTP/1.1"),
            (&["GET  / HTTP/1.1", "host: x"], "URI"),
            (&["GET /a b HTTP/1.1", "host: x"], "HTTP/1.1"),
            (&["GET /\u{7f} HTTP/1.1", "host: x"], "URI"),
            (&["PRI * HTTP/2.0", ""], "HTTP/1.1"),
            (&["G(T / HTTP/1.1", "host: x"], "method"),
            (&[&long, "host: x"], "method"),
            (&["\u{16}\u{3}\u{1}", ""], "method"),
            (&["POST / HTTP/1.1", "host: x", "content-length: 1", "content-length: 2"], "`Content-Length`"),
            (&["POST / HTTP/1.1", "host: x", "content-length: 1, 1"], "`Content-Length`"),
            (&["POST / HTTP/1.1", "host: x", "content-length: +1"], "`Content-Length`"),
            (&["POST / HTTP/1.1", "host: x", "content-length:"], "`Content-Length`"),
            (&["POST / HTTP/1.1", "host: x", "content-length: 18446744073709551616"], "`Content-Length`"),
            (&["POST / HTTP/1.1", "host: x", "content-length: 1", "transfer-encoding: chunked"], "not both"),
            (&["POST / HTTP/1.1", "host: x", "transfer-encoding: gzip, chunked"], "`chunked`"),
            (&["POST / HTTP/1.1", "host: x", "transfer-encoding: chunked", "transfer-encoding: chunked"], "`chunked`"),
            (&["POST / HTTP/1.1", "host: x", "transfer-encoding: identity"], "`chunked`"),
            (&["POST / HTTP/1.1", "host: x", "transfer-encoding: chunked;q=1"], "`chunked`"),
            (&["POST / HTTP/1.0", "host: x", "transfer-encoding: chunked"], "`chunked`"),
        ] {
            let refused = judged(lines).unwrap_err();
            assert!(refused.starts_with("400 ") && refused.contains(named), "{lines:?}: {refused}");
        }
    }
}
