//! What a key stands for: where it is valid, and the request that it names.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::kernel::access::{Actor, Device};
use crate::kernel::problem::{Code, Problem};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// A preference, which is a part of what a request says.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Says that an answer is of an earlier execution.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A key has so many characters at most.
pub const MAX_KEY: usize = 255;

/// Where a key is valid: SHA-256 of principal, method, path and key.
pub type KeyScope = [u8; 32];

/// The key of a post, and the request it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub(super) scope: KeyScope,
    pub(super) fingerprint: [u8; 32],
}

/// The key of any other request that changes something, and that request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    pub(super) user_id: Uuid,
    pub(super) scope: KeyScope,
    pub(super) fingerprint: [u8; 32],
}

impl IdempotencyKey {
    /// Reads the header: 1 to 255 printable ASCII characters, with or without the quotes of RFC 8941. `request` are the
    /// parts that make two requests the same. `None` where there is no key. Errors: 400 for a malformed or second one.
    pub fn read(headers: &HeaderMap, device: &Device, place: &str, request: &[&[u8]]) -> Result<Option<Self>, Problem> {
        let Some(text) = key_text(headers)? else { return Ok(None) };
        let scope = digest(&[device.device_id().as_bytes(), place.as_bytes(), text]);
        Ok(Some(Self { scope, fingerprint: digest(request) }))
    }

    /// Where the key is valid.
    pub const fn scope(&self) -> &KeyScope {
        &self.scope
    }

    /// True for a repetition of the same request under the same key.
    pub fn same_request(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl RequestKey {
    /// `text` as one of this actor sent it to `place`, which is a method and a path; `fingerprint` is of what the request
    /// says. All tokens of one kind that a user has share their keys. `None` for who has no user: nobody keeps its answers.
    pub fn new(actor: Actor, place: &[u8; 32], text: &[u8], fingerprint: [u8; 32]) -> Option<Self> {
        let user_id = actor.user_id()?;
        let scope = digest(&[actor.as_str().as_bytes(), user_id.as_bytes(), place, text]);
        Some(Self { user_id, scope, fingerprint })
    }
}

/// The key of the header, without its quotes; `None` where there is none. Errors: 400 for a malformed or second one.
pub fn key_text(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("Send one Idempotency-Key, not several."));
    }
    let text = unquoted(value.as_bytes());
    let printable = text.iter().all(|byte| (0x20..=0x7e).contains(byte));
    if !printable || !(1..=MAX_KEY).contains(&text.len()) {
        return Err(malformed("An Idempotency-Key has 1 to 255 printable ASCII characters."));
    }
    Ok(Some(text))
}

/// All that the lines of a header say, for a fingerprint.
pub fn header_lines(headers: &HeaderMap, name: HeaderName) -> Vec<u8> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b',')
}

/// 422: the key stands for another request.
pub fn key_reused() -> Problem {
    Problem::new(Code::IdempotencyKeyReused, "This Idempotency-Key was used for another request; take a new one.")
}

/// 409: the request with this key is being executed.
pub fn key_in_progress() -> Problem {
    Problem::new(Code::IdempotencyInProgress, "The request with this Idempotency-Key is being executed.")
}

/// Refuses a key on a route that keeps none: its caller would trust a promise that nobody made. `instead` says what to do.
pub fn refuse_key(headers: &HeaderMap, instead: &'static str) -> Result<(), Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(malformed(instead));
    }
    Ok(())
}

fn malformed(detail: &'static str) -> Problem {
    Problem::new(Code::Malformed, detail)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// SHA-256 over parts whose lengths are part of it, so that no two lists of parts look alike.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::access::TokenKind;

    #[test]
    fn quotes_around_a_key_do_not_count_and_parts_do_not_run_together() {
        assert_eq!(unquoted(b"\"abc\""), b"abc");
        assert_eq!(unquoted(b"\"\""), b"");
        assert_eq!(unquoted(b"\""), b"\"");
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }

    #[test]
    fn a_key_is_of_one_user_kind_place_and_text_and_of_no_token() {
        let actor = |kind, user, token| Actor::Principal {
            kind,
            user_id: Uuid::from_u128(user),
            token_id: Uuid::from_u128(token),
        };
        let scope = |actor, place, text: &[u8]| RequestKey::new(actor, &[place; 32], text, [0; 32]).unwrap().scope;
        let viewer = actor(TokenKind::Viewer, 1, 1);
        let one = scope(viewer, 1, b"k");
        assert_eq!(scope(actor(TokenKind::Viewer, 1, 2), 1, b"k"), one);
        for other in [
            scope(actor(TokenKind::Operator, 1, 1), 1, b"k"),
            scope(actor(TokenKind::Viewer, 2, 1), 1, b"k"),
            scope(viewer, 2, b"k"),
            scope(viewer, 1, b"K"),
        ] {
            assert_ne!(other, one);
        }
        assert_eq!(RequestKey::new(Actor::Command, &[1; 32], b"k", [0; 32]), None);
    }
}
