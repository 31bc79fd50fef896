//! Requests that change something, as handlers take them: with their `Idempotency-Key`, if they have one, and with what it
//! stands for.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{Object, Required};
use uuid::Uuid;

use super::body::{json, whole};
use super::parameters::header;
use super::schemas::text;
use crate::kernel::access::Actor;
use crate::kernel::idempotency::{MAX_KEY, PREFER, RequestKey, digest, header_lines, key_text};
use crate::kernel::problem::Problem;

/// What a request's key stands for, before it is known who sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyedRequest(Option<Sent>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    text: Vec<u8>,
    place: [u8; 32],
    fingerprint: [u8; 32],
}

/// A request with a body of JSON. Errors: 400 for a malformed key, and those of [`json`].
#[derive(Debug)]
pub struct KeyedJson(pub KeyedRequest, pub Bytes);

/// A request whose body says nothing. Two requests under one key must still have the same one. Errors: 400 for a malformed
/// key; with a key, also 413 for a body over a megabyte.
#[derive(Debug)]
pub struct KeyedEmpty(pub KeyedRequest);

impl KeyedRequest {
    fn of(parts: &Parts, body: &[u8]) -> Result<Self, Problem> {
        let Some(text) = key_text(&parts.headers)? else { return Ok(Self(None)) };
        let segments: Vec<Cow<'_, [u8]>> =
            parts.uri.path().split('/').map(|text| percent_decode_str(text).into()).collect();
        let path = digest(&segments.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        let [media_type, prefer, version] =
            [CONTENT_TYPE, PREFER, IF_MATCH].map(|name| header_lines(&parts.headers, name));
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        Ok(Self(Some(Sent {
            text: text.to_vec(),
            place: place(parts.method.as_str(), &segments),
            // The path as it is spelled, too: what is not the same to the letter is never taken for the same.
            fingerprint: digest(&[body, &media_type, query, &prefer, &version, &path]),
        })))
    }

    /// The key, as this actor's; `None` where the request has none.
    pub fn by(self, actor: Actor) -> Option<RequestKey> {
        let Sent { text, place, fingerprint } = self.0?;
        RequestKey::new(actor, &place, &text, fingerprint)
    }
}

/// Where a request goes, whichever way its ids are spelled.
fn place(method: &str, segments: &[Cow<'_, [u8]>]) -> [u8; 32] {
    let spelled_alike = segments.iter().map(|segment| match Uuid::try_parse_ascii(segment) {
        Ok(id) => id.to_string().into_bytes(),
        Err(_) => segment.to_vec(),
    });
    let segments: Vec<Vec<u8>> = std::iter::once(method.as_bytes().to_vec()).chain(spelled_alike).collect();
    digest(&segments.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

impl<S: Send + Sync> FromRequest<S> for KeyedJson {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        // A malformed key is refused before a body is read.
        key_text(request.headers())?;
        let (parts, body) = request.into_parts();
        let body = json(&parts, body).await?;
        Ok(Self(KeyedRequest::of(&parts, &body)?, body))
    }
}

impl<S: Send + Sync> FromRequest<S> for KeyedEmpty {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = if key_text(&parts.headers)?.is_some() { whole(&parts, body).await? } else { Bytes::new() };
        Ok(Self(KeyedRequest::of(&parts, &body)?))
    }
}

/// How the contract describes the header.
#[derive(Clone, Copy, Debug)]
pub struct KeyHeader;

impl IntoParams for KeyHeader {
    fn into_params(_parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let meaning = "1 to 255 printable ASCII characters, with or without quotes around them. Repeated with the same \
            request within 24 hours it gets the first answer again, and nothing is done twice";
        vec![header("Idempotency-Key", meaning, schema())]
    }
}

/// The same where every request has one.
#[derive(Clone, Copy, Debug)]
pub struct RequiredKeyHeader;

impl IntoParams for RequiredKeyHeader {
    fn into_params(_parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let meaning =
            "1 to 255 printable ASCII characters: the same key gives the same job, for as long as the job is kept";
        let mut parameter = header("Idempotency-Key", meaning, schema());
        parameter.required = Required::True;
        vec![parameter]
    }
}

fn schema() -> Object {
    text(r"^[!#-~]([ -~]*[!-~])?$", MAX_KEY).examples(["7b0c6a1e"]).build()
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::access::TokenKind;

    const ID: &str = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";

    fn key(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<RequestKey> {
        let mut request = Request::builder().method(method).uri(target).header("idempotency-key", "k");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let actor = Actor::Principal { kind: TokenKind::Viewer, user_id: Uuid::nil(), token_id: Uuid::nil() };
        KeyedRequest::of(&parts, body).unwrap().by(actor)
    }

    #[test]
    fn two_requests_are_the_same_when_everything_that_they_say_is() {
        let target = format!("/v1/devices/{ID}/rotate?a=1");
        let one = key("POST", &target, &[("if-match", "\"1\"")], b"x");
        assert_eq!(key("POST", &target, &[("if-match", "\"1\""), ("x-request-id", ID)], b"x"), one);
        for other in [
            key("PUT", &target, &[("if-match", "\"1\"")], b"x"),
            key("POST", &target.replace("rotate", "revoke"), &[("if-match", "\"1\"")], b"x"),
            key("POST", &target.replace("a=1", "a=2"), &[("if-match", "\"1\"")], b"x"),
            key("POST", &target, &[("if-match", "\"2\"")], b"x"),
            key("POST", &target, &[("if-match", "\"1\""), ("prefer", "x")], b"x"),
            key("POST", &target, &[("if-match", "\"1\""), ("content-type", "x")], b"x"),
            key("POST", &target, &[], b"x"),
            key("POST", &target, &[("if-match", "\"1\"")], b""),
        ] {
            assert_ne!(other, one);
        }
    }

    #[test]
    fn an_id_is_one_place_however_it_is_spelled_and_another_spelling_another_request() {
        let place = |id: &str| KeyedRequest::of(&parts(&format!("/v1/devices/{id}/rotate")), b"").unwrap().0.unwrap();
        let one = place(ID);
        for spelled in [ID.to_uppercase(), ID.replace('-', ""), format!("%7B{ID}%7D"), format!("urn:uuid:{ID}")] {
            let other = place(&spelled);
            assert_eq!(other.place, one.place, "{spelled}");
            assert_ne!(other.fingerprint, one.fingerprint, "{spelled}");
        }
        assert_eq!(place(&ID.replace("01a1", "%301a1")), one, "as it is decoded");
        assert_ne!(place(&ID.replace("01a1", "11a1")).place, one.place);
        assert_ne!(place(&format!("{ID}%2Frotate")).place, place(&format!("{ID}/rotate")).place);
    }

    fn parts(target: &str) -> Parts {
        Request::builder().method("POST").uri(target).header("idempotency-key", "k").body(()).unwrap().into_parts().0
    }
}
