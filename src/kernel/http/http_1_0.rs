//! What HTTP/1.0 cannot say.
//!
//! It ends a body of unknown length by closing the connection, and a body that breaks off ends just
//! so. Its reader must be able to tell, so it gets bodies of known length only. That is also why
//! nothing is compressed for it, because the length of what is still to be compressed is unknown.

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};
use axum::response::{IntoResponse as _, Response};

use crate::kernel::access::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::kernel::problem::{Code, Problem};

/// What is said of the request and not of the body: it stays beside a refusal.
const ABOUT_THE_REQUEST: [HeaderName; 4] = [VARY, CACHE_CONTROL, RATE_LIMIT, RATE_LIMIT_POLICY];

/// Whether the caller, or the proxy before it, speaks HTTP/1.0.
pub fn speaks_it(request: &Request) -> bool {
    request.version() < Version::HTTP_11
}

/// Prepares such a request. Errors: 400 for a body whose length is not said, because it would be read as an empty one.
pub fn prepare(headers: &mut HeaderMap) -> Result<(), Problem> {
    headers.remove(ACCEPT_ENCODING);
    if headers.contains_key(CONTENT_TYPE) && !headers.contains_key(CONTENT_LENGTH) {
        let detail = "HTTP/1.0 says by `Content-Length` only how long a body is; send it, or speak HTTP/1.1.";
        return Err(Problem::new(Code::Malformed, detail));
    }
    Ok(())
}

/// The answer as it is where its length is known; otherwise 426.
pub fn whole_or_refused(response: Response) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let stays = |name: &HeaderName| ABOUT_THE_REQUEST.contains(name) || name.as_str().starts_with("access-control-");
    let mut headers: HeaderMap = HeaderMap::new();
    for (name, value) in response.headers().iter().filter(|(name, _)| stays(name)) {
        headers.append(name, value.clone());
    }
    headers.insert(UPGRADE, HeaderValue::from_static("HTTP/1.1"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    let detail = "This answer is a stream, and over HTTP/1.0 nobody could tell its end from a break. Ask for pages with \
                  `limit`, or speak HTTP/1.1; nginx does so to this server with `proxy_http_version 1.1;`.";
    Problem::new(Code::UpgradeRequired, detail).with_headers(headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, Bytes};
    use futures_util::stream;

    fn streamed() -> Response {
        let parts = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"a line\n"))]);
        let headers =
            [("vary", "origin"), ("etag", "\"1\""), ("halfhour-version", "1"), ("ratelimit", "\"x\";r=1;t=1")];
        let mut response = (headers, Body::from_stream(parts)).into_response();
        response.headers_mut().append("vary", HeaderValue::from_static("accept"));
        response.headers_mut().append("access-control-allow-origin", HeaderValue::from_static("https://a.example"));
        response
    }

    #[test]
    fn what_has_no_length_is_refused_and_the_refusal_says_nothing_of_the_body() {
        let refused = whole_or_refused(streamed());
        assert_eq!(refused.status(), 426);
        let mut names: Vec<_> = refused.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["access-control-allow-origin", "connection", "ratelimit", "upgrade", "vary"]);
        assert_eq!(refused.headers().get_all("vary").iter().count(), 2);
    }

    #[test]
    fn what_has_a_length_stays_as_it_is_even_when_it_is_empty() {
        for body in [Body::empty(), Body::from("x"), Body::from(vec![0; 1 << 20])] {
            let response = whole_or_refused(([("etag", "\"1\"")], body).into_response());
            assert_eq!((response.status().as_u16(), response.headers().contains_key("etag")), (200, true));
        }
    }

    #[test]
    fn a_body_without_a_length_is_refused_and_a_request_without_a_body_is_not() {
        let prepared = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter();
            let mut headers: HeaderMap =
                fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
            let prepared = prepare(&mut headers).map_err(|problem| problem.code());
            assert!(!headers.contains_key(ACCEPT_ENCODING));
            prepared
        };
        assert_eq!(prepared(&[("accept-encoding", "gzip")]), Ok(()));
        assert_eq!(prepared(&[("content-type", "application/json"), ("content-length", "0")]), Ok(()));
        assert_eq!(prepared(&[("content-type", "application/json")]), Err(Code::Malformed));
    }
}
