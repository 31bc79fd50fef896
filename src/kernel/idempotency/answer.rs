//! Answers that can be given again. One is kept as it was sent, but for its secret: in that one's place is a hole.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::key::IDEMPOTENCY_REPLAYED;
use super::records::KeptAnswer;
use crate::kernel::problem::{Code, Problem};

/// What stands for a secret in an answer that is kept. JSON escapes this character wherever a text has it.
const HOLE: char = '\u{1}';
/// No answer that is kept may have a longer body, in bytes.
const LONGEST: usize = 256 * 1024;

/// The answer to a request that was executed.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    /// JSON.
    body: String,
    etag: Option<String>,
    location: Option<String>,
    secret: Option<String>,
    unkept: bool,
    replayed: bool,
}

impl Answer {
    /// 200 with a body of JSON.
    pub fn ok(reply: &impl Serialize) -> Result<Self, Problem> {
        Self::of(StatusCode::OK, reply)
    }

    /// 201 with a body of JSON.
    pub fn created(reply: &impl Serialize) -> Result<Self, Problem> {
        Self::of(StatusCode::CREATED, reply)
    }

    /// 202 with a body of JSON.
    pub fn accepted(reply: &impl Serialize) -> Result<Self, Problem> {
        Self::of(StatusCode::ACCEPTED, reply)
    }

    fn of(status: StatusCode, reply: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_string(reply).map_err(Problem::internal)?;
        Ok(Self { status, body, etag: None, location: None, secret: None, unkept: false, replayed: false })
    }

    /// With the `ETag` of a version.
    #[must_use]
    pub fn versioned(self, version: i64) -> Self {
        Self { etag: Some(format!("\"{version}\"")), ..self }
    }

    /// With the path of what was made.
    #[must_use]
    pub fn located(self, path: String) -> Self {
        Self { location: Some(path), ..self }
    }

    /// With a text in its body that nobody may read later.
    #[must_use]
    pub fn with_secret(self, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), ..self }.unkept()
    }

    /// No cache may keep it.
    #[must_use]
    pub fn unkept(self) -> Self {
        Self { unkept: true, ..self }
    }

    /// As it is recorded, without its secret. Errors: 500 for one that is longer than any should be.
    pub(super) fn keep(&self, fingerprint: [u8; 32], seed: Uuid) -> Result<KeptAnswer, Problem> {
        let answer = match &self.secret {
            Some(secret) => self.body.replace(secret.as_str(), &HOLE.to_string()),
            None => self.body.clone(),
        };
        if answer.len() > LONGEST {
            return Err(Problem::internal("an answer is too long to be recorded under its key"));
        }
        Ok(KeptAnswer {
            fingerprint: fingerprint.to_vec(),
            status: self.status.as_u16().try_into().map_err(Problem::internal)?,
            answer,
            etag: self.etag.clone(),
            location: self.location.clone(),
            seed,
            secret_hash: self.secret.as_ref().map(|secret| Sha256::digest(secret.as_bytes()).to_vec()),
        })
    }

    /// What was recorded, with its secret. `secret` derives that anew. Errors: 409 where it has become another one,
    /// because the server's key has.
    pub(super) fn again(kept: KeptAnswer, secret: impl FnOnce(Uuid) -> Option<String>) -> Result<Self, Problem> {
        let KeptAnswer { status, answer, etag, location, seed, secret_hash, .. } = kept;
        let status = u16::try_from(status).map_err(Problem::internal)?;
        let body = match secret_hash {
            None => answer,
            Some(hash) => {
                let secret = secret(seed).ok_or_else(|| Problem::internal("nobody knows the secret of an answer"))?;
                if !bool::from(Sha256::digest(secret.as_bytes()).as_slice().ct_eq(&hash)) {
                    return Err(forgotten());
                }
                answer.replace(HOLE, &secret)
            }
        };
        let status = StatusCode::from_u16(status).map_err(Problem::internal)?;
        Ok(Self { status, body, etag, location, secret: None, unkept: true, replayed: true })
    }
}

/// 409: the request was executed, but what it was answered cannot be said again.
fn forgotten() -> Problem {
    let detail = "This request was executed, but the server's key has been replaced since, and the secret in its answer \
        went with it. Look at what was made, and make or rotate it under another Idempotency-Key.";
    Problem::new(Code::Conflict, detail)
}

/// It may hold a secret.
impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let fixed = |name: HeaderName, wanted: bool, value| wanted.then(|| (name, HeaderValue::from_static(value)));
        let text = |name: HeaderName, value: Option<String>| Some((name, HeaderValue::try_from(value?).ok()?));
        headers.extend(
            [
                fixed(CACHE_CONTROL, self.unkept, "no-store"),
                fixed(IDEMPOTENCY_REPLAYED, self.replayed, "true"),
                text(ETAG, self.etag),
                text(LOCATION, self.location),
            ]
            .into_iter()
            .flatten(),
        );
        response
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "hhd_a-secret_of-letters";

    fn answer(name: &str) -> Answer {
        let reply = json!({ "device_id": 7, "name": name, "token": SECRET });
        Answer::of(StatusCode::CREATED, &reply).unwrap().with_secret(SECRET).versioned(2)
    }

    fn keep(answer: &Answer) -> KeptAnswer {
        answer.keep([1; 32], Uuid::from_u128(7)).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_kept_holds_no_secret_and_is_answered_again_to_the_byte(name in any::<String>()) {
            let first = answer(&name);
            let kept = keep(&first);
            prop_assert!(!kept.answer.contains(SECRET), "{}", kept.answer);
            prop_assert_eq!(kept.answer.matches(HOLE).count(), 1, "a hole in the text is escaped");
            let again = Answer::again(kept, |seed| (seed == Uuid::from_u128(7)).then(|| SECRET.to_owned())).unwrap();
            prop_assert_eq!((again.status, &again.body, &again.etag), (first.status, &first.body, &first.etag));
            prop_assert!(again.replayed && again.unkept);
        }
    }

    #[test]
    fn another_secret_than_the_first_is_never_given() {
        let problem = Answer::again(keep(&answer("x")), |_| Some(SECRET.to_uppercase())).unwrap_err();
        assert_eq!(problem.code(), Code::Conflict);
        assert_eq!(Answer::again(keep(&answer("x")), |_| None).unwrap_err().code(), Code::Internal);
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_kept() {
        let of = |length| Answer::of(StatusCode::OK, &"x".repeat(length)).unwrap().keep([0; 32], Uuid::nil());
        assert!(of(LONGEST - 2).is_ok());
        assert_eq!(of(LONGEST - 1).unwrap_err().code(), Code::Internal);
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", answer("x")), "Answer { status: 201, .. }");
    }
}
