//! Who is calling. A middleware turns the bearer token into a [`Principal`]; handlers ask for the kind they need in
//! their signature ([`Device`], [`Viewer`], [`Operator`]) and so cannot forget to. Only this file makes principals.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::audit::Actor;
use super::call::Call;
use super::clock::Clock;
use super::db::{Access, Mode, Pool};
use super::problem::{Code, Problem};
use super::request_line::Observed;
use super::strangers::Strangers;
use super::token::{Kind, ServerKey, TokenHash};
use super::token_cache::TokenCache;
use super::token_uses::TokenUses;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    kind: Kind,
    token_id: Uuid,
    user_id: Uuid,
    device_id: Option<Uuid>,
}

impl Principal {
    /// Which of the three it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The token it came with: how logs and limits name a caller.
    pub const fn token_id(&self) -> Uuid {
        self.token_id
    }
}

/// A tracker's device: writes its own buckets.
#[derive(Clone, Debug)]
pub struct Device {
    user_id: Uuid,
    device_id: Uuid,
    call: Call,
}

/// A reader of one user's data.
#[derive(Clone, Debug)]
pub struct Viewer {
    user_id: Uuid,
    token_id: Uuid,
    call: Call,
}

/// Someone who runs operations.
#[derive(Clone, Debug)]
pub struct Operator {
    user_id: Uuid,
    token_id: Uuid,
    call: Call,
}

impl Device {
    /// The owner of the buckets it writes.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// The device itself.
    pub const fn device_id(&self) -> Uuid {
        self.device_id
    }

    /// The request it makes.
    pub const fn call(&self) -> &Call {
        &self.call
    }
}

impl Viewer {
    /// Whose data it reads.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// How the audit names it.
    pub const fn actor(&self) -> Actor {
        Actor::Principal { kind: Kind::Viewer, user_id: self.user_id, token_id: self.token_id }
    }

    /// The request it makes.
    pub const fn call(&self) -> &Call {
        &self.call
    }
}

impl Operator {
    /// The person who operates: not for access.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// How the audit names it.
    pub const fn actor(&self) -> Actor {
        Actor::Principal { kind: Kind::Operator, user_id: self.user_id, token_id: self.token_id }
    }

    /// The request it makes.
    pub const fn call(&self) -> &Call {
        &self.call
    }
}

/// Recognizes tokens.
#[derive(Clone, Debug)]
pub struct Authenticator {
    key: Arc<ServerKey>,
    pool: Pool,
    cache: TokenCache,
    strangers: Strangers,
    uses: TokenUses,
}

impl Authenticator {
    /// Looks tokens up through `pool`; `strangers` counts those that are not valid, `clock` says when the others were
    /// used.
    pub fn new(key: ServerKey, pool: Pool, strangers: Strangers, clock: Clock) -> Self {
        Self { key: Arc::new(key), pool, cache: TokenCache::new(), strangers, uses: TokenUses::new(clock) }
    }

    /// When tokens were used since the last writing down.
    pub const fn uses(&self) -> &TokenUses {
        &self.uses
    }

    /// Errors: 401 for a token that is missing, forged, unknown or revoked; 429 for one that nobody has seen valid,
    /// from an address that sent too many that were not; 503 and 504 when the database fails.
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        caller: Option<IpAddr>,
        call: &Call,
    ) -> Result<Principal, Problem> {
        let (kind, hash) = self.key.recognize(bearer(headers)?).ok_or_else(unknown_token)?;
        let look_up = async || {
            if !self.cache.was_valid(&hash) {
                self.strangers.admit(caller)?;
            }
            let found = look_up(&self.pool, &hash, call).await?;
            // A token in use is looked up again every few seconds: that is often enough to say when it was used.
            match &found {
                Some(principal) => self.uses.note(principal.token_id),
                None => self.strangers.note_unknown(caller),
            }
            Ok(found)
        };
        let found = self.cache.get(hash.clone(), look_up).await?;
        let principal = found.ok_or_else(unknown_token)?;
        if principal.kind != kind {
            return Err(unknown_token());
        }
        Ok(principal)
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
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

async fn look_up(pool: &Pool, hash: &TokenHash, call: &Call) -> Result<Option<Principal>, Problem> {
    let mut tx = pool.begin(call, Access::NOBODY, Mode::ReadWrite).await?;
    let principal = authenticate(&mut tx, hash).await?;
    tx.rollback().await?;
    Ok(principal)
}

async fn authenticate(tx: &mut super::db::Tx, hash: &TokenHash) -> Result<Option<Principal>, Problem> {
    let row = sqlx::query_file!("src/kernel/authenticate.sql", hash.as_bytes()).fetch_optional(tx).await?;
    Ok(row.and_then(|row| {
        let kind = Kind::parse(&row.kind)?;
        Some(Principal { kind, token_id: row.token_id, user_id: row.user_id, device_id: row.device_id })
    }))
}

/// The middleware in front of every route that is not for everyone: no principal, no entry.
pub async fn require_principal(
    State(authenticator): State<Authenticator>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(call) = request.extensions().get::<Call>().cloned() else {
        return Problem::internal("the request line did not run before authentication").into_response();
    };
    let caller = authenticator.strangers.caller(&request);
    match authenticator.authenticate(request.headers(), caller, &call).await {
        Ok(principal) => {
            if let Some(observed) = request.extensions().get::<Observed>() {
                observed.set_principal(&principal);
            }
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) if problem.code() == Code::Unauthorized => authenticator.strangers.refuse(caller, problem),
        Err(problem) => problem.into_response(),
    }
}

/// The caller, who must be of the wanted kind, and its call. Errors: 403 for another kind.
fn principal_of(parts: &Parts, wanted: Kind) -> Result<(Principal, Call), Problem> {
    let principal = parts.extensions.get::<Principal>().cloned();
    let call = parts.extensions.get::<Call>().cloned();
    let found = principal.zip(call);
    let (principal, call) =
        found.ok_or_else(|| Problem::internal("a handler asks for a principal on a route without one"))?;
    if principal.kind == wanted { Ok((principal, call)) } else { Err(wrong_kind(wanted, principal.kind)) }
}

fn wrong_kind(wanted: Kind, found: Kind) -> Problem {
    let (wanted, found) = (wanted.as_str(), found.as_str());
    Problem::new(Code::WrongPrincipal, format!("This route is for a {wanted} token; yours is a {found} token."))
}

impl<S: Send + Sync> FromRequestParts<S> for Device
where
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, call) = principal_of(parts, Kind::Device)?;
        let device_id = principal.device_id.ok_or_else(|| wrong_kind(Kind::Device, principal.kind))?;
        Ok(Self { user_id: principal.user_id, device_id, call })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer
where
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, call) = principal_of(parts, Kind::Viewer)?;
        Ok(Self { user_id: principal.user_id, token_id: principal.token_id, call })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator
where
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (principal, call) = principal_of(parts, Kind::Operator)?;
        Ok(Self { user_id: principal.user_id, token_id: principal.token_id, call })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_token_that_was_found_is_an_acquaintance() {
        let principal =
            Principal { kind: Kind::Viewer, token_id: Uuid::now_v7(), user_id: Uuid::now_v7(), device_id: None };
        let cache = TokenCache::new();
        let key = ServerKey::new(&[1; 32]).unwrap();
        for found in [None, Some(principal)] {
            let hash = key.issue(Kind::Viewer).unwrap().hash();
            assert!(!cache.was_valid(&hash));
            assert_eq!(cache.get(hash.clone(), async || Ok(found.clone())).await.unwrap(), found);
            assert_eq!(cache.was_valid(&hash), found.is_some());
        }
    }
}
