//! What the replies of all reads have in common: a media type that the caller accepts, how fresh they are, a validator,
//! and where to go on.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE, DATE, ETAG, IF_NONE_MATCH, LINK, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::media::Media;
use super::range::DayRange;
use super::state::RollupState;
use crate::kernel::problem::{Code, Problem};

/// Everything acknowledged before this instant is in the reply: what JSON calls `as_of`.
const AS_OF: HeaderName = HeaderName::from_static("halfhour-as-of");
/// What JSON calls `pending`.
const PENDING: HeaderName = HeaderName::from_static("halfhour-pending");
/// What JSON calls `version`.
const VERSION: HeaderName = HeaderName::from_static("halfhour-version");

/// The media type to answer in. Errors: 406 where the caller accepts none of `offered`.
pub fn media(headers: &HeaderMap, offered: &[Media]) -> Result<Media, Problem> {
    // What is not text is something all the same, and names no media type.
    let accept: Vec<_> =
        headers.get_all(ACCEPT).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    Media::choose(&accept, offered).ok_or_else(|| {
        let names: Vec<_> = offered.iter().map(|media| media.essence()).collect();
        Problem::new(Code::NotAcceptable, format!("This route answers in {}.", names.join(", ")))
    })
}

/// Says that another `Accept` may get another answer, whatever the answer.
pub async fn vary_by_accept(mut response: Response) -> Response {
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    response
}

/// Which reply a caller wants, but for the state of the rollup.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Whose usage.
    pub user_id: Uuid,
    /// What the caller says, and what it has already.
    pub headers: &'a HeaderMap,
    /// Every parameter of the query.
    pub parameters: &'a [(String, String)],
    /// How the reply is written.
    pub media: Media,
}

impl Asked<'_> {
    /// The validator of the reply: over this release, the state that was read and the days that were meant. `content` is
    /// for what can change without any of them.
    pub fn tag(&self, state: &RollupState, days: DayRange, content: &impl Serialize) -> Result<Tag, Problem> {
        let Self { user_id, parameters, media, .. } = self;
        let parts = (
            (env!("CARGO_PKG_VERSION"), media.content_type(), user_id),
            (state.version(), state.newest_event_id(), state.time_zone(), state.book(), state.pending_book()),
            (days.from, days.to, state.today(), parameters, content),
        );
        let digest = Sha256::digest(serde_json::to_vec(&parts).map_err(Problem::internal)?);
        Ok(Tag(format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..18]))))
    }

    /// Whether the caller has the reply with this validator, and nothing waits to change it.
    pub fn has(&self, tag: Option<&Tag>, state: &RollupState) -> bool {
        !state.pending() && tag.is_some_and(|tag| tag.is_in(self.headers))
    }
}

/// A weak validator: replies that carry the same one say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// Whether `If-None-Match` lists it, or is `*`. Weak comparison.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }
}

/// What to say about a reply besides its body.
#[derive(Clone, Debug)]
pub struct ReplyMeta<'a> {
    /// The state that was read.
    pub state: &'a RollupState,
    /// Its validator, where it has one.
    pub tag: Option<Tag>,
    /// The path and query of the next page.
    pub next: Option<String>,
}

impl ReplyMeta<'_> {
    /// 304. `Date` is the instant as of which the caller's copy is still true.
    pub fn not_modified(&self) -> Result<Response, Problem> {
        let mut response = self.response(Body::empty())?;
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        let date = httpdate::fmt_http_date(self.state.as_of().into());
        response.headers_mut().insert(DATE, header(&date)?);
        Ok(response)
    }

    /// 200 with this body.
    pub fn ok(&self, media: Media, body: impl Into<Body>) -> Result<Response, Problem> {
        let mut response = self.response(body.into())?;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
        Ok(response)
    }

    /// 200 with a JSON body.
    pub fn json(&self, body: &impl Serialize) -> Result<Response, Problem> {
        self.ok(Media::Json, serde_json::to_vec(body).map_err(Problem::internal)?)
    }

    fn response(&self, body: Body) -> Result<Response, Problem> {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(AS_OF, header(&instant(self.state))?);
        headers.insert(PENDING, HeaderValue::from_static(if self.state.pending() { "true" } else { "false" }));
        headers.insert(VERSION, HeaderValue::from(self.state.version()));
        if let Some(Tag(tag)) = &self.tag {
            headers.insert(ETAG, header(&format!("W/{tag}"))?);
        }
        if let Some(next) = &self.next {
            headers.insert(LINK, header(&format!("<{next}>; rel=\"next\""))?);
        }
        Ok(response)
    }
}

fn instant(state: &RollupState) -> String {
    state.as_of().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn header(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_NONE_MATCH, HeaderValue::from_static(value));
        }
        Tag("\"a-b\"".to_owned()).is_in(&headers)
    }

    #[test]
    fn a_tag_is_found_in_lists_weak_or_strong_and_a_star_stands_for_any() {
        for values in [&["W/\"a-b\""][..], &["\"a-b\""], &["*"], &["\"x\" , W/\"a-b\""], &["\"x\"", "W/\"a-b\",\"y\""]]
        {
            assert!(is_in(values), "{values:?}");
        }
        for values in [&[][..], &[""], &["\"a\""], &["a-b"], &["w/\"a-b\""], &["\"a-b"], &["\"**\""]] {
            assert!(!is_in(values), "{values:?}");
        }
    }
}
