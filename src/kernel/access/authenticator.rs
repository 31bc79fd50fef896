//! Turns the bearer token of a request into a [`Principal`], or refuses the request.
//!
//! [`Authenticator::admit`] stands in front of every route that is not for everyone.
//! The principal it finds rides in the request's extensions, where the extractors of `principal`
//! take it from.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::anonymous::AnonymousCallers;
use super::cache::TokenCache;
use super::principal::{DeviceKind, Principal};
use super::token::{ServerKey, TokenHash, TokenKind};
use super::uses::TokenUses;
use crate::kernel::call::{Observed, PrincipalName, RequestContext};
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::problem::{Code, Problem};

/// What commands of trackers want a token to begin with: vibe-usage and tokscale. No token of ours begins so.
const DISGUISES: [&str; 2] = ["vbu_", "tt_"];

/// Recognizes tokens. Every request takes clones, hence one pointer.
#[derive(Clone, Debug)]
pub struct Authenticator(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    key: ServerKey,
    pool: Pool,
    cache: TokenCache,
    anonymous_callers: AnonymousCallers,
    uses: TokenUses,
}

impl Authenticator {
    /// Looks tokens up through `pool` and remembers them in `cache`; `anonymous_callers` counts those that are not valid,
    /// `clock` says when the others were used.
    pub fn new(
        key: ServerKey,
        pool: Pool,
        cache: TokenCache,
        anonymous_callers: AnonymousCallers,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Parts { key, pool, cache, anonymous_callers, uses: TokenUses::new(clock) }))
    }

    /// When tokens were used since the last writing down.
    pub fn uses(&self) -> &TokenUses {
        &self.0.uses
    }

    /// Errors: 401 for a token that is missing, forged, unknown or revoked; 429 for one that nobody has seen valid,
    /// from an address that sent too many that were not; 503 and 504 when the database fails.
    async fn authenticate(&self, headers: &HeaderMap, context: &RequestContext) -> Result<Principal, Problem> {
        let text = bearer(headers)?;
        Ok(self.recognize(text, context).await?.0)
    }

    /// The answer of `next` to a request with a valid token, whose principal rides along; else the refusal.
    pub async fn admit<F>(&self, mut request: Request, next: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output = Response>,
    {
        let Some(context) = request.extensions().get::<RequestContext>().cloned() else {
            return Problem::internal("the request line did not run before authentication").into_response();
        };
        match self.authenticate(request.headers(), &context).await {
            Ok(principal) => {
                if let Some(observed) = request.extensions().get::<Observed>() {
                    observed.set_principal(PrincipalName { kind: principal.kind().as_str(), id: principal.token_id() });
                }
                request.extensions_mut().insert(principal);
                next(request).await
            }
            // A refusal for want of a token is counted where the request is answered, like any other of a stranger.
            Err(problem) => problem.into_response(),
        }
    }

    /// The principal behind a token's text, and what stands for that. Errors: as of a request that sends it.
    pub(super) async fn recognize(
        &self,
        text: &str,
        context: &RequestContext,
    ) -> Result<(Principal, TokenHash), Problem> {
        let (kind, hash) = self.0.key.recognize(text).ok_or_else(unknown_token)?;
        let principal = self.find(&hash, context).await?.ok_or_else(unknown_token)?;
        if principal.kind() != kind {
            return Err(unknown_token());
        }
        Ok((principal, hash))
    }

    /// The principal behind a token that this server has made; `None` where it is not valid any more. Errors: 429, 503 and 504
    /// as of a request.
    pub(super) async fn find(&self, hash: &TokenHash, context: &RequestContext) -> Result<Option<Principal>, Problem> {
        let Parts { pool, cache, anonymous_callers, uses, .. } = &*self.0;
        let caller = context.caller;
        let look_up = async || {
            if !cache.was_valid(hash) {
                anonymous_callers.admit(caller)?;
            }
            let found = look_up(pool, hash, context).await?;
            // A token in use is looked up again every few seconds: that is often enough to say when it was used.
            match &found {
                Some(principal) => uses.note(principal.token_id()),
                None => anonymous_callers.note_unknown(caller),
            }
            Ok(found)
        };
        let found = cache.get(hash.clone(), look_up).await;
        if found.is_err() {
            context.upstream.relied_on_another();
        }
        found
    }
}

fn unknown_token() -> Problem {
    Problem::new(Code::Unauthorized, "This token is not valid, or has been revoked.")
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::new(Code::Unauthorized, "This route needs `Authorization: Bearer <token>`.");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(Problem::new(Code::Unauthorized, "Send one Authorization header, not several."));
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(undisguised(token.trim())) } else { Err(missing()) }
}

/// A token without what a tracker's command insists on before it: `vbu_hhd_…` is `hhd_…`.
fn undisguised(token: &str) -> &str {
    DISGUISES.iter().find_map(|disguise| token.strip_prefix(disguise)).unwrap_or(token)
}

async fn look_up(pool: &Pool, hash: &TokenHash, context: &RequestContext) -> Result<Option<Principal>, Problem> {
    let mut tx = pool.begin(context, Access::NOBODY, Mode::ReadWrite).await?;
    let principal = authenticate(&mut tx, hash).await?;
    tx.rollback().await?;
    Ok(principal)
}

async fn authenticate(tx: &mut Tx, hash: &TokenHash) -> Result<Option<Principal>, Problem> {
    let row = sqlx::query_file!("src/kernel/access/authenticate.sql", hash.as_bytes()).fetch_optional(tx).await?;
    Ok(row.and_then(|row| {
        let kind = TokenKind::parse(&row.kind)?;
        let principal = Principal::new(kind, row.token_id, row.user_id, row.device_id);
        Some(principal.of_kind(row.counts.map(DeviceKind::of)))
    }))
}

/// [`Authenticator::admit`] as a layer, for who puts nothing else beside it.
pub async fn require_principal(State(authenticator): State<Authenticator>, request: Request, next: Next) -> Response {
    authenticator.admit(request, |request| next.run(request)).await
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::kernel::access::REVOCATION_BOUND;

    #[test]
    fn a_token_is_the_same_behind_what_a_tracker_wants_before_it_once() {
        for (sent, meant) in [
            ("hhd_x", "hhd_x"),
            ("vbu_hhd_x", "hhd_x"),
            ("tt_hhd_x", "hhd_x"),
            ("vbu_tt_hhd_x", "tt_hhd_x"),
            ("VBU_hhd_x", "VBU_hhd_x"),
            ("vbu_", ""),
        ] {
            assert_eq!(undisguised(sent), meant);
        }
    }

    #[tokio::test]
    async fn only_a_token_that_was_found_is_an_acquaintance() {
        let principal = Principal::new(TokenKind::Viewer, Uuid::now_v7(), Uuid::now_v7(), None);
        let cache = TokenCache::new(REVOCATION_BOUND);
        let key = ServerKey::new(&[1; 32]).unwrap();
        for found in [None, Some(principal)] {
            let hash = key.issue(TokenKind::Viewer).unwrap().hash();
            assert!(!cache.was_valid(&hash));
            assert_eq!(cache.get(hash.clone(), async || Ok(found.clone())).await.unwrap(), found);
            assert_eq!(cache.was_valid(&hash), found.is_some());
        }
    }
}
