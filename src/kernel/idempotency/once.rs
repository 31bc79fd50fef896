//! Doing something once. An act claims its key first in its own transaction, and records the answer last in it, so that
//! there is never one without the other.

use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::answer::Answer;
use super::key::{KeyScope, RequestKey, key_in_progress, key_reused};
use super::records::{claim_key, find_answer, record_answer};
use crate::kernel::access::{ServerKey, Token, TokenKind};
use crate::kernel::call::RequestContext;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Under which key something is done, if under any, and how it is answered.
#[derive(Debug)]
pub struct Once<T>(Option<Keyed<T>>);

#[derive(Debug)]
struct Keyed<T> {
    key: RequestKey,
    seed: Seed,
    answer: fn(&T) -> Result<Answer, Problem>,
}

/// What secrets of one execution are derived from, besides the server's key. Whoever knows the idempotency key and reads
/// the database still learns none: the server's key is in neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    scope: KeyScope,
    id: Uuid,
}

/// Why something was not done.
#[derive(Debug)]
pub enum Unexecuted {
    /// It must not be done.
    Refused(Problem),
    /// It was done before, and this was the answer.
    Answered(Box<Answer>),
}

impl Seed {
    /// The token that this execution makes, whenever and wherever it is derived.
    pub fn token(&self, key: &ServerKey, kind: TokenKind) -> Token {
        key.derive(kind, &[b"halfhour keyed token\0", &self.scope, self.id.as_bytes()])
    }

    /// Other bits that only this execution makes. `purpose` ends with a zero.
    pub fn bits(&self, key: &ServerKey, purpose: &[u8]) -> [u8; 32] {
        key.sign(&[purpose, &self.scope, self.id.as_bytes()])
    }
}

impl<T> Once<T> {
    /// For who sends no request: nothing is kept.
    pub const fn unkeyed() -> Self {
        Self(None)
    }

    /// For a request, which may have a key. `answer` makes the answer to what was done.
    pub fn new(key: Option<RequestKey>, answer: fn(&T) -> Result<Answer, Problem>) -> Self {
        // New each time, so that the same key gives other secrets once its record has expired.
        let keyed = |key: RequestKey| Keyed { seed: Seed { scope: key.scope, id: Uuid::now_v7() }, key, answer };
        Self(key.map(keyed))
    }

    /// What secrets are derived from; `None` where they are to be random.
    pub fn seed(&self) -> Option<&Seed> {
        self.0.as_ref().map(|keyed| &keyed.seed)
    }

    /// Claims the key for the transaction, first of all. For acts whose answers hold no secret.
    ///
    /// Errors: the answer, where it was recorded; 422 `idempotency_key_reused`, 409 `idempotency_in_progress`. Then the
    /// transaction is over.
    pub async fn claim(&self, tx: Tx, context: &RequestContext) -> Result<Tx, Unexecuted> {
        self.claim_secret(tx, context, |_| None).await
    }

    /// The same for acts whose answers hold a secret, which `reveal` derives again. Errors: besides, 409 where the
    /// server's key has been replaced since.
    pub async fn claim_secret(
        &self,
        mut tx: Tx,
        context: &RequestContext,
        reveal: impl FnOnce(&Seed) -> Option<String> + Send,
    ) -> Result<Tx, Unexecuted> {
        let Some(Keyed { key, .. }) = &self.0 else { return Ok(tx) };
        if !claim_key(&mut tx, &key.scope).await? {
            tx.rollback().await?;
            return Err(key_in_progress().into());
        }
        // In a statement of its own: its snapshot must be newer than the lock.
        let Some(kept) = find_answer(&mut tx, key).await? else { return Ok(tx) };
        tx.rollback().await?;
        if kept.fingerprint != key.fingerprint {
            return Err(key_reused().into());
        }
        let answer = Answer::again(kept, |id| reveal(&Seed { scope: key.scope, id }))?;
        context.upstream.keyed("replayed");
        Err(Unexecuted::Answered(Box::new(answer)))
    }

    /// Records the answer to what was done, and makes both durable.
    pub async fn commit(&self, mut tx: Tx, context: &RequestContext, done: &T) -> Result<(), Problem> {
        let Some(Keyed { key, seed, answer }) = &self.0 else { return tx.commit().await };
        let kept = answer(done)?.keep(key.fingerprint, seed.id)?;
        record_answer(&mut tx, key, context.request_id, &kept).await?;
        tx.commit().await?;
        context.upstream.keyed("executed");
        Ok(())
    }
}

impl From<Problem> for Unexecuted {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<sqlx::Error> for Unexecuted {
    fn from(error: sqlx::Error) -> Self {
        Self::Refused(error.into())
    }
}

/// For who has no key, and so gets no earlier answer.
impl From<Unexecuted> for Problem {
    fn from(unexecuted: Unexecuted) -> Self {
        match unexecuted {
            Unexecuted::Refused(problem) => problem,
            Unexecuted::Answered(_) => Self::internal("an act without a key met an answer"),
        }
    }
}

impl IntoResponse for Unexecuted {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            Self::Answered(answer) => answer.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_token_belongs_to_one_execution_of_one_key_under_one_server_key() {
        let key = |byte| ServerKey::new(&[byte; 32]).unwrap();
        let seed = |scope, id| Seed { scope: [scope; 32], id: Uuid::from_u128(id) };
        let token = |key: ServerKey, seed: &Seed, kind| seed.token(&key, kind).reveal().to_owned();
        let one = token(key(1), &seed(1, 1), TokenKind::Device);
        assert_eq!(token(key(1), &seed(1, 1), TokenKind::Device), one);
        for other in [
            token(key(2), &seed(1, 1), TokenKind::Device),
            token(key(1), &seed(2, 1), TokenKind::Device),
            token(key(1), &seed(1, 2), TokenKind::Device),
            token(key(1), &seed(1, 1), TokenKind::Viewer),
        ] {
            assert_ne!(other, one);
        }
        assert_ne!(seed(1, 1).bits(&key(1), b"a\0"), seed(1, 1).bits(&key(1), b"b\0"));
    }
}
