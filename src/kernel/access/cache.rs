//! Tokens that were looked up a moment ago.
//!
//! A revocation takes effect within [`REVOCATION_BOUND`]. Callers that arrive together with the
//! same token share one look-up. That a token is unknown is remembered as well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

use super::principal::Principal;
use super::token::TokenHash;
use crate::kernel::problem::Problem;

/// An answer is used for at most this long, counted from the start of its look-up: what was revoked before that start
/// is not in it, and what is revoked later is missed for no longer than this.
pub const REVOCATION_BOUND: Duration = Duration::from_secs(10);

/// Tokens remembered; the least used are forgotten first.
const CAPACITY: u64 = 50_000;

/// That a token was valid is remembered this long after its last use: enough to tell its holder from a stranger.
const ACQUAINTANCE: Duration = Duration::from_hours(1);

/// Clones share the answers.
#[derive(Clone, Debug)]
pub struct TokenCache {
    answers: Cache<TokenHash, Answer>,
    valid: moka::sync::Cache<TokenHash, ()>,
}

#[derive(Clone, Debug)]
struct Answer {
    principal: Option<Principal>,
    asked_at: Instant,
}

struct FromTheQuestion {
    bound: Duration,
}

impl FromTheQuestion {
    fn within(bound: Duration) -> Self {
        Self { bound: bound.min(REVOCATION_BOUND) }
    }
}

impl Expiry<TokenHash, Answer> for FromTheQuestion {
    fn expire_after_create(&self, _: &TokenHash, answer: &Answer, created_at: Instant) -> Option<Duration> {
        Some(self.bound.saturating_sub(created_at.saturating_duration_since(answer.asked_at)))
    }
}

impl TokenCache {
    /// An empty cache that uses an answer for at most `bound`, and never for longer than [`REVOCATION_BOUND`].
    pub fn new(bound: Duration) -> Self {
        Self {
            answers: Cache::builder().max_capacity(CAPACITY).expire_after(FromTheQuestion::within(bound)).build(),
            valid: moka::sync::Cache::builder().max_capacity(CAPACITY).time_to_idle(ACQUAINTANCE).build(),
        }
    }

    /// Whether the token was valid when it was last looked up, within the last hour or so. It may be revoked by now.
    pub fn was_valid(&self, hash: &TokenHash) -> bool {
        self.valid.get(hash).is_some()
    }

    /// The principal behind a token, from memory or from `look_up`, which runs once for all who ask meanwhile. A failed
    /// look-up is every waiter's answer and is not remembered.
    pub async fn get(
        &self,
        hash: TokenHash,
        look_up: impl AsyncFnOnce() -> Result<Option<Principal>, Problem>,
    ) -> Result<Option<Principal>, Problem> {
        if let Some(answer) = self.answers.get(&hash).await {
            metrics::counter!("halfhour_token_cache_total", "outcome" => "hit").increment(1);
            return Ok(answer.principal);
        }
        metrics::counter!("halfhour_token_cache_total", "outcome" => "miss").increment(1);
        // Boxed, so that the many that find their answer do not carry the room for a question.
        let question = Box::pin(async {
            let asked_at = Instant::now();
            let principal = look_up().await?;
            if principal.is_some() {
                self.valid.insert(hash.clone(), ());
            } else {
                self.valid.invalidate(&hash);
            }
            Ok(Answer { principal, asked_at })
        });
        let answer = Box::pin(self.answers.try_get_with(hash.clone(), question)).await;
        answer.map(|answer| answer.principal).map_err(Arc::unwrap_or_clone)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::kernel::access::{ServerKey, TokenKind};
    use crate::kernel::problem::Code;

    fn hash() -> TokenHash {
        ServerKey::new(&[1; 32]).unwrap().issue(TokenKind::Viewer).unwrap().hash()
    }

    #[tokio::test]
    async fn callers_that_come_together_share_one_look_up_and_unknown_tokens_are_remembered() {
        let (cache, hash, asked) = (TokenCache::new(REVOCATION_BOUND), hash(), AtomicUsize::new(0));
        let ask = || {
            cache.get(hash.clone(), async || {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(None)
            })
        };
        let answers = futures_util::future::join_all((0..16).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(Option::is_none)));
        ask().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_failed_look_up_is_asked_again() {
        let (cache, hash) = (TokenCache::new(REVOCATION_BOUND), hash());
        let failed = cache.get(hash.clone(), async || Err(Problem::new(Code::DatabaseUnavailable, "gone"))).await;
        assert_eq!(failed.unwrap_err().code(), Code::DatabaseUnavailable);
        assert_eq!(cache.get(hash, async || Ok(None)).await.unwrap(), None);
    }

    #[test]
    fn an_answer_is_as_old_as_its_question() {
        let asked_at = Instant::now();
        let answer = Answer { principal: None, asked_at };
        let served = FromTheQuestion::within(REVOCATION_BOUND);
        let left = |after| served.expire_after_create(&hash(), &answer, asked_at + after);
        assert_eq!(left(Duration::from_secs(3)), Some(Duration::from_secs(7)));
        assert_eq!(left(Duration::from_secs(30)), Some(Duration::ZERO));
    }

    #[test]
    fn no_cache_uses_an_answer_for_longer_than_ten_seconds() {
        let bound = |asked| FromTheQuestion::within(asked).bound;
        assert_eq!(bound(Duration::from_millis(300)), Duration::from_millis(300));
        assert_eq!(bound(Duration::from_secs(10)), Duration::from_secs(10));
        assert_eq!(bound(Duration::from_hours(1)), Duration::from_secs(10));
    }
}
